// Drop puts a message into the spool of the mail system for a user who could not: it is the one program with a set-id bit,
// setgid to the group of the spool. It is started by sendmail when no server listens. See drop(8).
//
// # What is assumed
//
// Whoever starts it is a stranger, and controls: the arguments and their number, the environment, the open descriptors and
// which are closed, the current directory, the umask, which signals are ignored or blocked or come and when, timers,
// resource limits, the controlling terminal, and the bytes of standard input and how fast they come. He can stop or kill it
// at any instant. So it takes no argument, no variable, no path and no name from him; what it opens has names that were
// compiled in or come from a file that only root writes; and what it has not finished is a draft that nobody reads. It
// starts no program, listens to nobody, and reads no configuration but three lines.
//
// The Go runtime reads GODEBUG, GOGC, GOMAXPROCS and GOMEMLIMIT before main: they can make it slow, large or talkative on
// standard error, and nothing else. So main begins with the program's starting itself again without an environment. GOTRACEBACK
// is void, since the kernel says that this is a set-id program, and closed descriptors 0 to 2 have been opened to /dev/null.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"postrider/internal/drop"
	"postrider/internal/status"
	"postrider/queue"
)

func main() {
	harden()
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings passed in; it returns a sysexits status.
func run(argv []string, in io.Reader, out, errw io.Writer) int {
	err := take(argv, in, out)
	if err == nil {
		return status.ExitOK
	}
	st := status.From(err)
	fmt.Fprintf(errw, "drop: %s\n", status.Clean(st.Error(), 2*status.MaxText))
	return st.Exit()
}

// owner is of the settings: root.
const owner = 0

// take takes one message.
func take(argv []string, in io.Reader, out io.Writer) error {
	if len(argv) > 1 {
		return status.Fail("drop", status.ExitUsage, "this program is started by sendmail, without arguments", nil)
	}
	s, err := drop.Load(drop.SettingsPath, owner)
	if err != nil {
		return err
	}
	uid := os.Getuid()
	box, err := queue.OpenDropbox(s.Spool, uid, queue.Options{})
	if err != nil {
		return err
	}
	r := drop.Request{Box: box, Spool: s.Spool, Limit: s.Limit, UID: uid, User: loginName(uid), Now: time.Now}
	return r.Take(in, out)
}
