package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/queuerun"
	"postrider/queue"
)

// playAgent is a delivery agent that takes one connection and, when it hears anything there, ends.
func playAgent(socket string) int {
	l, err := net.Listen("unix", socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return 1
		}
		if n, _ := conn.Read(make([]byte, 1)); n > 0 {
			return 3
		}
	}
}

// withAgent is a program of root beside which there is a delivery agent, by a script of the given text.
func withAgent(t *testing.T, script string) (*program, *bytes.Buffer, config.Config) {
	t.Helper()
	dir := t.TempDir()
	conf := config.Default()
	conf.Local.Socket, conf.Path = dir+"/s", dir+"/postrider.toml"
	path := filepath.Join(dir, "local")
	text := "#!/bin/sh\n" + strings.NewReplacer("SELF", os.Args[0], "DIR", dir).Replace(script) + "\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	p := &program{out: &errs, err: &errs, getenv: os.Getenv, geteuid: func() int { return 0 }}
	p.sibling = func(name string) (string, error) {
		if name != "local" {
			return "", fs.ErrNotExist
		}
		return path, nil
	}
	return p, &errs, conf
}

const agentScript = `echo "$@" > DIR/args; env > DIR/env; POSTRIDER_TEST_LOCAL=DIR/s exec SELF`

func TestRootsDaemonStartsTheAgent(t *testing.T) {
	t.Setenv("EVIL", "yes")
	p, errs, conf := withAgent(t, agentScript)
	a, err := p.startAgent(conf, false)
	if err != nil || a == nil || !answers(conf.Local.Socket) || errs.Len() > 0 {
		t.Fatalf("%v, %v, %s", a, err, errs)
	}
	dir := filepath.Dir(conf.Path)
	args, _ := os.ReadFile(dir + "/args")
	env, _ := os.ReadFile(dir + "/env")
	if string(args) != "--config="+conf.Path+"\n" || bytes.Contains(env, []byte("EVIL")) {
		t.Errorf("%s, %s", args, env)
	}
	if again, err := p.startAgent(conf, false); again != nil || err != nil {
		t.Errorf("a second one: %v, %v", again, err)
	}
	spool, err := queue.Open(dir+"/spool", queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- daemon(&queuerun.Runner{Spool: spool, Config: conf}, time.Hour, a) }()
	conn, err := net.Dial("unix", conf.Local.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "x")
	select {
	case err := <-ended:
		if err == nil || !strings.HasPrefix(err.Error(), "local, the delivery agent, has ended: exit status 3") {
			t.Errorf("the daemon ends with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the daemon goes on without its agent")
	}
}

func TestAgentsThatAreNotStarted(t *testing.T) {
	for _, tc := range []struct {
		name   string
		script string
		edit   func(*program, *config.Config)
		err    string // what is returned
		says   string // what is said
	}{
		{"by others than root", agentScript, func(p *program, _ *config.Config) { p.geteuid = os.Getppid }, "", ""},
		{"in a user installation", agentScript, func(_ *program, c *config.Config) { c.User = true }, "", ""},
		{"not installed", "", func(p *program, _ *config.Config) {
			p.sibling = func(string) (string, error) { return "", fmt.Errorf("/x/local: %w", fs.ErrNotExist) }
		}, "", "there is no delivery agent (/x/local: file does not exist): mail for users of this machine waits"},
		{"nobody knows", "", func(p *program, _ *config.Config) {
			p.sibling = func(string) (string, error) { return "", errors.New("odd") }
		}, "cannot start local: odd", ""},
		{"it ends at once", "exit 78", func(*program, *config.Config) {}, "local, the delivery agent, has ended: exit status 78", ""},
	} {
		p, errs, conf := withAgent(t, tc.script)
		tc.edit(p, &conf)
		_, err := p.startAgent(conf, false)
		if (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err || !strings.Contains(errs.String(), tc.says) || tc.says == "" && errs.Len() > 0 {
			t.Errorf("%s: %v, %q", tc.name, err, errs)
		}
		if answers(conf.Local.Socket) {
			t.Errorf("%s: somebody answers", tc.name)
		}
	}
}
