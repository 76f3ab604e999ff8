package mailbox

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
)

// noCreate is a file system whose directories cannot be written to.
type noCreate struct{ fsys.FS }

func (n noCreate) Create(name string) (fsys.File, error) {
	return nil, &fs.PathError{Op: "create", Path: name, Err: syscall.EACCES}
}

func (n noCreate) Append(name string) (fsys.File, error) {
	if _, err := n.Stat(name); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EACCES}
	}
	return n.FS.Append(name)
}

type noReadDir struct{ fsys.FS }

func (noReadDir) ReadDir(string, func(string) error) error { return syscall.EIO }

var faults = []error{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, fsys.ErrShort}

// body is long enough to be written in several steps.
var body = wire + "\r\n" + strings.Repeat("0123456789\r\n", 3*bufferSize/2/12)

func TestEveryFaultLeavesTheMboxAsItWas(t *testing.T) {
	old := "From x Tue Nov 24 09:00:00 2026\n\nold\n\n"
	for _, fault := range faults {
		for n := 1; ; n++ {
			path := filepath.Join(t.TempDir(), "mbox")
			write(t, path, old)
			faulty := fsys.NewFaulty(fsys.OS{})
			faulty.FailAt(n, 1, fault, nil)
			b := impatient(path)
			b.FS = faulty
			err := b.Append(t.Context(), message(body))
			got, whole := read(t, path), strings.HasSuffix(read(t, path), "0123456789\n\n")
			if err != nil && got != old || err == nil && (!whole || !strings.HasPrefix(got, old+"From a@b")) {
				t.Fatalf("operation %d (%v) failed with %v: error %v, %d bytes", n, faulty.Ops()[n-1], fault, err, len(got))
			}
			if !faulty.Struck() {
				break
			}
		}
	}
}

func TestAFaultInCuttingBackIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	write(t, path, "old\n\n")
	faulty := fsys.NewFaulty(fsys.OS{})
	faulty.FailAt(1, 2, syscall.EIO, func(op fsys.Op) bool { return op.Name == "fsync" || op.Name == "truncate" })
	b := impatient(path)
	b.FS = faulty
	if err := b.Append(t.Context(), message(wire)); err == nil || !strings.Contains(err.Error(), "could not be cut back to 5 bytes") {
		t.Errorf("%v", err)
	}
}

func TestEveryFaultLeavesNothingInNew(t *testing.T) {
	for _, fault := range faults {
		for n := 1; ; n++ {
			dir := filepath.Join(t.TempDir(), "Maildir")
			faulty := fsys.NewFaulty(fsys.OS{})
			faulty.FailAt(n, 1, fault, nil)
			d := Maildir{Dir: dir, FS: faulty}
			err := d.Deliver(uniq, date, message(body))
			struck := faulty.Struck()
			in, _ := os.ReadDir(filepath.Join(dir, "new"))
			if err != nil && len(in) != 0 || err == nil && len(in) != 1 {
				t.Fatalf("operation %d failed with %v: error %v, %d in new/", n, fault, err, len(in))
			}
			// Repeating it makes the one copy, whatever the fault left.
			faulty.FailAt(0, 0, nil, nil)
			if err := d.Deliver(uniq, date, message(body)); err != nil {
				t.Fatalf("again after operation %d: %v", n, err)
			}
			if in := names(t, filepath.Join(dir, "new")); len(in) != 1 {
				t.Fatalf("again after operation %d: %v", n, in)
			}
			if !struck {
				break
			}
		}
	}
}

// cuts runs deliver with a power cut after each of its operations, and check on what each kind of survival
// leaves. deliver returns whether the delivery was said to be done.
func cuts(t *testing.T, start func() *fsys.Crash, deliver func(*fsys.Crash) bool, check func(name string, done bool, c *fsys.Crash)) {
	t.Helper()
	rnd := rand.New(rand.NewSource(1))
	for n := 0; ; n++ {
		var all bool
		for _, how := range []fsys.Survival{fsys.Strict, fsys.Loose, fsys.Zeros, fsys.Random, fsys.Random} {
			c := start()
			before := len(c.Ops())
			c.CutAfter(n)
			done := deliver(c)
			all = len(c.Ops())-before < n
			check(fmt.Sprintf("cut after %d, survival %d, done %v", n, how, done), done, c.Reboot(how, rnd))
		}
		if all {
			return
		}
	}
}

