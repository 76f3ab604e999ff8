package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postrider/internal/mailbox"
	"postrider/internal/status"
)

// TestMain lets the test binary be another delivering process.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	if who := os.Getenv("LOCAL_TEST_WHO"); who != "" {
		os.Exit(deliverMany(os.Getenv("LOCAL_TEST_HOME"), who))
	}
	os.Exit(m.Run())
}

const text = "Received: by x\r\nReturn-Path: <old@x>\r\nSubject: hi\r\n\r\nFrom here\r\n"

func me(home string) User { return User{Name: "alice", Home: home, UID: os.Geteuid()} }

func delivery(text string) Delivery {
	return Delivery{
		ID: "00061E9C55D8F0AAAA", N: 2, Sender: "bob@example.net", Rcpt: "alice@example.org",
		Arrival: time.Unix(1795510800, 0), Date: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC),
		Body: io.NewSectionReader(strings.NewReader(text), 0, int64(len(text))),
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

func TestDeliver(t *testing.T) {
	const top = "Return-Path: <bob@example.net>\nDelivered-To: alice@example.org\n"
	for _, c := range []struct{ name, spec, file, text, want string }{
		{"into an mbox", "mbox:{home}/{user}", "alice",
			"From bob@example.net Tue Nov 24 09:00:00 2026\n" + top + "Received: by x\nSubject: hi\n\n>From here\n\n", "delivered to mailbox"},
		{"into a Maildir", "maildir:{home}/Maildir/", "Maildir/new/*_2.*,S=101",
			top + "Received: by x\nSubject: hi\n\nFrom here\n", "delivered to maildir"},
	} {
		home := t.TempDir()
		s := Deliver(t.Context(), c.spec, me(home), delivery(text))
		if s.Class() != status.Success || s.Text() != c.want {
			t.Errorf("%s: %s, %v", c.name, s.Diagnostic(), s.Unwrap())
			continue
		}
		files, _ := filepath.Glob(filepath.Join(home, c.file))
		if len(files) != 1 {
			t.Errorf("%s: files %v", c.name, files)
			continue
		}
		if got := read(t, files[0]); got != c.text {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestANullReversePath(t *testing.T) {
	home := t.TempDir()
	d := delivery("Subject: hi\r\n\r\n")
	d.Sender = ""
	Deliver(t.Context(), "mbox:{home}/mbox", me(home), d)
	if got := read(t, filepath.Join(home, "mbox")); !strings.HasPrefix(got, "From MAILER-DAEMON Tue Nov 24 09:00:00 2026\nReturn-Path: <>\n") {
		t.Errorf("%q", got)
	}
}

func TestAddressesCannotAddLines(t *testing.T) {
	home := t.TempDir()
	d := delivery("Subject: hi\r\n\r\n")
	d.Sender, d.Rcpt = "a@b>\r\nX-Forged: 1", "\"c\nX-Forged: 2\"@d"
	Deliver(t.Context(), "mbox:{home}/mbox", me(home), d)
	if got := read(t, filepath.Join(home, "mbox")); strings.Contains(got, "\nX-Forged") || strings.Contains(got, "\r") {
		t.Errorf("%q", got)
	}
}

func TestRefusals(t *testing.T) {
	home := t.TempDir()
	for _, c := range []struct {
		name, spec string
		user       User
		text, want string
	}{
		{"a loop", "mbox:{home}/mbox", me(home), "Delivered-To: Alice@Example.org\r\n\r\n",
			"554 5.4.6 mail forwarding loop for alice@example.org"},
		{"another user", "mbox:{home}/mbox", User{Name: "bob", Home: home, UID: os.Geteuid() + 1}, text,
			"451 4.3.5 delivery to another user needs the system installation"},
		{"an unknown scheme", "mh:{home}/Mail", me(home), text, "451 4.3.5 mailbox is not configured correctly"},
		{"a user name that is a path", "mbox:/var/mail/{user}", User{Name: "../etc/x", UID: os.Geteuid()}, text,
			"451 4.3.5 mailbox is not configured correctly"},
		{"a missing directory", "mbox:{home}/none/mbox", me(home), text, "450 4.2.0 mailbox's directory does not exist"},
		{"a home without Maildir's parent", "maildir:{home}/none/Maildir", me(home), text,
			"450 4.2.0 mailbox's directory does not exist"},
	} {
		if s := Deliver(t.Context(), c.spec, c.user, delivery(c.text)); s.Diagnostic() != c.want {
			t.Errorf("%s: %s, %v", c.name, s.Diagnostic(), s.Unwrap())
		}
	}
	if left, _ := os.ReadDir(home); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestOutcome(t *testing.T) {
	path := func(err error) error {
		return fmt.Errorf("x: %w", &fs.PathError{Op: "write", Path: "/home/a/mbox", Err: err})
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{path(syscall.EDQUOT), "452 4.2.2"},
		{path(syscall.EFBIG), "452 4.2.2"},
		{path(syscall.ENOSPC), "452 4.3.1"},
		{path(syscall.EACCES), "450 4.2.0"},
		{path(syscall.EPERM), "450 4.2.0"},
		{path(syscall.EROFS), "450 4.2.0"},
		{path(syscall.ENOENT), "450 4.2.0"},
		{path(syscall.ENOTDIR), "450 4.2.0"},
		{path(syscall.ELOOP), "450 4.2.0"},
		{path(mailbox.ErrBusy), "450 4.2.0"},
		{path(mailbox.ErrUnsafe), "450 4.2.0"},
		{path(context.Canceled), "451 4.3.2"},
		{path(syscall.EIO), "451 4.3.0"},
		{errors.New("what nobody knows"), "451 4.3.0"},
	} {
		s := outcome(c.err)
		if !strings.HasPrefix(s.Diagnostic(), c.want+" ") || !errors.Is(s, c.err) {
			t.Errorf("%v: %s", c.err, s.Diagnostic())
		}
		if strings.Contains(s.Text(), "/home") {
			t.Errorf("%v: a path in public: %s", c.err, s.Text())
		}
	}
}

const perProcess = 25

// deliverMany delivers from several goroutines; it is what each process of the next test does.
func deliverMany(home, who string) (exit int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range perProcess {
		wg.Go(func() {
			text := fmt.Sprintf("Subject: %s-%d\r\n\r\n%s", who, i, strings.Repeat("line of text\r\n", 10_000))
			s := Deliver(context.Background(), "mbox:{home}/mbox", me(home), delivery(text))
			if s.Class() != status.Success {
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintln(os.Stderr, s.Diagnostic(), s.Unwrap())
				exit = 1
			}
		})
	}
	wg.Wait()
	return exit
}

func TestTwoProcessesAppendToOneMbox(t *testing.T) {
	home := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LOCAL_TEST_WHO=child", "LOCAL_TEST_HOME="+home)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if deliverMany(home, "parent") != 0 {
		t.Error("a delivery of this process failed")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for m := range strings.SplitSeq(strings.TrimPrefix(read(t, filepath.Join(home, "mbox")), "From "), "\n\nFrom ") {
		header, body, _ := strings.Cut(m, "\n\n")
		_, subject, _ := strings.Cut(header, "Subject: ")
		if strings.TrimRight(body, "\n") != strings.TrimRight(strings.Repeat("line of text\n", 10_000), "\n") {
			t.Errorf("message %q is not whole", subject)
		}
		seen[subject] = true
	}
	if len(seen) != 2*perProcess {
		t.Errorf("%d messages, want %d", len(seen), 2*perProcess)
	}
}

// lines is an endless message of short lines.
type lines struct{}

func (lines) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = "a: 01234567890\r\n"[(off+int64(i))%16]
	}
	return len(p), nil
}

func TestMemoryDoesNotGrowWithTheMessage(t *testing.T) {
	home := t.TempDir()
	d := delivery("")
	d.Body = io.NewSectionReader(lines{}, 0, 16<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s := Deliver(t.Context(), "maildir:{home}/Maildir", me(home), d)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; s.Class() != status.Success || used > 1<<20 {
		t.Errorf("%s: %d bytes allocated", s.Diagnostic(), used)
	}
}
