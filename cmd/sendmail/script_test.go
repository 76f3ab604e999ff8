package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"postrider/internal/sibling"
	"postrider/queue"
)

// names are those by which the scripts call the program.
var names = []string{"sendmail", "send-mail", "mailq", "newaliases", "hoststat", "purgestat", "runq", "rmail", "smtpd"}

// noRaceSleep spares every run of the program the second that the race detector waits at its end.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

// TestMain makes the test binary the program itself when it is called by one of its names. Then dead.letter is in
// $HOME, and the other programs are in $LIBEXEC.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "planted" {
		plant(os.Args[1])
	}
	if slices.Contains(names, filepath.Base(os.Args[0])) {
		homeDir = func(int) string { return os.Getenv("HOME") }
		sibling.Libexec = os.Getenv("LIBEXEC")
		main()
	}
	code := m.Run()
	if dropDir != "" {
		os.RemoveAll(dropDir)
	}
	os.Exit(code)
}

func TestScripts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if raced() { // each start of the program is slow then, and only one script has anything to race
		files = []string{"testdata/script/input.txtar"}
	}
	testscript.Run(t, testscript.Params{
		Files:               files,
		Setup:               func(env *testscript.Env) error { return setup(env, self) },
		RequireExplicitExec: true,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "mount":
				return canMount(t), nil
			case "root":
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":       exits,
			"spool":       spool,
			"queued":      queued,
			"ran":         ran,
			"unreachable": unreachable,
			"interrupt":   interrupt,
			"nobody":      nobody,
			"tmpfs":       tmpfs,
			"server":      serve,
			"drop":        dropCommand,
		},
	})
}

// raced tells whether the race detector is built in.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

const testConfig = `hostname = "mail.example.org"
origin = "example.org"
domains = ["example.org"]
spool = "WORK/spool"
log = "WORK/log"
message_size_limit = 60000
hop_limit = 25
`

// fakeQueuerun notes how it was called, says what $SAYS is, and exits with $EXIT.
const fakeQueuerun = "#!/bin/sh\necho queuerun \"$@\" >>\"$WORK/ran\"\n[ -z \"$SAYS\" ] || echo \"$SAYS\"\nexit ${EXIT:-0}\n"

func setup(env *testscript.Env, self string) error {
	work := env.WorkDir
	for _, dir := range []string{"bin", "libexec", "home"} {
		if err := os.Mkdir(filepath.Join(work, dir), 0o755); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := os.Symlink(self, filepath.Join(work, "bin", name)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(work, "libexec/queuerun"), []byte(fakeQueuerun), 0o755); err != nil {
		return err
	}
	conf := filepath.Join(work, "postrider.toml")
	if err := os.WriteFile(conf, []byte(strings.ReplaceAll(testConfig, "WORK", work)), 0o644); err != nil {
		return err
	}
	for name, size := range map[string]int{"big": 40_000, "huge": 80_000} {
		text := "Subject: " + name + "\n\n" + strings.Repeat("0123456789012345678901234567890123456789\n", size/41)
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Dir(work), 0o755); err != nil { // for nobody
		return err
	}
	env.Setenv("PATH", filepath.Join(work, "bin")+":"+os.Getenv("PATH"))
	env.Setenv("HOME", filepath.Join(work, "home"))
	env.Setenv("LIBEXEC", filepath.Join(work, "libexec"))
	env.Setenv("POSTRIDER_CONFIG", conf)
	env.Setenv("SPOOL", filepath.Join(work, "spool"))
	env.Setenv("TZ", "UTC")
	env.Vars = append(env.Vars, noRaceSleep)
	return nil
}

// exits runs a program that must end with the given status.
//
//	exits 75 sendmail bob@remote.example
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits status program [argument ...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	checkStatus(ts, want, ts.Exec(args[1], args[2:]...))
}

func checkStatus(ts *testscript.TestScript, want int, err error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	got := 0
	if exit != nil {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// spool checks how many messages are queued. Nothing else may be in the spool.
//
//	spool 0
func spool(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: spool messages")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var messages, others []string
	for _, file := range spoolFiles(ts) {
		if strings.HasPrefix(file, "new/") || strings.HasPrefix(file, "hold/") {
			messages = append(messages, file)
		} else if file != "lock" {
			others = append(others, file)
		}
	}
	if len(messages) != want || len(others) > 0 {
		ts.Fatalf("want %d messages in the spool; there are %q and %q", want, messages, others)
	}
}

func spoolFiles(ts *testscript.TestScript) (files []string) {
	root := ts.Getenv("SPOOL")
	filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, path)
			files = append(files, rel)
		}
		return nil
	})
	return files
}

// queued prints the messages in the queue, oldest first: the envelope, an empty line, and the message with LF line
// ends.
func queued(ts *testscript.TestScript, neg bool, args []string) {
	s, err := queue.Open(ts.Getenv("SPOOL"), queue.Options{})
	ts.Check(err)
	ts.Check(s.List(queue.New|queue.Held, func(m *queue.Message) error {
		c, err := s.Claim(m.Entry)
		if err != nil {
			return err
		}
		defer c.Close()
		e := c.Envelope
		fmt.Fprintf(ts.Stdout(), "from=<%s> ret=%s envid=%s body=%s utf8=%v tag=%s noalias=%v\n", e.Sender, e.Ret, e.EnvID, e.Body, e.UTF8, e.Tag, e.NoAlias)
		for _, r := range e.Rcpts {
			fmt.Fprintf(ts.Stdout(), "to=<%s> notify=%s\n", r.Address, r.Notify)
		}
		text, err := io.ReadAll(c.Body())
		fmt.Fprintf(ts.Stdout(), "\n%s", strings.ReplaceAll(string(text), "\r\n", "\n"))
		return err
	}))
}

