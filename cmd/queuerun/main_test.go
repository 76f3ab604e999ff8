package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/queue"
)

// TestMain makes the test binary the program itself for those that it starts.
func TestMain(m *testing.M) {
	if os.Getenv("POSTRIDER_TEST_MAIN") != "" {
		main()
	}
	if socket := os.Getenv("POSTRIDER_TEST_LOCAL"); socket != "" {
		os.Exit(playAgent(socket))
	}
	os.Exit(m.Run())
}

// site is a user's installation in a directory of its own.
type site struct {
	t    *testing.T
	dir  string
	conf string
}

const nobody = "smtp://127.0.0.1:1" // a port at which nobody listens

func newSite(t *testing.T, smarthost string) *site {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	s := &site{t: t, dir: dir, conf: filepath.Join(dir, "postrider.toml")}
	text := fmt.Sprintf("hostname = \"here.test\"\nspool = %q\nlog = %q\n[local]\nmailbox = %q\n[smarthost]\nurl = %q\n",
		dir+"/spool", dir+"/log", "maildir:"+dir+"/Maildir", smarthost)
	if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) submit(rcpts ...string) queue.ID {
	s.t.Helper()
	spool, err := queue.Open(s.dir+"/spool", queue.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	e := queue.Envelope{Arrival: time.Now(), Sender: "postmaster@here.test", UID: -1}
	for _, r := range rcpts {
		e.Rcpts = append(e.Rcpts, queue.Rcpt{Address: r})
	}
	d, err := spool.NewDraft(e)
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprint(d, "Subject: hello\r\n\r\nhello\r\n")
	if _, err := d.Commit(); err != nil {
		s.t.Fatal(err)
	}
	return d.ID()
}

// queuerun runs the program and checks its exit status.
func (s *site) queuerun(want int, args ...string) (out, errs string) {
	s.t.Helper()
	var o, e bytes.Buffer
	got := run(append([]string{"queuerun", "-C", s.conf}, args...), &o, &e, os.Getenv)
	if got != want {
		s.t.Errorf("queuerun %q: exit %d, want %d\n%s%s", args, got, want, &o, &e)
	}
	return o.String(), e.String()
}

func (s *site) mailbox() int {
	list, _ := filepath.Glob(s.dir + "/Maildir/new/*")
	return len(list)
}

func (s *site) log() string {
	text, _ := os.ReadFile(s.dir + "/log")
	return string(text)
}

func TestEmptyQueue(t *testing.T) {
	s := newSite(t, nobody)
	out, errs := s.queuerun(0)
	if out+errs != "" {
		t.Errorf("it says %q", out+errs)
	}
}

func TestCommandLineErrors(t *testing.T) {
	s := newSite(t, nobody)
	for _, tc := range []struct{ args, want string }{
		{"--bogus", "not defined: -bogus"},
		{"word", `unexpected argument "word"`},
		{"--id 17", "--id 17: not a queue ID"},
		{"--filter-sender !", "--filter-sender needs a text to look for"},
		{"--interval 5m", "go with --daemon only"},
		{"--foreground", "go with --daemon only"},
		{"--daemon --all", "takes no selection"},
		{"--daemon --interval -5m", "not a time to wait"},
	} {
		_, errs := s.queuerun(64, strings.Fields(tc.args)...)
		if !strings.HasPrefix(errs, "queuerun: ") || !strings.Contains(errs, tc.want) {
			t.Errorf("%s: %q", tc.args, errs)
		}
	}
}

func TestBadSurroundings(t *testing.T) {
	s := newSite(t, nobody)
	s.queuerun(78, "--spool", s.conf+"/is/a/file")
	s.queuerun(78, "--confined") // its log is its own
	if err := os.WriteFile(s.conf, []byte("spol = \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs := s.queuerun(78); !strings.Contains(errs, "postrider.toml:1:") {
		t.Errorf("%q", errs)
	}
}

func TestDeliveryToTheMailbox(t *testing.T) {
	s := newSite(t, nobody)
	id := s.submit("postmaster@here.test")
	s.queuerun(0)
	if s.mailbox() != 1 {
		t.Errorf("%d messages in the mailbox", s.mailbox())
	}
	for _, want := range []string{": to=<postmaster@here.test>, relay=local, ", " status=sent (", ": removed"} {
		if !regexp.MustCompile(string(id) + `.*` + regexp.QuoteMeta(want)).MatchString(s.log()) {
			t.Errorf("log lacks %q:\n%s", want, s.log())
		}
	}
}

func TestExitStatus(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rcpts string
		want  int
	}{
		{"delivered", "postmaster@here.test", 0},
		{"deferred", "a@x.test", 0},
		{"an unknown user", "no-such-user-here@here.test", 67},
		{"an unknown user among others", "postmaster@here.test a@x.test no-such-user-here@here.test", 67},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t, nobody)
			id := s.submit(strings.Fields(tc.rcpts)...)
			s.queuerun(tc.want, "--id", string(id), "--exit-status")
		})
	}
}

func TestMissingMessage(t *testing.T) {
	s := newSite(t, nobody)
	const id = "0000000000000AAAA"
	if _, errs := s.queuerun(69, "--id", id); !strings.Contains(errs, id+": no such message") {
		t.Errorf("%q", errs)
	}
	s.queuerun(0, "--id", id, "--exit-status") // another run has served it
}

