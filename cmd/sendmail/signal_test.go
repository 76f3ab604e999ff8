package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/queue"
)

// place is a directory with a configuration and the program, and the environment that leads it there.
func place(t *testing.T) (dir string, env []string) {
	dir = t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer("WORK", dir, "60000", "200000").Replace(testConfig)
	if err := os.WriteFile(dir+"/postrider.toml", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, dir+"/sendmail"); err != nil {
		t.Fatal(err)
	}
	return dir, append(os.Environ(), "HOME="+dir, "LIBEXEC="+dir, "POSTRIDER_CONFIG="+dir+"/postrider.toml", noRaceSleep)
}

// command is a run of sendmail in a place, fed a message, after a shell has done the preparation.
func command(dir string, env []string, prepare, message string, args ...string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", append([]string{"-c", prepare + ` exec "$0" "$@"`, dir + "/sendmail"}, args...)...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(message)
	return cmd
}

// spooled is what lies in the spool, by directory.
func spooled(t *testing.T, dir string) (tmp, accepted int) {
	t.Helper()
	drafts, err := filepath.Glob(dir + "/spool/tmp/*")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := filepath.Glob(dir + "/spool/new/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(drafts), len(messages)
}

// Whenever a signal comes: status 0 and a message, or another status and nothing.
func TestSignalAtAnyMoment(t *testing.T) {
	const runs = 60
	for name, size := range map[string]int{"in memory": 100, "in a draft": 100_000} {
		dir, env := place(t)
		message := "Subject: x\n\n" + strings.Repeat("0123456789\n", size/11)
		start := time.Now()
		if err := command(dir, env, "", message, "-odq", "bob@remote.example").Run(); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		accepted := 1
		for i := range runs {
			cmd := command(dir, env, "", message, "-oeq", "-odq", "bob@remote.example")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(took * time.Duration(i) / runs)
			cmd.Process.Signal([]os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}[i%3])
			err := cmd.Wait()
			if err == nil {
				accepted++
			}
			if drafts, messages := spooled(t, dir); drafts != 0 || messages != accepted {
				t.Fatalf("%s: after %d of %d: %v, but %d drafts and %d messages where %d were accepted", name, i, runs, err, drafts, messages, accepted)
			}
		}
		t.Logf("%s: %d of %d accepted", name, accepted, runs+1)
	}
}

// nohup(1) and daemons have their children ignore SIGHUP.
func TestIgnoredSignalStaysIgnored(t *testing.T) {
	dir, env := place(t)
	cmd := command(dir, env, `trap "" HUP;`, "", "-odq", "bob@remote.example")
	cmd.Stdin = nil
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "Subject: x\n\n"+strings.Repeat("0123456789\n", 4000)); err != nil {
		t.Fatal(err)
	}
	if err := waitUntilRead(in.(*os.File)); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGHUP)
	io.WriteString(in, "the end\n")
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("refused: %v", err)
	}
	if _, messages := spooled(t, dir); messages != 1 {
		t.Errorf("%d messages", messages)
	}
}

// Words that nobody reads are no reason to lose a message, nor to end between its acceptance and its delivery.
func TestNobodyReadsStandardError(t *testing.T) {
	dir, env := place(t)
	for _, args := range [][]string{
		{"-N", "sometimes", "-odq", "bob@remote.example"}, // warns before
		{"-t", "-odq"}, // complains after
		{"-d0.1", "-odq", "bob@remote.example"},
	} {
		cmd := command(dir, env, "", "To: foo@@bar, bob@remote.example\n\n", args...)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd.Stdout, cmd.Stderr = w, w
		if err := cmd.Run(); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		w.Close()
	}
	if _, messages := spooled(t, dir); messages != 3 {
		t.Errorf("%d messages", messages)
	}
}

// A spool that is made under an odd umask can be used again.
func TestUmask(t *testing.T) {
	dir, env := place(t)
	if err := command(dir, env, "umask 777;", "", "-odq", "bob@remote.example").Run(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{"spool": 0o700, "spool/new": 0o700, "spool/tmp": 0o700, "log": 0o640} {
		if st, err := os.Stat(filepath.Join(dir, path)); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, st, err)
		}
	}
	s, err := queue.Open(dir+"/spool", queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Scan(queue.New, func(e queue.Entry) error {
		st, err := os.Stat(filepath.Join(dir, "spool/new", e.Name))
		if err == nil && st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", e.Name, st.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A caller that leaks descriptors leaves us few: that is a temporary failure, whichever of them is missing.
func TestFewDescriptors(t *testing.T) {
	dir, env := place(t)
	accepted := 0
	for limit := 5; limit <= 12; limit++ {
		cmd := command(dir, env, fmt.Sprintf("ulimit -n %d;", limit), "", "-oeq", "-odq", "bob@remote.example")
		err := cmd.Run()
		if err == nil {
			accepted++
		} else if code := cmd.ProcessState.ExitCode(); code != 75 {
			t.Errorf("limit %d: exit status %d", limit, code)
		}
		if drafts, messages := spooled(t, dir); drafts != 0 || messages != accepted {
			t.Errorf("limit %d: %v, %d drafts, %d messages", limit, err, drafts, messages)
		}
	}
	if accepted == 0 {
		t.Error("never accepted")
	}
}

// Who ends a sendmail that delivers in the foreground ends the delivery; the message is accepted all the same.
func TestSignalInTheForegroundIsPassedOn(t *testing.T) {
	dir, env := place(t)
	script := "#!/bin/sh\ntrap 'exit 0' TERM\necho >" + dir + "/runs\nwhile :; do sleep 0.01; done\n"
	if err := os.WriteFile(dir+"/queuerun", []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := command(dir, env, "", "", "-odi", "bob@remote.example")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(dir + "/runs"); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, messages := spooled(t, dir); messages != 1 {
		t.Errorf("%d messages", messages)
	}
}

// A script's lock, or a pipe that somebody reads to its end, is not held by the delivery in the background.
func TestBackgroundRunHoldsNothingOfTheCaller(t *testing.T) {
	dir, env := place(t)
	script := "#!/bin/sh\necho >" + dir + "/runs\nwhile [ -e " + dir + "/runs ]; do sleep 0.01; done\n" // it goes with the directory
	if err := os.WriteFile(dir+"/queuerun", []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(dir, env, "", "", "-odb", "bob@remote.example")
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for {
		if _, err := os.Stat(dir + "/runs"); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	r.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the pipe is still open: %v", err)
	}
}