// unreachable notes in the spool that a next hop cannot be reached.
//
//	unreachable mx:x.test 'mx.x.test (192.0.2.1:25)' 'connection refused'
func unreachable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: unreachable key host reason")
	}
	s, err := queue.Open(ts.Getenv("SPOOL"), queue.Options{})
	ts.Check(err)
	s.FailHost(queue.Host{Name: args[0], Relay: args[1], Text: args[2], Until: time.Now().Add(time.Minute)})
}

// ran waits until a program that was started in the background has noted its command line, checks that it is this
// one, and forgets it.
//
//	ran 'queuerun --all'
func ran(ts *testscript.TestScript, neg bool, args []string) {
	file := ts.MkAbs(filepath.Join(ts.Getenv("WORK"), "ran"))
	if neg {
		if text, err := os.ReadFile(file); err == nil {
			ts.Fatalf("a program was started: %s", text)
		}
		return
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil && strings.HasSuffix(string(text), "\n") {
			os.Remove(file)
			if line := idPattern(string(text)); line != strings.Join(args, " ")+"\n" {
				ts.Fatalf("was started: %s", line)
			}
			return
		}
	}
	ts.Fatalf("nothing was started")
}

// idPattern puts ID in the place of queue IDs.
func idPattern(line string) string {
	words := strings.Fields(line)
	for i, w := range words {
		if _, err := queue.ParseID(w); err == nil {
			words[i] = "ID"
		}
	}
	return strings.Join(words, " ") + "\n"
}

// interrupt runs a program, gives it the beginning of a message on standard input, and once it has read that sends
// a signal. Status -1 is death by the signal.
//
//	interrupt TERM 75 file sendmail bob@remote.example
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: interrupt signal status file program [argument ...]")
	}
	signals := map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := ts.ReadFile(args[2])
	// What we ignore, as under nohup(1), the program would ignore too; what we handle it meets in its default state.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, signals[args[0]])
	defer signal.Stop(handled)
	cmd := exec.Command(filepath.Join(ts.Getenv("WORK"), "bin", args[3]), args[4:]...)
	cmd.Env = environ(ts)
	cmd.Stderr = ts.Stderr()
	in, err := cmd.StdinPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	_, err = io.WriteString(in, text)
	ts.Check(err)
	ts.Check(waitUntilRead(in.(*os.File)))
	ts.Check(cmd.Process.Signal(signals[args[0]]))
	checkStatus(ts, want, cmd.Wait())
}

func environ(ts *testscript.TestScript) (env []string) {
	for _, name := range []string{"PATH", "HOME", "LIBEXEC", "POSTRIDER_CONFIG", "WORK", "TZ", "GORACE"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// waitUntilRead waits until nothing is left in a pipe.
func waitUntilRead(pipe *os.File) error {
	conn, err := pipe.SyscallConn()
	if err != nil {
		return err
	}
	for left := 1; left > 0 && err == nil; time.Sleep(time.Millisecond) {
		if cerr := conn.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); cerr != nil {
			return cerr
		}
	}
	return err
}

// nobody is exits for a user who may not write anywhere; when the tests are run by root that is nobody's uid.
//
//	nobody 75 sendmail bob@remote.example
func nobody(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: nobody status program [argument ...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := exec.Command(filepath.Join(ts.Getenv("WORK"), "bin", args[1]), args[2:]...)
	cmd.Dir = "/"
	cmd.Env = environ(ts)
	cmd.Stdin = strings.NewReader("Subject: x\n\ntext\n")
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Path = copySelf(ts, args[1])
	}
	checkStatus(ts, want, cmd.Run())
}

// copySelf copies the program to where anybody may run it.
func copySelf(ts *testscript.TestScript, name string) string {
	self, err := os.Executable()
	ts.Check(err)
	dir := filepath.Join(ts.Getenv("WORK"), "anybody")
	ts.Check(os.MkdirAll(dir, 0o755))
	// Another program copies: a file that this process wrote is busy while a fork of another script has it open.
	ts.Check(exec.Command("cp", self, filepath.Join(dir, name)).Run())
	return filepath.Join(dir, name)
}

// tmpfs mounts a small file system at a directory.
//
//	tmpfs spool 64k
func tmpfs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tmpfs directory size")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+args[1]))
	ts.Defer(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

// canMount tells whether this machine lets us mount a file system.
func canMount(t *testing.T) bool {
	dir, err := os.MkdirTemp("", "mount.")
	if err != nil {
		t.Error(err)
		return false
	}
	defer os.Remove(dir)
	if unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4k") != nil {
		return false
	}
	return unix.Unmount(dir, unix.MNT_DETACH) == nil
}

// serve starts a server for the spool that the script looks at, at the socket of server.toml. The spool of that
// configuration is another user's.
//
//	server
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: server")
	}
	work := ts.Getenv("WORK")
	theirs := filepath.Join(work, "theirs")
	ts.Check(os.Mkdir(theirs, 0o700))
	ts.Check(os.Chown(theirs, 65533, 65533))
	conf := strings.Replace(testConfig, "WORK/spool", "WORK/theirs", 1) + "[[listen]]\naddress = \"WORK/submit\"\nmode = \"local\"\n"
	ts.Check(os.WriteFile(filepath.Join(work, "server.toml"), []byte(strings.ReplaceAll(conf, "WORK", work)), 0o644))
	ts.Setenv("POSTRIDER_CONFIG", filepath.Join(work, "server.toml"))
	s, err := queue.Open(ts.Getenv("SPOOL"), queue.Options{})
	ts.Check(err)
	stop, err := serveAt(filepath.Join(work, "submit"), s)
	ts.Check(err)
	ts.Defer(stop)
}
