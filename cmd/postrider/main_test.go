package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/rogpeppe/go-internal/testscript"

	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/maillog"
	"postrider/internal/route"
	"postrider/internal/status"
	"postrider/queue"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"postrider": func() { os.Exit(testApp().run(os.Args)) },
		"sendmail":  func() { os.Exit(fakeSendmail()) },
		"mailq":     func() {},
		"queuerun":  func() { os.Exit(fakeQueuerun()) },
		"smtpd":     func() { os.Exit(fakeSmtpd()) },
	})
}

// testApp is the program with the surroundings that a script describes: ZONE and PASSWD name files, TERMINAL=1
// lets it ask, SECRET is what is typed unseen, PROGRAMS=none
// takes the other programs away.
func testApp() *app {
	a := system(os.Stdin, os.Stdout, os.Stderr)
	a.uid = 1000
	a.users = route.NewPasswd(os.Getenv("PASSWD"))
	a.resolver = func() (dns.Resolver, error) {
		zone, err := os.ReadFile(os.Getenv("ZONE"))
		return dns.Zone(string(zone)), err
	}
	a.program = func(name string) (string, error) {
		if os.Getenv("PROGRAMS") == "none" {
			return "", fs.ErrNotExist
		}
		return exec.LookPath(name)
	}
	a.terminal = os.Getenv("TERMINAL") == "1"
	a.readSecret = func() (string, error) { return os.Getenv("SECRET"), nil }
	a.sleep = func(time.Duration) {}
	return a
}

// fakeSmtpd says what --check finds, and fails where it is told to.
func fakeSmtpd() int {
	if len(os.Args) != 2 || os.Args[1] != "--check" || os.Getenv("POSTRIDER_CONFIG") == "" {
		must(fmt.Errorf("called with %q", os.Args))
	}
	fmt.Println("ok: relaying: a stranger is refused")
	code, _ := strconv.Atoi(os.Getenv("SERVER"))
	return code
}

// fakeSendmail queues what it gets. REFUSE is an exit status.
func fakeSendmail() int {
	if code, err := strconv.Atoi(os.Getenv("REFUSE")); err == nil {
		return code
	}
	if got := strings.Join(os.Args[1:4], " "); got != "-i -odq -L" || len(os.Args) != 7 {
		must(fmt.Errorf("called with %q", os.Args))
	}
	spool, log := fakeSystem()
	fakeSubmit(spool, log, os.Args[4], os.Args[6])
	return 0
}

// fakeQueuerun does to a message what OUTCOME says.
func fakeQueuerun() int {
	if len(os.Args) != 5 || os.Args[1] != "--id" || os.Args[4] != "--exit-status" {
		must(fmt.Errorf("called with %q", os.Args))
	}
	spool, log := fakeSystem()
	return fakeDeliver(spool, log, os.Args[2])
}

func fakeSystem() (*queue.Spool, *maillog.Logger) {
	conf, err := config.Load(os.Getenv("POSTRIDER_CONFIG"))
	must(err)
	log, err := maillog.Open("test", conf.Log, nil)
	must(err)
	spool, err := queue.Open(conf.Spool, queue.Options{})
	must(err)
	return spool, log
}

func fakeSubmit(spool *queue.Spool, log *maillog.Logger, tag, to string) {
	d, err := spool.NewDraft(queue.Envelope{Arrival: time.Now(), Tag: tag, Rcpts: []queue.Rcpt{{Address: to}}})
	must(err)
	_, err = io.Copy(d, os.Stdin)
	must(err)
	e, err := d.Commit()
	must(err)
	log.Queued(string(e.ID), "me@here.example", e.Size, 1, 1000, "", tag)
}

func fakeDeliver(spool *queue.Spool, log *maillog.Logger, id string) (exit int) {
	fmt.Println(">>> MAIL FROM:<me@here.example>")
	e, err := spool.Find(queue.ID(id))
	must(err)
	c, err := spool.Claim(e)
	must(err)
	to := c.Envelope.Rcpts[0].Address
	switch os.Getenv("OUTCOME") {
	case "deferred":
		s := status.New("test", 451, status.Code{4, 4, 1}, "connection refused", nil)
		log.Attempt(id, to, "", "", time.Second, s.Code(), maillog.Deferred, s.Text(), "")
		must(c.Record(queue.Record{Time: time.Now(), Kind: queue.Deferred, Rcpts: queue.One(0), Reply: s.Reply(), Code: s.Code(), Text: s.Text()}))
		must(c.Defer(time.Now().Add(time.Hour)))
	case "bounced":
		log.Attempt(id, to, "", "mx.example[192.0.2.1]:25", time.Second, status.Code{5, 1, 1}, maillog.Bounced, "no such user", "")
		must(c.Remove())
		return status.ExitNoUser
	default:
		log.Attempt(id, to, "", "mx.example[192.0.2.1]:25", time.Second, status.Code{2, 0, 0}, maillog.Sent, "ok", "")
		must(c.Remove())
	}
	return 0
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fake program:", err)
		os.Exit(70)
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir+"/home")
			e.Setenv("LOGNAME", "alice")
			e.Setenv("ZONE", e.WorkDir+"/zone")
			e.Setenv("PASSWD", e.WorkDir+"/passwd")
			uid := strconv.Itoa(os.Getuid())
			passwd := "alice:x:" + uid + ":100::/home/alice:/bin/sh\nbob:x:4000001:100::/home/bob:/bin/sh\n"
			err := os.WriteFile(e.WorkDir+"/passwd", []byte(passwd), 0o600)
			if _, missing := os.Stat(e.WorkDir + "/zone"); missing != nil {
				err = errors.Join(err, os.WriteFile(e.WorkDir+"/zone", nil, 0o600))
			}
			return errors.Join(err, expandWork(e.WorkDir))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "smarthost": smarthost, "mode": mode, "daemon": daemon},
	})
}

// expandWork puts the work directory's name where the script's files say $WORK.
func expandWork(dir string) error {
	files, err := filepath.Glob(dir + "/[a-z]*.*")
	for _, name := range files {
		text, readErr := os.ReadFile(name)
		if readErr != nil {
			return readErr
		}
		text = bytes.ReplaceAll(text, []byte("$WORK"), []byte(dir))
		err = errors.Join(err, os.WriteFile(name, text, 0o600))
	}
	return err
}

// exits CODE PROGRAM ARG... proves an exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s: exit status %d, want %s", args[1], code, args[0])
	}
}

// daemon DIR makes the test the daemon of a spool. It delivers nothing.
func daemon(ts *testscript.TestScript, neg bool, args []string) {
	spool, err := queue.Open(ts.MkAbs(args[0]), queue.Options{})
	ts.Check(err)
	release, err := spool.LockRun()
	ts.Check(err)
	ts.Defer(func() { release() })
}

// mode OCTAL FILE proves a file's permissions.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// smarthost PASSWORD starts an SMTP server on a loopback port, $PORT, that lets user me in with the password.
func smarthost(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	s := smtp.NewServer(backend(args[0]))
	s.Domain, s.AllowInsecureAuth = "smarthost.example", true
	s.ErrorLog = quiet{}
	go s.Serve(l)
	ts.Defer(func() { s.Close() })
	ts.Setenv("PORT", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// backend is the password of user me.
type backend string

func (b backend) NewSession(*smtp.Conn) (smtp.Session, error) { return session{b}, nil }

type session struct{ password backend }

func (s session) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "me" || password != string(s.password) {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}
func (session) Reset()                               {}
func (session) Logout() error                        { return nil }
func (session) Mail(string, *smtp.MailOptions) error { return nil }
func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (session) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }
