package mailbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"postrider/internal/fsys"
)

var date = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

const (
	wire   = "Subject: hi\r\n\r\nFrom here\r\nend"
	stored = "From a@b Tue Nov 24 09:00:00 2026\nSubject: hi\n\n>From here\nend\n\n"
)

func message(content string) Message {
	return Message{Sender: "a@b", Date: date, Content: strings.NewReader(content)}
}

// impatient is a mailbox whose lock is tried twice, without waiting.
func impatient(path string) Mbox {
	return Mbox{Path: path, UID: -1, Tries: 2, Wait: func(context.Context, int) error { return nil }}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAppend(t *testing.T) {
	for _, c := range []struct{ name, before, want string }{
		{"a new mailbox", "", stored},
		{"a mailbox that ends well", "From x\n\nold\n\n", "From x\n\nold\n\n" + stored},
		{"a mailbox without its last empty line", "old\n", "old\n\n" + stored},
		{"a mailbox cut off in a line", "old", "old\n\n" + stored},
		{"a mailbox of one line end", "\n", "\n" + stored},
	} {
		path := filepath.Join(t.TempDir(), "mbox")
		if c.before != "" {
			write(t, path, c.before)
		}
		b := Mbox{Path: path, UID: os.Geteuid()}
		if err := b.Append(t.Context(), message(wire)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := read(t, path); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
		if fi, _ := os.Stat(path); fi.Mode() != 0o600 {
			t.Errorf("%s: mode %v", c.name, fi.Mode())
		}
		if _, err := os.Stat(path + ".lock"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the dotlock is still there", c.name)
		}
	}
}

func TestAppendRefusesWhatIsNotASafeMailbox(t *testing.T) {
	other := func(t *testing.T, path string) string {
		target := filepath.Join(filepath.Dir(path), "other")
		write(t, target, "")
		return target
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string) error
		uid  int
	}{
		{"a symbolic link", func(t *testing.T, path string) error { return os.Symlink(other(t, path), path) }, -1},
		{"a dangling link", func(t *testing.T, path string) error { return os.Symlink(path+"x", path) }, -1},
		{"a file with two names", func(t *testing.T, path string) error { return os.Link(other(t, path), path) }, -1},
		{"a FIFO", func(t *testing.T, path string) error { return unix.Mkfifo(path, 0o600) }, -1},
		{"a directory", func(t *testing.T, path string) error { return os.Mkdir(path, 0o700) }, -1},
		{"somebody else's file", func(t *testing.T, path string) error { write(t, path, ""); return nil }, os.Geteuid() + 1},
	} {
		path := filepath.Join(t.TempDir(), "mbox")
		if err := c.make(t, path); err != nil {
			t.Fatal(err)
		}
		b := impatient(path)
		b.UID = c.uid
		if err := b.Append(t.Context(), message(wire)); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v", c.name, err)
		}
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(path), "other")); err == nil && len(b) > 0 {
			t.Errorf("%s: the other file was written", c.name)
		}
	}
}

// TestMain lets the test binary be the other program that locks a mailbox: POSIX locks belong to a process.
func TestMain(m *testing.M) {
	path := os.Getenv("MAILBOX_TEST_HOLD")
	if path == "" {
		os.Exit(m.Run())
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	}
	fmt.Println("held", err)
	io.Copy(io.Discard, os.Stdin)
}

func holdPOSIX(t *testing.T, path string) (release func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MAILBOX_TEST_HOLD="+path)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held <nil>\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return func() { in.Close(); cmd.Wait() }
}

