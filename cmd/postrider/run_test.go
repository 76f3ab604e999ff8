package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervised runs "postrider run" as a process of its own, with daemons that are scripts, and returns what it says. do is
// called when both are ready.
func supervised(t *testing.T, queuerun, smtpd string, do func(p *os.Process)) (exit int, says string) {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "postrider.toml")
	for name, script := range map[string]string{"queuerun": queuerun, "smtpd": smtpd} {
		text := "#!/bin/sh\necho " + name + " \"$@\"\n" + script + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(conf, []byte("spool = \""+dir+"/spool\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	postrider, err := exec.LookPath("postrider") // testscript has put us there by that name
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(postrider, "run")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "POSTRIDER_CONFIG="+conf)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for p := make([]byte, 1024); strings.Count(b.String(), "ready\n") < strings.Count(queuerun+smtpd, "echo ready"); {
		n, err := out.Read(p)
		b.Write(p[:n])
		if err != nil {
			break
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	do(cmd.Process)
	io.Copy(&b, out)
	cmd.Wait()
	return cmd.ProcessState.ExitCode(), strings.ReplaceAll(b.String(), dir, "DIR")
}

const ready = "echo ready; until [ -e ${0%/*}/go ]; do sleep 0.01; done; " // waits until all are

const both = `^ends$[^%]*^ends$` // and what a shell may say between

const waits = "trap 'echo ends; exit 0' TERM; trap 'echo reloads' HUP; echo ready; while :; do sleep 0.02 & wait $!; done"

func TestRun(t *testing.T) {
	terminate := func(p *os.Process) { p.Signal(syscall.SIGTERM) }
	for _, c := range []struct {
		name, queuerun, smtpd string
		do                    func(*os.Process)
		exit                  int
		says                  []string
	}{
		{"a signal ends all", waits, waits, terminate, 0, []string{"^queuerun --daemon --foreground --config=DIR/postrider.toml$", "^smtpd --foreground --queue-only --config=DIR/postrider.toml$", both}},
		{"an interrupt as well", waits, waits, func(p *os.Process) { p.Signal(syscall.SIGINT) }, 0, []string{both}},
		{"a daemon that ends takes the other along", waits, ready + "exit 78", func(*os.Process) {}, 78, []string{`^postrider: smtpd has ended \(exit status 78\)$`, "^ends$"}},
		{"also when it is content", ready + "exit 0", waits, func(*os.Process) {}, 70, []string{`^postrider: queuerun has ended \(exit status 0\)$`, "^ends$"}},
		{"and when it is killed", ready + "kill -9 $$", waits, func(*os.Process) {}, 70, []string{`^postrider: queuerun has ended \(killed\)$`}},
		{"SIGHUP is passed on", waits, waits, func(p *os.Process) {
			p.Signal(syscall.SIGHUP)
			time.Sleep(100 * time.Millisecond)
			p.Signal(syscall.SIGTERM)
		}, 0, []string{"^reloads$", both}},
		{"what a daemon has started ends with it", "sh -c \"trap 'echo agent ends; exit' TERM; echo ready; while :; do sleep 0.02 & wait; done\" & " + ready + "exit 1", waits, func(*os.Process) {}, 1,
			[]string{"^agent ends$", "^ends$"}},
		{"who asks twice does not wait", "trap '' TERM; echo ready; while :; do sleep 0.02; done", waits, func(p *os.Process) {
			p.Signal(syscall.SIGTERM)
			time.Sleep(50 * time.Millisecond)
			p.Signal(syscall.SIGTERM)
		}, 0, []string{"^ends$"}},
		{"orphans are taken leave of", "(sh -c 'sleep 0.01 &'; sleep 0.1); " + waits, waits, func(p *os.Process) {
			if dead := zombies(t, p.Pid); len(dead) > 0 {
				t.Errorf("zombies: %q", dead)
			}
			terminate(p)
		}, 0, []string{both}},
	} {
		t.Run(c.name, func(t *testing.T) {
			exit, says := supervised(t, c.queuerun, c.smtpd, c.do)
			if exit != c.exit {
				t.Errorf("exit status %d, want %d; it says\n%s", exit, c.exit, says)
			}
			for _, want := range c.says {
				if !regexp.MustCompile("(?m)" + want).MatchString(says) {
					t.Errorf("no %q in\n%s", want, says)
				}
			}
		})
	}
}

// zombies are the children of a process that have ended, and of which it has not taken leave.
func zombies(t *testing.T, parent int) (list []string) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		t.Fatal("no processes", err)
	}
	for _, file := range files {
		text, _ := os.ReadFile(file) // it may be gone
		if _, rest, ok := strings.Cut(string(text), ") "); ok && strings.HasPrefix(rest, "Z "+strconv.Itoa(parent)+" ") {
			list = append(list, string(text))
		}
	}
	return list
}