func contents(t *testing.T, c *fsys.Crash, name string) string {
	t.Helper()
	f, err := c.Open(name)
	if err != nil {
		return ""
	}
	info, _ := f.Stat()
	b := make([]byte, info.Size)
	f.ReadAt(b, 0)
	return string(b)
}

func TestPowerCutsSpareTheMbox(t *testing.T) {
	const path, old = "/var/mail/u", "From x Tue Nov 24 09:00:00 2026\n\nold\n\n"
	box := func(c *fsys.Crash) Mbox {
		return Mbox{Path: path, FS: c, Tries: 2, Now: func() time.Time { return time.Now().Add(time.Hour) },
			Lock: func(name string) (fsys.Lock, error) { return c.TryLock(name, true) },
			Wait: func(context.Context, int) error { return nil }}
	}
	start := func(content string) func() *fsys.Crash {
		return func() *fsys.Crash {
			c := fsys.NewCrash("/var/mail")
			if content != "" {
				f, _ := c.Append(path)
				f.Write([]byte(content))
				f.Sync()
				c.SyncDir("/var/mail")
			}
			return c
		}
	}
	for _, content := range []string{"", old} {
		deliver := func(c *fsys.Crash) bool { return box(c).Append(context.Background(), message(body)) == nil }
		cuts(t, start(content), deliver, func(name string, done bool, c *fsys.Crash) {
			got := contents(t, c, path)
			if !strings.HasPrefix(got, content) {
				t.Fatalf("%s: old mail is damaged: %.100q", name, got)
			}
			if done && !strings.HasSuffix(got, "0123456789\n\n") {
				t.Fatalf("%s: the message is not whole", name)
			}
			// Whatever is left, the next message stands apart from it.
			if err := box(c).Append(context.Background(), message(wire)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := contents(t, c, path); got != stored && !strings.HasSuffix(got, "\n\n"+stored) {
				t.Fatalf("%s: the next message is lost in %q", name, got[max(0, len(got)-200):])
			}
		})
	}
}

func TestPowerCutsLeaveOnlyWholeMessagesInNew(t *testing.T) {
	start := func() *fsys.Crash { return fsys.NewCrash("/home/u") }
	box := func(c *fsys.Crash) Maildir { return Maildir{Dir: "/home/u/Maildir", FS: c} }
	deliver := func(c *fsys.Crash) bool { return box(c).Deliver(uniq, date, message(body)) == nil }
	cuts(t, start, deliver, func(name string, done bool, c *fsys.Crash) {
		list := func() (in []string) {
			c.ReadDir("/home/u/Maildir/new", func(n string) error { in = append(in, n); return nil })
			return in
		}
		if in := list(); done && len(in) != 1 {
			t.Fatalf("%s: in new/: %v", name, in)
		}
		for _, n := range list() {
			if !strings.HasSuffix(contents(t, c, "/home/u/Maildir/new/"+n), "0123456789\n") {
				t.Fatalf("%s: %s is not whole", name, n)
			}
		}
		if !deliver(c) || len(list()) != 1 {
			t.Fatalf("%s: again: %v", name, list())
		}
	})
}

// Of several messages each that has no error is there, whole and in order, and nothing else is.
func TestEveryFaultInSeveralMessages(t *testing.T) {
	const old = "From x Tue Nov 24 09:00:00 2026\n\nold\n\n"
	for _, fault := range faults {
		for n := 1; ; n++ {
			path := filepath.Join(t.TempDir(), "mbox")
			write(t, path, old)
			faulty := fsys.NewFaulty(fsys.OS{})
			faulty.FailAt(n, 1, fault, nil)
			b := impatient(path)
			b.FS = faulty
			want, list := old, []Message{message("A: 1\r\n\r\n"), message(body), message("A: 3\r\n\r\n")}
			texts := []string{"A: 1\n\n\n", strings.ReplaceAll(body, "\r\n", "\n") + "\n", "A: 3\n\n\n"}
			for i, err := range b.AppendAll(t.Context(), list) {
				if err == nil {
					want += fromLine(list[i].Sender, list[i].Date) + strings.ReplaceAll(texts[i], "\nFrom ", "\n>From ")
				}
			}
			if got := read(t, path); got != want {
				t.Fatalf("operation %d (%v) failed with %v: %d bytes, want %d: %.300q", n, faulty.Ops()[n-1], fault, len(got), len(want), got)
			}
			if !faulty.Struck() {
				break
			}
		}
	}
}
