package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"postrider/internal/sibling"
)

// patience bounds every wait.
const patience = 30 * time.Second

// TestMain makes the test binary the program itself when it is called by its name, with the other programs in $LIBEXEC,
// and a stand-in for systemd and for a whole system when it is called by theirs.
func TestMain(m *testing.M) {
	sibling.Libexec = os.Getenv("LIBEXEC")
	switch name := filepath.Base(os.Args[0]); {
	case name == "activate":
		activated()
	case name == "sandbox":
		sandboxed()
	case name == "smtpd", os.Getenv("POSTRIDER_TEST_MAIN") != "": // a server in the background has lost its name
		main()
	}
	os.Exit(m.Run())
}

// fakeQueuerun notes how it was called.
const fakeQueuerun = "#!/bin/sh\necho queuerun \"$@\" >>\"WORK/ran\"\n"

const testConfig = `hostname = "mail.example.org"
domains = ["example.org"]
spool = "WORK/spool"
log = "WORK/log"
[smtpd]
access = "WORK/access"
`

func TestScripts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               func(env *testscript.Env) error { return setup(env, self) },
		RequireExplicitExec: true,
		Condition: func(cond string) (bool, error) {
			if cond == "mount" {
				return canMount(), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"activate": activate,
			"ended":    ended,
			"exits":    exits,
			"fetch":    fetch,
			"inetd":    inetd,
			"keypair":  keypair,
			"leave":    leave,
			"listen":   listen,
			"logged":   logged,
			"notified": notified,
			"open":     open,
			"over":     over,
			"port":     port,
			"ran":      ran,
			"replace":  replace,
			"sandbox":  sandbox,
			"say":      say,
			"serve":    serve,
			"signal":   sendSignal,
			"spool":    spool,
			"token":    token,
		},
	})
}

// stage is what a script has under way.
type stage struct {
	server *exec.Cmd
	ended  chan struct{}
	conns  map[string]*talk
	notify *net.UnixConn
}

type stageKey struct{}

func setup(env *testscript.Env, self string) error {
	work := env.WorkDir
	st := &stage{conns: map[string]*talk{}}
	env.Values[stageKey{}] = st
	env.Defer(st.end)
	for _, dir := range []string{"bin", "libexec", "home"} {
		if err := os.Mkdir(filepath.Join(work, dir), 0o755); err != nil {
			return err
		}
	}
	files := map[string]string{"libexec/queuerun": strings.ReplaceAll(fakeQueuerun, "WORK", work), "base.toml": strings.ReplaceAll(testConfig, "WORK", work), "access": ""}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"smtpd", "activate", "sandbox"} {
		if err := os.Symlink(self, filepath.Join(work, "bin", name)); err != nil {
			return err
		}
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(work, "notify"), Net: "unixgram"})
	if err != nil {
		return err
	}
	st.notify = notify
	env.Setenv("PATH", filepath.Join(work, "bin")+":"+os.Getenv("PATH"))
	env.Setenv("HOME", filepath.Join(work, "home"))
	env.Setenv("LIBEXEC", filepath.Join(work, "libexec"))
	env.Setenv("POSTRIDER_CONFIG", filepath.Join(work, "postrider.toml"))
	env.Setenv("NOTIFY_SOCKET", filepath.Join(work, "notify"))
	env.Setenv("POSTRIDER_TEST_MAIN", "yes")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else the race detector keeps every program for a second
	return os.WriteFile(filepath.Join(work, "postrider.toml"), []byte(files["base.toml"]), 0o600)
}

// end ends what a script has left.
func (st *stage) end() {
	for _, c := range st.conns {
		c.conn.Close()
	}
	if st.server != nil {
		st.server.Process.Kill()
		<-st.ended
	}
	st.notify.Close()
}

func staged(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

// exits runs a program that must end with the given status.
//
//	exits 64 smtpd --bogus
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits status program [argument ...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// port makes the variable name a free port, and host:port the variable name_ADDR.
func port(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		l := freePort(ts)
		defer l.Close()
		ts.Setenv(name, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
		ts.Setenv(name+"_ADDR", l.Addr().String())
	}
}

// The ports that scripts get: not those that the kernel gives to clients, so that they stay free, and none twice.
const firstPort, lastPort = 10000, 30000

var nextPort atomic.Int64

func init() { nextPort.Store(rand.Int64N(lastPort - firstPort)) }

func freePort(ts *testscript.TestScript) net.Listener {
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%(lastPort-firstPort)))
		if err == nil {
			return l
		}
	}
	ts.Fatalf("no port is free")
	return nil
}

// listen makes the configuration the basic one and [[listen]] tables: "listen address [key=value ...] [+ address ...]".
func listen(ts *testscript.TestScript, _ bool, words []string) {
	text := ts.ReadFile("base.toml")
	for i, w := range words {
		if i == 0 || words[i-1] == "+" {
			text += "[[listen]]\naddress = \"" + w + "\"\n"
			continue
		}
		if key, value, ok := strings.Cut(w, "="); ok {
			text += key + " = \"" + value + "\"\n"
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs("postrider.toml"), []byte(text), 0o600))
}