func TestAppendStaysOutWhileALockIsHeld(t *testing.T) {
	for _, c := range []struct {
		name string
		hold func(t *testing.T, path string) (release func())
	}{
		{"an OFD lock", func(t *testing.T, path string) func() {
			l, err := lockOFD(path)
			if err != nil {
				t.Fatal(err)
			}
			return func() { l.Release() }
		}},
		{"another process's POSIX lock", holdPOSIX},
		{"dotlock", func(t *testing.T, path string) func() {
			write(t, path+".lock", "1\n")
			return func() { os.Remove(path + ".lock") }
		}},
	} {
		path := filepath.Join(t.TempDir(), "mbox")
		write(t, path, "old\n\n")
		release := c.hold(t, path)
		b := impatient(path)
		if err := b.Append(t.Context(), message(wire)); !errors.Is(err, ErrBusy) {
			t.Errorf("%s: %v", c.name, err)
		}
		// The lock is given up while we wait.
		b.Wait = func(context.Context, int) error { release(); return nil }
		if err := b.Append(t.Context(), message(wire)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := read(t, path); got != "old\n\n"+stored {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestAppendBreaksAStaleDotlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	write(t, path+".lock", "1\n")
	b := impatient(path)
	b.Now = func() time.Time { return time.Now().Add(staleAfter - time.Minute) }
	if err := b.Append(t.Context(), message(wire)); !errors.Is(err, ErrBusy) {
		t.Fatalf("a young dotlock: %v", err)
	}
	b.Now = func() time.Time { return time.Now().Add(staleAfter + time.Minute) }
	if err := b.Append(t.Context(), message(wire)); err != nil {
		t.Fatalf("a stale dotlock: %v", err)
	}
}

func TestALateDotlockIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	b := impatient(path).withDefaults()
	h, err := b.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	os.Rename(path+".lock", path+".old") // somebody found it stale
	write(t, path+".lock", "theirs\n")
	h.release()
	if got := read(t, path+".lock"); got != "theirs\n" {
		t.Errorf("%q", got)
	}
}

func TestAppendWithoutADotlockWhereTheDirectoryForbidsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	write(t, path, "")
	b := impatient(path)
	b.FS = noCreate{orReal(nil)}
	if err := b.Append(t.Context(), message(wire)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != stored {
		t.Errorf("%q", got)
	}
	os.Remove(path)
	err := b.Append(t.Context(), message(wire))
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(fmt.Sprint(err), "does not exist") {
		t.Errorf("a missing mailbox: %v", err)
	}
}

func TestAppendFollowsAReplacedMailbox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	write(t, path, "old\n\n")
	b := impatient(path)
	used := false
	b.Lock = func(name string) (fsys.Lock, error) {
		// A mail reader renames its new version into place after we opened and before we lock.
		if !used {
			used = true
			write(t, path+".new", "rewritten\n\n")
			os.Rename(path+".new", path)
		}
		return lockOFD(name)
	}
	if err := b.Append(t.Context(), message(wire)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "rewritten\n\n"+stored {
		t.Errorf("%q", got)
	}
}

func TestAppendCutsBackWhenTheMessageCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	write(t, path, "old\n\n")
	broken := errors.New("broken")
	m := message("")
	m.Content = iotest.DataErrReader(iotest.TimeoutReader(bytes.NewReader(bytes.Repeat([]byte("x\r\n"), 100_000))))
	if err := impatient(path).Append(t.Context(), m); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("%v", err)
	}
	m.Content = iotest.ErrReader(broken)
	if err := impatient(path).Append(t.Context(), m); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if got := read(t, path); got != "old\n\n" {
		t.Errorf("%d bytes are left", len(got))
	}
}

func TestAppendFromManyGoroutines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	var wg sync.WaitGroup
	const n = 40
	for i := range n {
		wg.Go(func() {
			body := fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat(fmt.Sprintf("%d\r\n", i), 4_000))
			if err := (Mbox{Path: path, UID: -1}).Append(context.Background(), message(body)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, m := range strings.SplitAfter(read(t, path), "\n\nFrom ") {
		_, subject, _ := strings.Cut(m, "Subject: ")
		subject, body, _ := strings.Cut(subject, "\n")
		if strings.Count(body, "\n"+subject+"\n")+strings.Count(body, subject+"\n") < 4_000 {
			t.Errorf("message %s is not whole", subject)
		}
		seen[subject] = true
	}
	if len(seen) != n {
		t.Errorf("%d messages, want %d", len(seen), n)
	}
	if len(turns.m) != 0 {
		t.Errorf("%d turns are left", len(turns.m))
	}
}

func TestAppendGivesUpWhenCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	write(t, path+".lock", "1\n")
	ctx, cancel := context.WithCancel(t.Context())
	b := Mbox{Path: path, UID: -1, Wait: func(ctx context.Context, _ int) error { cancel(); return backOff(ctx, 9) }}
	if err := b.Append(ctx, message(wire)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	leave, err := enter(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Append(ctx, message(wire)); !errors.Is(err, context.Canceled) {
		t.Errorf("while another delivery has its turn: %v", err)
	}
	leave()
}
