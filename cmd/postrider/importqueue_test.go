package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"postrider/compat/foreign"
	"postrider/internal/config"
	"postrider/internal/fsys"
	"postrider/queue"
)

const qfText = "V8\nT1700000000\nS<alice@a.example>\nRPFD:<bob@b.example>\nRPFD:carol\nH??Received: from x\nH??From: root <root>\nH??Subject: one\nH??Message-Id: <1@a.example>\nH??Date: today\n.\n"

// sendmailQueue makes a queue of Sendmail with n messages, and one that is held.
func sendmailQueue(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		id := fmt.Sprintf("6AOHex%08d", i)
		writeText(t, filepath.Join(dir, "qf"+id), qfText)
		writeText(t, filepath.Join(dir, "df"+id), "text\n")
	}
	writeText(t, filepath.Join(dir, "hf6AOHex99999999"), qfText)
	writeText(t, filepath.Join(dir, "df6AOHex99999999"), "held\n")
	return dir
}

func writeText(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newTaker is an import into a spool on fs.
func newTaker(t *testing.T, fs fsys.FS, spool string, remove bool) (*taker, *bytes.Buffer) {
	t.Helper()
	out := &bytes.Buffer{}
	conf := config.Config{Spool: spool, Hostname: "new.example", Origin: "example.org", User: true, Log: filepath.Join(t.TempDir(), "log")}
	return &taker{app: &app{out: out}, conf: conf, act: func(f func() error) error { return f() }, fs: fs, remove: remove}, out
}

// takeIn imports a directory.
func takeIn(t *testing.T, fs fsys.FS, spool, dir string, remove bool) (string, error) {
	k, out := newTaker(t, fs, spool, remove)
	if err := k.open(); err != nil {
		return out.String(), err
	}
	defer k.close()
	err := k.directory(dir)
	if err == nil {
		err = k.summary([]string{dir})
	}
	return out.String(), err
}

// deliver takes what is due out of a spool, and counts the messages by what their text ends in. Held ones stay, and count.
func deliver(t *testing.T, fs fsys.FS, spool string, count map[string]int) {
	t.Helper()
	s, err := queue.Open(spool, queue.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	var entries []queue.Entry
	s.Scan(queue.New|queue.Cur, func(e queue.Entry) error { entries = append(entries, e); return nil })
	for _, e := range entries {
		c, err := s.Claim(e)
		if err != nil {
			t.Fatal(err)
		}
		count["due"]++
		var text bytes.Buffer
		if text.ReadFrom(c.Body()); !strings.HasSuffix(text.String(), "\r\n\r\ntext\r\n") {
			t.Errorf("the text is %q", text.String())
		}
		if err := c.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	count["held"] = 0
	s.Scan(queue.Held, func(e queue.Entry) error {
		m, err := s.Read(e)
		if errors.Is(err, queue.ErrCorrupt) { // not accepted: the original is there
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.History.HoldReason() == heldThere {
			count["held"]++
		} else {
			count["between"]++
		}
		return nil
	})
}

// Whenever the power fails, and whatever is delivered before the import is repeated, each message is there once.
func TestImportSurvivesPowerCuts(t *testing.T) {
	const n = 1
	for _, how := range []fsys.Survival{fsys.Strict, fsys.Zeros, fsys.Random} {
		for cut := 0; ; cut++ {
			dir := sendmailQueue(t, n)
			crash := fsys.NewCrash("/s")
			crash.CutAfter(cut)
			_, err := takeIn(t, crash, "/s", dir, true)
			after := crash.Reboot(how, rand.New(rand.NewSource(int64(cut))))
			count := map[string]int{}
			deliver(t, after, "/s", count)
			count["between"] = 0
			if _, err := takeIn(t, after, "/s", dir, true); err != nil {
				t.Fatalf("cut after %d: %v", cut, err)
			}
			deliver(t, after, "/s", count)
			if count["due"] != n || count["held"] != 1 || count["between"] != 0 {
				t.Fatalf("survival %d, cut after %d: %v", how, cut, count)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Fatalf("cut after %d: %d files are left", cut, len(left))
			}
			if err == nil {
				break
			}
		}
	}
}

// Whatever fails in our spool, the import says so or is complete, and a repetition completes it.
func TestImportSurvivesFaults(t *testing.T) {
	for at := 1; ; at++ {
		dir := sendmailQueue(t, 1)
		const spool = "/s"
		disk := fsys.NewCrash(spool)
		faulty := fsys.NewFaulty(disk)
		faulty.FailAt(at, 1, unix.ENOSPC, nil)
		_, err := takeIn(t, faulty, spool, dir, true)
		struck := faulty.Struck()
		if left, _ := os.ReadDir(dir); err == nil && len(left) > 0 {
			t.Fatalf("operation %d: nothing is said of %d files", at, len(left))
		}
		count := map[string]int{}
		if _, err := takeIn(t, disk, spool, dir, true); err != nil {
			t.Fatalf("operation %d: %v", at, err)
		}
		deliver(t, disk, spool, count)
		if count["due"] != 1 || count["held"] != 1 || count["between"] != 0 {
			t.Fatalf("operation %d: %v", at, count)
		}
		if !struck {
			break
		}
	}
}

// What somebody works on stays, however it is locked.
func TestImportLeavesLockedMessages(t *testing.T) {
	for name, lock := range map[string]func(f *os.File) error{
		"flock": func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) },
		"fcntl": func(f *os.File) error {
			return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		},
	} {
		dir := sendmailQueue(t, 2)
		f, err := os.OpenFile(filepath.Join(dir, "qf6AOHex00000001"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := lock(f); err != nil {
			t.Fatal(err)
		}
		out, err := takeIn(t, nil, filepath.Join(t.TempDir(), "s"), dir, true)
		if err != exitStatus(75) || !strings.Contains(out, "6AOHex00000001: left alone: it is locked") || !strings.Contains(out, "2 taken in, 0 taken in before, 1 left alone") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "df6AOHex00000001")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A Postfix that runs has its messages to itself, but for those that are held.
func TestImportOfARunningPostfix(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"incoming", "deferred/A", "active", "hold", "pid"} {
		os.MkdirAll(filepath.Join(dir, sub), 0o700)
	}
	text, err := os.ReadFile("../../compat/foreign/testdata/postfix/deferred/E/E32C49C6B38")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"deferred/A/A123456789", "active/B123456789", "hold/C123456789"} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeText(t, filepath.Join(dir, "incoming/D123456789"), string(text)) // not executable: not finished
	writeText(t, filepath.Join(dir, "pid/master.pid"), "1\n")
	master, err := os.OpenFile(filepath.Join(dir, "pid/master.pid"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Flock(int(master.Fd()), unix.LOCK_EX)
	spool := filepath.Join(t.TempDir(), "s")
	out, err := takeIn(t, nil, spool, dir, false)
	if err != exitStatus(75) || !strings.Contains(out, "C123456789: taken in as") || !strings.Contains(out, "B123456789: left alone: Postfix runs") || !strings.Contains(out, "1 taken in, 0 taken in before, 3 left alone") {
		t.Errorf("%v\n%s", err, out)
	}
	master.Close()
	out, err = takeIn(t, nil, spool, dir, false)
	if err != exitStatus(75) || !strings.Contains(out, "2 taken in, 1 taken in before, 1 left alone") || !strings.Contains(out, "D123456789: left alone: the queue file is not complete") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is taken in is what it was, with its addresses completed.
func TestImportKeepsTheMessage(t *testing.T) {
	dir := sendmailQueue(t, 1)
	spool := filepath.Join(t.TempDir(), "s")
	if _, err := takeIn(t, nil, spool, dir, false); err != nil {
		t.Fatal(err)
	}
	s, _ := queue.Open(spool, queue.Options{})
	s.Scan(queue.Cur, func(e queue.Entry) error {
		c, err := s.Claim(e)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var text bytes.Buffer
		text.ReadFrom(c.Body())
		const want = "Received: from x\r\nFrom: root <root@example.org>\r\nSubject: one\r\nMessage-Id: <1@a.example>\r\nDate: today\r\n\r\ntext\r\n"
		if text.String() != want {
			t.Errorf("text %q", text.String())
		}
		got := fmt.Sprint(c.Envelope.Sender, c.Envelope.Own()[0].Address, c.Envelope.Own()[1].Address, c.Envelope.Arrival.Unix(), c.Envelope.UID)
		if got != "alice@a.examplebob@b.examplecarol@example.org1700000000 -1" {
			t.Error(got)
		}
		return nil
	})
	if left, _ := os.ReadDir(dir); len(left) != 4 {
		t.Errorf("%d files are left", len(left))
	}
}

// What is no message is told of, and does not keep the others.
func TestImportOfDamage(t *testing.T) {
	dir := sendmailQueue(t, 1)
	writeText(t, filepath.Join(dir, "qf6AOHex00000007"), "V99\n")
	writeText(t, filepath.Join(dir, "df6AOHex00000007"), "")
	writeText(t, filepath.Join(dir, "qf6AOHex00000008"), qfText)
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "df6AOHex00000008")); err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "qf6AOHex00000009"), qfText)
	out, err := takeIn(t, nil, filepath.Join(t.TempDir(), "s"), dir, false)
	for _, want := range []string{"00000007: cannot be taken in: not a queue file: version", "00000008: cannot be taken in: ", "00000009: cannot be taken in: the file of its text, df6AOHex00000009, is missing", "2 taken in, 0 taken in before, 0 left alone, 3 not readable"} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q of %v\n%s", want, err, out)
		}
	}
	if err != exitStatus(65) {
		t.Error(err)
	}
}