// replace replaces a text in a file.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s has no %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(text, args[0], args[1])), 0o600))
}

// ran waits until queuerun has been called, each time with the given words.
func ran(ts *testscript.TestScript, _ bool, want []string) {
	line := strings.Join(want, " ") + "\n"
	wait(ts, "the calls of queuerun", func() bool {
		text := readIf(ts.MkAbs("ran"))
		return text != "" && text == strings.Repeat(line, strings.Count(text, "\n"))
	})
	ts.Check(os.Remove(ts.MkAbs("ran")))
}

// logged waits until the log has a line that matches.
func logged(ts *testscript.TestScript, neg bool, args []string) {
	match := func() bool {
		text, _ := os.ReadFile(ts.MkAbs("log"))
		return regexp.MustCompile("(?m)" + args[0]).Match(text)
	}
	if !neg {
		wait(ts, "log line "+args[0], match)
	} else if match() {
		ts.Fatalf("the log has %s", args[0])
	}
}

// spool tells how many messages there must be.
func spool(ts *testscript.TestScript, _ bool, args []string) {
	list, _ := filepath.Glob(ts.MkAbs("spool/new/*"))
	if strconv.Itoa(len(list)) != args[0] {
		ts.Fatalf("there are %d messages", len(list))
	}
	if drafts, _ := filepath.Glob(ts.MkAbs("spool/tmp/*")); len(drafts) > 0 {
		ts.Fatalf("left in the spool: %v", drafts)
	}
}

// notified waits for a message to systemd that matches.
func notified(ts *testscript.TestScript, _ bool, args []string) {
	conn := staged(ts).notify
	conn.SetReadDeadline(time.Now().Add(patience))
	for buf, seen := make([]byte, 4096), ""; ; {
		n, err := conn.Read(buf)
		if err != nil {
			ts.Fatalf("%v; seen: %q", err, seen)
		}
		if seen += string(buf[:n]) + "\n"; regexp.MustCompile(args[0]).Match(buf[:n]) {
			return
		}
	}
}

func wait(ts *testscript.TestScript, what string, cond func() bool) {
	for end := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("not seen: %s\nlog:\n%sstandard error:\n%s", what, readIf(ts.MkAbs("log")), readIf(ts.MkAbs("stderr")))
		}
	}
}

func readIf(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// serve starts a server and waits until it serves.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	begin(ts, exec.Command(ts.MkAbs("bin/smtpd"), args...))
}

// begin starts a server. Its output goes to files, so that nobody has to read it.
func begin(ts *testscript.TestScript, cmd *exec.Cmd) {
	start(ts, cmd)
	logged(ts, false, []string{`smtpd\[` + strconv.Itoa(cmd.Process.Pid) + `\]: .*state=started`})
}

func start(ts *testscript.TestScript, cmd *exec.Cmd) {
	st := staged(ts)
	if cmd.Stderr == nil {
		f, err := os.Create(ts.MkAbs("stderr"))
		ts.Check(err)
		defer f.Close()
		cmd.Stderr = f
	}
	cmd.Dir = ts.MkAbs(".")
	for _, key := range []string{"PATH", "HOME", "LIBEXEC", "POSTRIDER_CONFIG", "NOTIFY_SOCKET", "POSTRIDER_TEST_MAIN", "GORACE", "WORK", "WATCHDOG_USEC", "NAMES", "TMPFS"} {
		cmd.Env = append(cmd.Env, key+"="+ts.Getenv(key))
	}
	ts.Check(cmd.Start())
	st.server, st.ended = cmd, make(chan struct{})
	go func() {
		cmd.Wait()
		close(st.ended)
	}()
}

// sendSignal sends a signal to the server.
func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}
	ts.Check(staged(ts).server.Process.Signal(signals[args[0]]))
}

// fetch prints what an address answers over HTTP.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	web := http.Client{Timeout: patience}
	r, err := web.Get(args[0])
	ts.Check(err)
	defer r.Body.Close()
	_, err = io.Copy(ts.Stdout(), r.Body)
	ts.Check(err)
}

// leave leaves a Unix socket behind where nobody listens.
func leave(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: ts.MkAbs(args[0]), Net: "unix"})
	ts.Check(err)
	l.SetUnlinkOnClose(false)
	ts.Check(l.Close())
}

// ended waits for the end of the server, with the given exit status.
func ended(ts *testscript.TestScript, _ bool, args []string) {
	st := staged(ts)
	select {
	case <-st.ended:
	case <-time.After(patience):
		ts.Fatalf("it does not end")
	}
	if got := strconv.Itoa(st.server.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}
