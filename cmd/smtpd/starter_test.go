package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/queue"
)

// runs is a starter whose queuerun notes how it was called, and then waits for as long as the file "wait" exists.
type runs struct {
	*starter
	t   *testing.T
	dir string
}

func newRuns(t *testing.T, o options) *runs {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$@\" >>" + dir + "/ran\nn=0\nwhile [ -e " + dir + "/wait ] && [ $n -lt 3000 ]; do sleep 0.01; n=$((n+1)); done\n"
	if err := os.WriteFile(filepath.Join(dir, "queuerun"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	spool, err := queue.Open(filepath.Join(dir, "spool"), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newStarter(spool, config.Config{Path: "/etc/x.toml"}, o, nil)
	s.program = func(name string) (string, error) { return filepath.Join(dir, name), nil }
	return &runs{s, t, dir}
}

func (r *runs) block() {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "wait"), nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *runs) unblock() { os.Remove(filepath.Join(r.dir, "wait")) }

// ran waits for so many runs and returns their arguments.
func (r *runs) ran(n int) string {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		text := readIf(filepath.Join(r.dir, "ran"))
		if strings.Count(text, "\n") >= n {
			return text
		}
		if time.Now().After(end) {
			r.t.Fatalf("runs: %q, want %d", text, n)
		}
	}
}

func TestOneRunAtATime(t *testing.T) {
	r := newRuns(t, options{config: "x.toml", confined: true, spool: "/spool"})
	r.block()
	r.committed(queue.Entry{})
	want := "--config=/etc/x.toml --confined --spool=/spool\n"
	if got := r.ran(1); got != want {
		t.Errorf("called with %q", got)
	}
	for range 10 {
		r.committed(queue.Entry{})
	}
	if got := r.ran(1); got != want {
		t.Errorf("runs: %q", got)
	}
	r.unblock()
	if got := r.ran(2); got != want+want {
		t.Errorf("runs: %q", got)
	}
	r.close()
	if got := r.ran(2); got != want+want {
		t.Errorf("runs: %q", got)
	}
}

func TestRunForTheLastMessages(t *testing.T) {
	r := newRuns(t, options{})
	r.block()
	r.committed(queue.Entry{})
	r.ran(1)
	r.committed(queue.Entry{}) // what the run may have missed
	r.close()
	r.ran(2)
	r.unblock()
}

func TestNoRunBesideADaemon(t *testing.T) {
	r := newRuns(t, options{})
	release, err := r.spool.LockRun()
	if err != nil {
		t.Fatal(err)
	}
	r.committed(queue.Entry{})
	for len(r.wake) > 0 {
		time.Sleep(time.Millisecond)
	}
	r.close()
	release()
	if got := readIf(filepath.Join(r.dir, "ran")); got != "" {
		t.Errorf("runs: %q", got)
	}
}

func TestRunThatCannotBeStarted(t *testing.T) {
	r := newRuns(t, options{})
	r.program = func(string) (string, error) { return "", fs.ErrNotExist }
	r.committed(queue.Entry{})
	if err := r.turn("x.example"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	r.close()
}

func TestRunsThatClientsAskFor(t *testing.T) {
	r := newRuns(t, options{})
	defer r.close()
	r.block()
	defer r.unblock()
	for _, domain := range []string{"a.example", "a.example", "@b.example", "c.example", "d.example"} {
		if err := r.turn(domain); err != nil {
			t.Fatal(err)
		}
	}
	text := r.ran(4)
	for _, want := range []string{"--filter-recipient=@a.example\n", "--filter-recipient=@b.example --filter-recipient=.b.example\n"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("runs: %q, want %q", text, want)
		}
	}
	if err := r.turn("e.example"); err == nil {
		t.Error("there is no end to the runs")
	}
	r.unblock()
	for end := time.Now().Add(patience); r.turn("e.example") != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("runs do not end")
		}
	}
}

func TestEnvironmentOfARun(t *testing.T) {
	t.Setenv("LD_PRELOAD_OF_ROOT", "x")
	t.Setenv("HOME", "/root")
	t.Setenv("POSTRIDER_CONFIG", "/etc/x.toml")
	t.Setenv("TZ", "UTC")
	t.Setenv("LANG", "")
	dir := t.TempDir()
	r := newRuns(t, options{})
	defer r.close()
	script := "#!/bin/sh\nexec env >" + dir + "/env\n"
	if err := os.WriteFile(filepath.Join(dir, "queuerun"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	r.program = func(name string) (string, error) { return filepath.Join(dir, name), nil }
	cmd, err := r.start()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range strings.Fields(readIf(filepath.Join(dir, "env"))) {
		if !strings.HasPrefix(line, "PWD=") && !strings.HasPrefix(line, "_=") && !strings.HasPrefix(line, "SHLVL=") { // of the shell
			got = append(got, line)
		}
	}
	slices.Sort(got)
	if want := "HOME=/ PATH=" + runPath + " POSTRIDER_CONFIG=/etc/x.toml TZ=UTC"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %s", got, want)
	}
}
