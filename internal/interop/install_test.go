// Package interop runs the programs as they are built and installed. What needs nothing but Go is always tested; with
// the build tag interop real mail user agents and other callers send through our sendmail, real clients, a Postfix and
// the inetds talk to our smtpd, and a Dovecot knows the users and has the mailboxes ("make interop").
package interop

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/queue"
)

// missing names the programs that the tests need and this machine has not. The interop build sets it.
var missing = func() []string { return nil }

func TestMain(m *testing.M) {
	if lack := missing(); len(lack) > 0 {
		fmt.Fprintf(os.Stderr, "interop: missing on this machine: %s\n", strings.Join(lack, ", "))
		os.Exit(1)
	}
	status := m.Run()
	for _, dir := range []string{bin, debDir} {
		if dir != "" {
			os.RemoveAll(dir)
		}
	}
	os.Exit(status)
}

// bin is where programs has built the programs, and debDir where the Debian package was built.
var bin, debDir string

// programs builds the programs as the Makefile does, once.
var programs = sync.OnceValue(func() (err error) {
	// Directories that were read count as inputs of the test, so that its result is not taken from the cache
	// when a program has changed.
	filepath.WalkDir("../..", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
	if bin, err = os.MkdirTemp("", "postrider-bin."); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "postrider/cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// installation is a private one: programs, configuration, spool, mailboxes, and a next hop on loopback.
type installation struct {
	*testing.T
	dir  string
	user string // who runs the test, and owns the mailbox
	env  []string
	next *receiver
}

const hostname = "interop.example"

// install makes an installation whose next hop takes mail, unless lines of the configuration say otherwise.
func install(t *testing.T, config ...string) *installation {
	t.Helper()
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{T: t, user: me.Username, next: newReceiver(t, nil, nil)}
	// Not t.TempDir: a queue run in the background may outlive the test by an instant.
	in.dir, err = os.MkdirTemp("", "postrider-interop.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 {
			if os.RemoveAll(in.dir) == nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	for _, dir := range []string{"home", "Maildir/new", "Maildir/cur", "Maildir/tmp"} {
		if err := os.MkdirAll(in.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	in.write("postrider.toml", in.config(hostname, in.next.address, config...))
	in.env = append(os.Environ(), "POSTRIDER_CONFIG="+in.path("postrider.toml"), "HOME="+in.path("home"),
		"LANG=C.UTF-8", "LC_ALL=C.UTF-8", "NAME=", "TZ=UTC", "GIT_CONFIG_NOSYSTEM=1")
	return in
}

func (in *installation) config(name, next string, lines ...string) string {
	return fmt.Sprintf("hostname = %q\norigin = %q\ndomains = [%q]\nspool = %q\nlog = %q\n%s\n[smarthost]\nurl = \"smtp://%s\"\n[local]\nmailbox = \"maildir:%s\"\n",
		name, hostname, hostname, in.path("spool"), in.path("log"), strings.Join(lines, "\n"), next, in.path("Maildir"))
}

func (in *installation) path(name string) string { return filepath.Join(in.dir, name) }

func (in *installation) write(name, text string) string {
	in.Helper()
	if err := os.WriteFile(in.path(name), []byte(text), 0o700); err != nil {
		in.Fatal(err)
	}
	return in.path(name)
}

// command is a program of ours or, by its name, of the machine.
func (in *installation) command(stdin, name string, args ...string) *exec.Cmd {
	if _, err := os.Stat(filepath.Join(bin, name)); err == nil {
		name = filepath.Join(bin, name)
	}
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = in.env, in.path("home")
	cmd.Stdin = strings.NewReader(stdin)
	return cmd
}

// run runs a program that must succeed, and returns what it prints.
func (in *installation) run(stdin, name string, args ...string) string {
	in.Helper()
	cmd := in.command(stdin, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		in.Fatalf("%s %q: %v\n%s%s", name, args, err, out, &stderr)
	}
	return string(out) + stderr.String()
}

// spooled lists the files in the given directories of the spool.
func (in *installation) spooled(dirs ...string) (names []string) {
	in.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(in.path("spool/"+dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, strings.TrimPrefix(path, in.dir+"/"))
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			in.Fatal(err)
		}
	}
	return names
}

// settled waits until nothing is queued: the messages that were sent in the background have been delivered and
// removed.
func (in *installation) settled() {
	in.Helper()
	var left []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if left = in.spooled("new", "cur", "hold", "corrupt", "journal"); len(left) == 0 {
			return
		}
	}
	log, _ := os.ReadFile(in.path("log"))
	in.Fatalf("still in the spool: %q\n%s", left, log)
}

// running waits until a daemon runs the queue.
func (in *installation) running() {
	in.Helper()
	s, err := queue.Open(in.path("spool"), queue.Options{})
	if err != nil {
		in.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !s.Running(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			in.Fatal("the daemon does not run")
		}
	}
}

// mailbox is the messages in the Maildir.
func (in *installation) mailbox() (texts []string) {
	in.Helper()
	files, err := filepath.Glob(in.path("Maildir/new/*"))
	if err != nil {
		in.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			in.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

// logged is the lines of the log that have the queue ID which the expression finds.
func (in *installation) logged(id *regexp.Regexp) string {
	in.Helper()
	log, err := os.ReadFile(in.path("log"))
	if err != nil {
		in.Fatal(err)
	}
	m := id.FindSubmatch(log)
	if m == nil {
		in.Fatalf("%v is not in the log:\n%s", id, log)
	}
	var lines strings.Builder
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, string(m[1])) {
			lines.WriteString(line)
		}
	}
	return lines.String()
}