// spoolState has the messages of a spool that can be read, by their ID: why each is held, or "due".
func spoolState(t *testing.T, fs fsys.FS, spool string) map[queue.ID]string {
	t.Helper()
	s, err := queue.Open(spool, queue.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	state := map[queue.ID]string{}
	err = s.Scan(queue.New|queue.Cur|queue.Held, func(e queue.Entry) error {
		if m, err := s.Read(e); err == nil && e.State == queue.Held {
			state[e.ID] = m.History.HoldReason()
		} else if err == nil {
			state[e.ID] = "due"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// takenIDs are those that an import said to have taken in.
func takenIDs(out string) (list []queue.ID) {
	for line := range strings.Lines(out) {
		if _, id, ok := strings.Cut(strings.TrimSpace(line), ": taken in as "); ok {
			list = append(list, queue.ID(id))
		}
	}
	return list
}

// Wherever an import is stopped, another of another queue removes nothing of what it has begun, since the originals may be
// gone by then; and what it has said to be taken in is.
func TestImportKeepsWhatAnotherHasBegun(t *testing.T) {
	begun, said := 0, 0
	for cut := 0; ; cut++ {
		dir, other := sendmailQueue(t, 2), t.TempDir()
		writeText(t, filepath.Join(other, "qf6AOHex77777777"), qfText)
		writeText(t, filepath.Join(other, "df6AOHex77777777"), "text\n")
		crash := fsys.NewCrash("/s")
		crash.CutAfter(cut)
		out, whole := takeIn(t, crash, "/s", dir, false)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		after := crash.Reboot(fsys.Strict, rand.New(rand.NewSource(int64(cut))))
		before := spoolState(t, after, "/s")
		second, err := takeIn(t, after, "/s", other, false)
		state := spoolState(t, after, "/s")
		left := 0
		for id := range before {
			switch reason, ok := state[id]; {
			case !ok:
				t.Fatalf("cut after %d: %s is gone", cut, id)
			case reason != "due" && reason != heldThere: // the record of why it is held may be lost
				left++
				if !strings.Contains(second, string(id)+": held by an import that was interrupted") {
					t.Errorf("cut after %d: nothing is said of %s:\n%s", cut, id, second)
				}
			}
		}
		for _, id := range takenIDs(out) {
			if said++; state[id] != "due" && state[id] != heldThere {
				t.Errorf("cut after %d: %s was said to be taken in, and is %q", cut, id, state[id])
			}
		}
		if begun += left; (left > 0) != (err == exitStatus(75)) || left == 0 && err != nil {
			t.Errorf("cut after %d: %d messages are left: %v", cut, left, err)
		}
		if whole == nil {
			break
		}
	}
	if begun == 0 || said == 0 {
		t.Errorf("%d messages were begun, %d were said to be taken in", begun, said)
	}
}

// What is said to be taken in is on record by then.
func TestImportSaysWhatIsFinal(t *testing.T) {
	for cut := 0; ; cut++ {
		dir := sendmailQueue(t, 1)
		crash := fsys.NewCrash("/s")
		crash.CutAfter(cut)
		out, whole := takeIn(t, crash, "/s", dir, false)
		after := crash.Reboot(fsys.Strict, rand.New(rand.NewSource(1)))
		again, err := takeIn(t, after, "/s", dir, false)
		if err != nil || strings.Count(again, ": taken in before") < len(takenIDs(out)) {
			t.Errorf("cut after %d: %v, said\n%s and then\n%s", cut, err, out, again)
		}
		if whole == nil {
			return
		}
	}
}

// What somebody has held since it was taken in stays held for his reason, however far the import had come.
func TestImportLeavesWhatAnAdministratorHolds(t *testing.T) {
	const mine = "I look at it"
	hold := func(spool string) {
		s, err := queue.Open(spool, queue.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.Scan(queue.New|queue.Cur|queue.Held, func(e queue.Entry) error {
			c, err := s.Claim(e)
			if err == nil {
				err = c.Hold(mine)
			}
			if err != nil {
				t.Error(err)
			}
			return nil
		})
	}
	for _, begunOnly := range []bool{false, true} {
		dir, spool := sendmailQueue(t, 1), filepath.Join(t.TempDir(), "s")
		if _, err := takeIn(t, nil, spool, dir, false); err != nil {
			t.Fatal(err)
		}
		hold(spool)
		if begunOnly { // as if the record had not been written
			if err := os.Remove(filepath.Join(spool, "origins")); err != nil {
				t.Fatal(err)
			}
		}
		before := spoolState(t, nil, spool)
		for _, remove := range []bool{false, true} {
			out, err := takeIn(t, nil, spool, dir, remove)
			after := spoolState(t, nil, spool)
			if fmt.Sprint(after) != fmt.Sprint(before) || len(after) != 2 {
				t.Errorf("record missing %v, remove %v: %v, before %v", begunOnly, remove, after, before)
			}
			if err != nil || !strings.Contains(out, "0 taken in, 2 taken in before") {
				t.Errorf("record missing %v, remove %v: %v\n%s", begunOnly, remove, err, out)
			}
		}
	}
}

// A name that leads to another file by now is not removed.
func TestImportRemovesNothingElse(t *testing.T) {
	dir := sendmailQueue(t, 1)
	w := foreign.Waiting{System: "sendmail", ID: "6AOHex00000000", File: "qf6AOHex00000000", Data: "df6AOHex00000000"}
	src, err := openWaiting(dir, w)
	if err != nil {
		t.Fatal(err)
	}
	defer src.close()
	writeText(t, filepath.Join(dir, "tf"), qfText)
	if err := os.Rename(filepath.Join(dir, "tf"), src.path); err != nil {
		t.Fatal(err)
	}
	if err := src.remove(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, name := range []string{w.File, w.Data} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
