package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"postrider/internal/drop"
	"postrider/internal/sibling"
	"postrider/internal/status"
	"postrider/internal/submit"
)

const droppedID = "0661092CE27C5Z123"

// What becomes of a message by what drop does, or what a program does that has its name.
func TestDropOutcomes(t *testing.T) {
	defer func(dir string) { sibling.Libexec = dir }(sibling.Libexec)
	away := errors.New("nobody listens")
	answer := "echo " + droppedID + "; cat >$0.in"
	for _, c := range []struct {
		name, script string
		exit         int
		says         string // "": nobody listens
	}{
		{"takes it", answer, 0, ""},
		{"takes it and says something", answer + "; echo hello >&2", 0, ""},
		{"is for another spool", "echo " + droppedID + "; echo 'drop: another spool' >&2; exit 78", status.ExitTempFail, ""},
		{"finds it too large", answer + "; echo 'drop: too large' >&2; exit 69", status.ExitUnavailable, "too large"},
		{"has no room", "echo 'drop: insufficient system storage' >&2; exit 75", status.ExitTempFail, "insufficient system storage"},
		{"fails at the end", answer + "; echo 'drop: mail spool error' >&2; exit 75", status.ExitTempFail, "mail spool error"},
		{"says nothing", answer + "; exit 75", status.ExitTempFail, "drop has failed: exit status 75; it may have queued the message"},
		{"has an exit status of its own", answer + "; echo 'drop: x' >&2; exit 2", status.ExitTempFail, "drop has failed: exit status 2; it may"},
		{"is killed", answer + "; kill -9 $$", status.ExitTempFail, "drop has failed: signal: killed; it may have queued the message"},
		{"answers something else", "echo hello hello hello hello; exit 0", status.ExitTempFail, "cannot start drop"},
		{"does not answer", "exit 0", status.ExitTempFail, "cannot start drop"},
		{"is no program", "", status.ExitTempFail, "cannot start drop"},
	} {
		sibling.Libexec = t.TempDir()
		script := "#!/bin/sh\n" + c.script + "\n"
		if c.script == "" {
			script = "\x7fELF"
		}
		path := filepath.Join(sibling.Libexec, "drop")
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		s := &server{spool: "/spool"}
		o := submit.Options{Recipients: []string{"bob@r.test"}, Hostname: "h", Origin: "example.org"}
		res, err := s.drop(strings.NewReader("Subject: x\n\n"+strings.Repeat("text\n", 50_000)), o, away)
		switch {
		case c.exit == 0:
			in, rerr := os.ReadFile(path + ".in")
			if err != nil || string(res.Entry.ID) != droppedID || !s.dropped || rerr != nil || !strings.Contains(string(in), "id "+droppedID+";") {
				t.Errorf("%s: %+v, %v, %.500q", c.name, res.Entry, err, in)
			}
		case c.says == "":
			if err != away {
				t.Errorf("%s: %v", c.name, err)
			}
		case status.From(err).Exit() != c.exit || !strings.HasPrefix(err.Error(), c.says) || s.dropped:
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// What is wrong with the message itself is told, not what drop says of it.
	os.WriteFile(filepath.Join(sibling.Libexec, "drop"), []byte("#!/bin/sh\n"+answer+"\necho 'drop: cut off' >&2; exit 74\n"), 0o755)
	s := &server{spool: "/spool"}
	o := submit.Options{Recipients: []string{"bob@r.test"}, Hostname: "h", Origin: "example.org", SizeLimit: 1000}
	if _, err := s.drop(strings.NewReader(strings.Repeat("text\n", 50_000)), o, away); status.From(err).Exit() != status.ExitUnavailable {
		t.Errorf("a message that is too large: %v", err)
	}
	sibling.Libexec = t.TempDir()
	if _, err := s.drop(strings.NewReader(""), o, away); err != away {
		t.Errorf("no such program: %v", err)
	}
}

// dropDir is where builtDrop puts it.
var dropDir string

// builtDrop is the real program, and drop.conf beside it its settings.
var builtDrop = sync.OnceValues(func() (path string, err error) {
	if dropDir, err = os.MkdirTemp("", "sendmail-drop."); err != nil {
		return "", err
	}
	path = filepath.Join(dropDir, "drop")
	cmd := exec.Command("go", "build", "-ldflags=-s -w -X postrider/internal/drop.SettingsPath="+dropDir+"/drop.conf", "-o", path, "postrider/cmd/drop")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// dropCommand installs drop for the spool of the server, which is prepared for it.
//
//	drop
func dropCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: drop")
	}
	path, err := builtDrop()
	ts.Check(err)
	work := ts.Getenv("WORK")
	theirs := filepath.Join(work, "theirs")
	ts.Check(os.WriteFile(filepath.Dir(path)+"/drop.conf", []byte(drop.Settings{Spool: theirs, Limit: 100_000}.String()), 0o644))
	ts.Check(os.Chmod(filepath.Dir(path), 0o755))
	ts.Check(os.Symlink(path, filepath.Join(work, "libexec/drop")))
	ts.Check(os.Chown(path, 0, 65533))
	ts.Check(os.Chmod(path, 0o755|os.ModeSetgid))
	ts.Check(os.Chmod(theirs, 0o710))
	for _, dir := range []string{"new", "tmp"} {
		dir = filepath.Join(theirs, dir)
		ts.Check(os.MkdirAll(dir, 0o700))
		ts.Check(os.Chown(dir, 65533, 65533))
		ts.Check(os.Chmod(dir, 0o730|os.ModeSticky))
	}
}
