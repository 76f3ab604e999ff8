package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"postrider/internal/sibling"
	"postrider/queue"
)

// TestMain makes the test binary the program itself when it is called by its name. Then it is $CLOCK, and the
// other programs are in $LIBEXEC.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	if filepath.Base(os.Args[0]) != "mailq" {
		os.Exit(m.Run())
	}
	sibling.Libexec = os.Getenv("LIBEXEC")
	now, err := time.Parse(time.RFC3339, os.Getenv("CLOCK"))
	if err != nil {
		main()
	}
	p := &program{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: func() time.Time { return now }, sibling: sibling.Path}
	os.Exit(p.run(os.Args))
}

// fakeQueuerun notes how it was called, says so, and exits with $EXIT.
const fakeQueuerun = "#!/bin/sh\necho queuerun \"$@\" | tee -a \"$WORK/ran\"\nexit ${EXIT:-0}\n"

const testConfig = "hostname = \"mail.example.org\"\nspool = \"WORK/spool\"\nlog = \"WORK/log\"\nmailq_format = \"postfix\"\n"

func TestScripts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               func(env *testscript.Env) error { return setup(env, self) },
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"message": message,
			"busy":    busy,
			"spool":   spool,
			"ran":     ran,
		},
	})
}

func setup(env *testscript.Env, self string) error {
	work := env.WorkDir
	files := map[string]string{
		"libexec/queuerun": fakeQueuerun,
		"postrider.toml":   strings.ReplaceAll(testConfig, "WORK", work),
	}
	for _, dir := range []string{"bin", "libexec", "home"} {
		if err := os.Mkdir(filepath.Join(work, dir), 0o755); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	env.Setenv("PATH", filepath.Join(work, "bin")+":"+os.Getenv("PATH"))
	env.Setenv("HOME", filepath.Join(work, "home"))
	env.Setenv("LIBEXEC", filepath.Join(work, "libexec"))
	env.Setenv("POSTRIDER_CONFIG", filepath.Join(work, "postrider.toml"))
	env.Setenv("SPOOL", filepath.Join(work, "spool"))
	env.Setenv("TZ", "UTC")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else the race detector keeps every program for a second
	env.Setenv("CLOCK", epoch.Add(90*time.Minute).Format(time.RFC3339))
	return os.Symlink(self, filepath.Join(work, "bin", "mailq"))
}

// exits runs a program that must end with the given status.
//
//	exits 66 mailq show ID
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

// message queues a message. Values are read as in Go strings.
//
//	message ID to=address,... [from=address] [at=duration] [text=text] [client=name] [deferred=[relay|]text]
//	        [done=number] [due=duration] [held=reason] [members=address,... [forwards=address,...]]
func message(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: message ID to=address [key=value ...]")
	}
	l := letter{ID: args[0], At: epoch}
	for _, arg := range args[1:] {
		key, raw, _ := strings.Cut(arg, "=")
		value, err := strconv.Unquote(`"` + raw + `"`)
		ts.Check(err)
		ts.Check(l.set(key, value))
	}
	_, err := post(ts.Getenv("SPOOL"), l)
	ts.Check(err)
}

func (l *letter) set(key, value string) (err error) {
	switch key {
	case "from":
		l.From = value
	case "to":
		l.To = strings.Split(value, ",")
	case "members":
		l.Members = strings.Split(value, ",")
	case "forwards":
		l.Forwards = strings.Split(value, ",")
	case "text":
		l.Text = value
	case "client":
		l.Client = value
	case "deferred":
		l.Deferred = value
	case "held":
		l.Held = &value
	case "done":
		l.Done, err = strconv.Atoi(value)
	case "login":
		l.Login = value
	case "by":
		l.By = value
	case "release":
		l.Release, err = time.ParseDuration(value)
	case "due":
		l.Due, err = time.ParseDuration(value)
	case "at":
		var d time.Duration
		d, err = time.ParseDuration(value)
		l.At = epoch.Add(d)
	default:
		err = fmt.Errorf("unknown key %q", key)
	}
	return err
}

// busy claims a message until the end of the script, as a delivery does.
func busy(ts *testscript.TestScript, _ bool, args []string) {
	s, err := queue.Open(ts.Getenv("SPOOL"), queue.Options{})
	ts.Check(err)
	e, err := s.Find(queue.ID(args[0]))
	ts.Check(err)
	c, err := s.Claim(e)
	ts.Check(err)
	ts.Defer(func() { c.Close() })
}

// spool compares the files of the spool with the given ones, in order: "new/ID" without what follows the ID.
func spool(ts *testscript.TestScript, _ bool, want []string) {
	var got []string
	for _, dir := range []string{"tmp", "new", "cur", "hold", "corrupt", "journal"} {
		list, err := os.ReadDir(filepath.Join(ts.Getenv("SPOOL"), dir))
		if err != nil && !os.IsNotExist(err) {
			ts.Fatalf("%v", err)
		}
		for _, e := range list {
			id, _, _ := strings.Cut(e.Name(), ",")
			got = append(got, dir+"/"+id)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		ts.Fatalf("the spool holds %v, want %v", got, want)
	}
}

// ran waits until queuerun was called the last time with the given words.
func ran(ts *testscript.TestScript, _ bool, want []string) {
	var text []byte
	for range 500 {
		text, _ = os.ReadFile(ts.MkAbs("ran"))
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if lines[len(lines)-1] == strings.Join(want, " ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("queuerun was called as %q", text)
}