func TestHeldMessage(t *testing.T) {
	s := newSite(t, nobody)
	spool, err := queue.Open(s.dir+"/spool", queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for reason, want := range map[string]string{
		"odd\nnews": `message ID is held: odd\x0Anews; "mailq release ID" lets it go`,
		"":          `message ID is held; "mailq release ID" lets it go`,
	} {
		id := s.submit("postmaster@here.test")
		e, err := spool.Find(id)
		if err != nil {
			t.Fatal(err)
		}
		c, err := spool.Claim(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Hold(reason); err != nil {
			t.Fatal(err)
		}
		want = "queuerun: " + strings.ReplaceAll(want, "ID", string(id)) + "\n"
		if _, errs := s.queuerun(69, "--id", string(id)); errs != want {
			t.Errorf("got %q, want %q", errs, want)
		}
		s.queuerun(0, "--id", string(id), "--exit-status")
		s.queuerun(0, "--id", string(id), "--held")
	}
	if s.mailbox() != 2 {
		t.Errorf("%d messages in the mailbox", s.mailbox())
	}
}

func TestDeadNextHopIsTriedAgainWhenAsked(t *testing.T) {
	s := newSite(t, nobody)
	attempts := func() int {
		spool, err := queue.Open(s.dir+"/spool", queue.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h, _ := spool.Host("smtp:127.0.0.1:1")
		return h.Failures
	}
	for i, tc := range []struct {
		args string
		want int
	}{
		{"--id ID", 1},
		{"--id ID", 1},
		{"", 1},
		{"--id ID --exit-status", 2},
		{"--verbose", 3},
		{"--all", 4},
		{"--all --id ID", 5},
		{"--filter-recipient r.test", 6},
	} {
		id := s.submit("bob@r.test")
		s.queuerun(0, strings.Fields(strings.ReplaceAll(tc.args, "ID", string(id)))...)
		if got := attempts(); got != tc.want {
			t.Errorf("%d. queuerun %s: %d attempts, want %d", i, tc.args, got, tc.want)
		}
	}
}

func TestVerboseShowsTheDialogue(t *testing.T) {
	s := newSite(t, "smtp://"+listen(t))
	s.submit("bob@r.test")
	out, _ := s.queuerun(0, "-v")
	for _, want := range []string{
		"bob@r.test... Connecting to 127.0.0.1 (127.0.0.1:", "220 sink\n", ">>> EHLO here.test\n", ">>> RCPT To:<bob@r.test>",
		">>> QUIT\n", "bob@r.test... Sent (ok)\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	s = newSite(t, nobody)
	s.submit("bob@r.test")
	if out, _ := s.queuerun(0, "--verbose"); !strings.Contains(out, "bob@r.test... Deferred: ") {
		t.Errorf("%s", out)
	}
}

// listen starts a server that takes every message.
func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go take(conn)
		}
	}()
	return l.Addr().String()
}

func take(conn net.Conn) {
	defer conn.Close()
	fmt.Fprint(conn, "220 sink\r\n")
	data := false
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch line := lines.Text(); {
		case data && line != ".":
		case line == "DATA":
			data = true
			fmt.Fprint(conn, "354 go on\r\n")
		default:
			data = false
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}
}

func TestDaemon(t *testing.T) {
	s := newSite(t, nobody)
	s.submit("postmaster@here.test")
	ended := make(chan int, 1)
	go func() {
		var o, e bytes.Buffer
		ended <- run([]string{"queuerun", "-C", s.conf, "-d", "--foreground"}, &o, &e, os.Getenv)
	}()
	eventually(t, "what was there", func() bool { return s.mailbox() == 1 })
	s.submit("postmaster@here.test")
	eventually(t, "what arrived", func() bool { return s.mailbox() == 2 })
	another := exec.Command(os.Args[0], "-C", s.conf, "--daemon") // a process of its own: cli keeps a flag in a variable
	another.Env = append(os.Environ(), "POSTRIDER_TEST_MAIN=yes")
	if out, err := another.CombinedOutput(); another.ProcessState.ExitCode() != 75 || !strings.Contains(string(out), "another daemon runs this queue") {
		t.Errorf("%q, %v", out, err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-ended:
		if got != 0 {
			t.Errorf("exit %d", got)
		}
	case <-time.After(5 * time.Second):
		t.Error("it does not end")
	}
}

func TestDetachedDaemon(t *testing.T) {
	s := newSite(t, nobody)
	s.submit("postmaster@here.test")
	t.Chdir(s.dir)
	t.Setenv("POSTRIDER_TEST_MAIN", "yes")
	s.conf = "postrider.toml"
	s.queuerun(0, "-d", "--spool", "spool", "--interval", "1h")
	eventually(t, "the delivery", func() bool { return s.mailbox() == 1 })
	started := regexp.MustCompile(`queuerun\[(\d+)\]`).FindStringSubmatch(s.log())
	if started == nil {
		t.Fatalf("log: %s", s.log())
	}
	pid, _ := strconv.Atoi(started[1])
	if dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || dir != "/" {
		t.Errorf("it works in %q, %v", dir, err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool { return !running(t, s) })
}

func running(t *testing.T, s *site) bool {
	spool, err := queue.Open(s.dir+"/spool", queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return spool.Running()
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not seen: %s", what)
		}
	}
}
