package queue

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
)

const submitter = 4321

// owned is a file system whose new files are a user's.
type owned struct {
	fsys.FS
	uid uint32
}

func (o owned) Create(name string) (fsys.File, error) {
	f, err := o.FS.Create(name)
	if err != nil {
		return nil, err
	}
	if err := f.Become(o.uid, 0, 0o600); err != nil {
		o.FS.Remove(name)
		return nil, err
	}
	return f, nil
}

// dropbox is the spool at /spool as the submitter sees it.
func dropbox(t testing.TB, f fsys.FS) *Dropbox {
	t.Helper()
	b, err := OpenDropbox("/spool", submitter, Options{FS: owned{f, submitter}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func droppedEnvelope(rcpts ...string) Envelope {
	e := testEnvelope(rcpts...)
	e.UID, e.User, e.Proto = submitter, "alice", "local"
	return e
}

func drop(b *Dropbox, e Envelope, text string) (Entry, error) {
	d, err := b.NewDraft(b.NewID(), e)
	if err != nil {
		return Entry{}, err
	}
	if _, err := io.WriteString(d, text); err != nil {
		d.Abort()
		return Entry{}, err
	}
	return d.Commit()
}

func TestDroppedMessageBecomesTheOwners(t *testing.T) {
	c, s := crashSpool(t)
	e, err := drop(dropbox(t, c), droppedEnvelope("bob@r.test"), testText)
	if err != nil {
		t.Fatal(err)
	}
	name := s.path(newDir, e.Name)
	if st, err := c.Stat(name); st.UID != submitter || st.Mode != 0o640 || err != nil {
		t.Errorf("dropped as %+v, %v", st, err)
	}
	if m, err := s.Read(e); err != nil || m.Envelope.UID != submitter {
		t.Errorf("listed as %+v, %v", m, err)
	}
	theirs, err := c.Append(name) // he has it open
	if err != nil {
		t.Fatal(err)
	}
	got := claim(t, s, e.ID)
	if st, err := c.Stat(name); int(st.UID) != os.Geteuid() || err != nil {
		t.Errorf("taken over as %+v, %v", st, err)
	}
	if _, err := theirs.WriteAt([]byte("Subject: other"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(e); err != ErrBusy {
		t.Errorf("a second claim: %v", err)
	}
	body, err := io.ReadAll(got.Body())
	if string(body) != testText || err != nil || got.Envelope.UID != submitter || got.Envelope.User != "alice" {
		t.Errorf("%q, %+v, %v", body, got.Envelope, err)
	}
	if err := got.Remove(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{tmpDir, newDir, corruptDir, journalDir} {
		if left := names(t, s, dir); len(left) > 0 {
			t.Errorf("%s/ holds %v in the end", dir, left)
		}
	}
}

// What stands in new/ and no user can have dropped there goes to corrupt/.
func TestWhatNobodyDropped(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(e *Envelope, owner *uint32)
	}{
		{"another user's envelope", func(e *Envelope, _ *uint32) { e.UID++ }},
		{"nobody's envelope", func(e *Envelope, _ *uint32) { e.UID = -1 }},
		{"another user's ID", func(e *Envelope, owner *uint32) { e.UID, *owner = submitter+1, submitter+1 }},
		{"from the network", func(e *Envelope, _ *uint32) { e.Client = "mx[192.0.2.1]" }},
		{"by a login", func(e *Envelope, _ *uint32) { e.Login = "bob" }},
		{"with an AUTH", func(e *Envelope, _ *uint32) { e.Auth = "bob" }},
		{"by ESMTP", func(e *Envelope, _ *uint32) { e.Proto = "ESMTP" }},
		{"with a deadline", func(e *Envelope, _ *uint32) { e.By = testTime }},
		{"with a release", func(e *Envelope, _ *uint32) { e.Release = testTime }},
		{"with unknown fields", func(e *Envelope, _ *uint32) { e.extra = []string{"x: y"} }},
		{"with a bad RET", func(e *Envelope, _ *uint32) { e.Ret = "x" }},
		{"with a bad BODY", func(e *Envelope, _ *uint32) { e.Body = "x" }},
		{"with a bad ENVID", func(e *Envelope, _ *uint32) { e.EnvID = "x SIZE=1" }},
		{"with a bad ORCPT", func(e *Envelope, _ *uint32) { e.Rcpts[0].ORcpt = "x NOTIFY=NEVER" }},
		{"with a sender of two lines", func(e *Envelope, _ *uint32) { e.Sender = "a>\r\nDATA" }},
		{"with a recipient of two lines", func(e *Envelope, _ *uint32) { e.Rcpts[0].Address = "a>\nDATA" }},
		{"with a very long recipient", func(e *Envelope, _ *uint32) { e.Rcpts[0].Address = strings.Repeat("a", maxDropped+1) }},
	} {
		f, s := crashSpool(t)
		e, owner := droppedEnvelope("bob@r.test"), uint32(submitter)
		c.do(&e, &owner)
		if _, err := drop(dropbox(t, f), e, testText); err == nil && c.name != "another user's ID" {
			t.Errorf("%s: was taken", c.name)
		}
		theirs := newSpool("/spool", Options{FS: fsys.NewGroup(owned{f, owner})})
		d, err := theirs.NewDraft(e)
		if err != nil {
			t.Fatal(err)
		}
		d.id = dropbox(t, f).NewID()
		io.WriteString(d, testText)
		entry, err := d.Commit()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Claim(entry); err != ErrCorrupt {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := names(t, s, corruptDir); len(got) != 1 || len(names(t, s, tmpDir)) > 0 {
			t.Errorf("%s: corrupt/ has %q", c.name, got)
		}
	}
}

// In every instant a dropped message is there, whole and once; whoever has it in the end has all of it.
func TestPowerCutWhileTakingOver(t *testing.T) {
	text := strings.Repeat("a message of several blocks\r\n", 5000)
	dropped := func() (*fsys.Crash, *Spool, Entry) {
		c, s := crashSpool(t)
		e, err := drop(dropbox(t, c), droppedEnvelope("bob@r.test", "carol@r.test"), text)
		if err != nil {
			t.Fatal(err)
		}
		return c, s, e
	}
	begin := func(s *Spool, e Entry) (recorded bool) {
		c, err := s.Claim(e)
		if err != nil {
			return false
		}
		defer c.Close()
		return c.Record(Record{Time: testTime, Kind: Delivered, Rcpts: One(0)}) == nil
	}
	for n := 0; ; n++ {
		c, s, e := dropped()
		c.CutAfter(n)
		recorded := begin(s, e)
		for i, how := range []fsys.Survival{fsys.Strict, fsys.Loose, fsys.Zeros, fsys.Random, fsys.Random, fsys.Random} {
			after, err := Open("/spool", Options{FS: c.Reboot(how, rand.New(rand.NewSource(int64(i))))})
			if err != nil {
				t.Fatal(err)
			}
			entries, _ := after.entries(New)
			got := claim(t, after, e.ID)
			body, err := io.ReadAll(got.Body())
			if len(entries) != 1 || string(body) != text || err != nil || recorded && !got.History.Done(0) {
				t.Fatalf("after %d operations, survival %v: %d names, %d bytes, %v, history %+v", n, how, len(entries), len(body), err, got.History)
			}
		}
		if recorded {
			if n < 12 {
				t.Errorf("only %d operations", n)
			}
			return
		}
	}
}

func TestEveryOperationOfTakingOverFails(t *testing.T) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO, fsys.ErrShort} {
		for n := 1; ; n++ {
			under, s := crashSpool(t)
			e, err := drop(dropbox(t, under), droppedEnvelope("bob@r.test"), testText)
			if err != nil {
				t.Fatal(err)
			}
			f := fsys.NewFaulty(under)
			s.fs, s.syncs.fs = f, f
			f.FailAt(n, 1, fault, nil)
			if c, err := s.Claim(e); err == nil {
				c.Close()
			}
			if !f.Struck() {
				break
			}
			got := claim(t, s, e.ID)
			if body, err := io.ReadAll(got.Body()); string(body) != testText || err != nil {
				t.Fatalf("operation %d failed with %v: then %q, %v", n, fault, body, err)
			}
			if err := got.Remove(); err != nil {
				t.Fatal(err)
			}
			if left := slices.Concat(names(t, s, tmpDir), names(t, s, newDir), names(t, s, corruptDir)); len(left) > 0 {
				t.Fatalf("operation %d failed with %v: %q are left", n, fault, left)
			}
		}
	}
}

// Whatever fails while a message is dropped, it is accepted, or nothing of it is left; and it is never accepted before it
// is durable.
func TestEveryOperationOfDroppingFails(t *testing.T) {
	for n := 1; ; n++ {
		under, s := crashSpool(t)
		f := fsys.NewFaulty(under)
		b := dropbox(t, f)
		f.FailAt(n, 1, syscall.ENOSPC, nil)
		_, err := drop(b, droppedEnvelope("bob@r.test"), testText)
		if !f.Struck() {
			if got := names(t, s, newDir); err != nil || len(got) != 1 || n < 8 {
				t.Errorf("after %d operations: %v, %q", n, err, got)
			}
			return
		}
		left := slices.Concat(names(t, s, tmpDir), names(t, s, newDir))
		if accepted := err == nil; accepted != (len(left) == 1) || !accepted && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("operation %d: %v, %q are left", n, err, left)
		}
	}
}

func TestIDsOfDroppedMessages(t *testing.T) {
	now := time.Now()
	alice := droppedID(now, 1000, 77)
	if _, err := ParseID(string(alice)); err != nil || !alice.dropped(1000) || alice.dropped(1001) {
		t.Errorf("%s: %v", alice, err)
	}
	if d := alice.Time().Sub(now).Abs(); d > 2*time.Millisecond {
		t.Errorf("%s is off by %v", alice, d)
	}
	if newID(now).dropped(1000) || strings.HasSuffix(string(newID(now)), "ZZZZ") {
		t.Error("the owner makes IDs of users")
	}
	seen := map[ID]string{alice: "alice"}
	for _, c := range []struct {
		who string
		id  ID
	}{
		{"bob", droppedID(now, 1001, 77)}, {"root", droppedID(now, 0, 77)}, {"alice's next process", droppedID(now, 1000, 78)},
		{"alice a moment later", droppedID(now.Add(2*time.Millisecond), 1000, 77)}, {"the largest number", droppedID(now, 1<<32-2, 77)},
	} {
		if other, ok := seen[c.id]; ok {
			t.Errorf("%s has the ID of %s", c.who, other)
		}
		seen[c.id] = c.who
	}
}

func TestSpoolsThatTakeNothing(t *testing.T) {
	root := filepath.Join(t.TempDir(), "spool")
	if _, err := OpenDropbox(root, submitter, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Open(root, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, open := range []string{"", "/tmp", "/new"} {
		os.Chmod(root+open, 0o705)
		if _, err := OpenDropbox(root, submitter, Options{}); !errors.Is(err, errNoDropbox) {
			t.Errorf("open to others: %v", err)
		}
		os.Chmod(root+open, 0o700)
	}
	if _, err := OpenDropbox(root, submitter, Options{}); err != nil {
		t.Errorf("closed: %v", err)
	}
}

// A program that died before its draft could be read by the group leaves one that the owner cannot open.
func TestDraftThatCannotBeOpenedIsSwept(t *testing.T) {
	c := fsys.NewCrash("/spool")
	f := fsys.NewFaulty(c)
	s, err := Open("/spool", Options{FS: f, Now: lateClock})
	if err != nil {
		t.Fatal(err)
	}
	draft, err := c.Create(s.path(tmpDir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	draft.Close()
	f.FailAt(1, 1, syscall.EACCES, func(op fsys.Op) bool { return op.Name == "lock" })
	if r, err := s.Recover(); r.Drafts != 1 || err != nil || len(names(t, s, tmpDir)) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzSubmitted(f *testing.F) {
	f.Add("alice@example.org", "bob@r.test", "rfc822;bob@r.test", "x", "t", submitter)
	f.Add("", "<bad", "", "", "", 0)
	f.Add("a\nrcpt: b", "a\r\n.\r\n", "x y", "\x7f", "\x00", -1)
	f.Fuzz(func(t *testing.T, sender, rcpt, orcpt, envid, tag string, uid int) {
		e := Envelope{Arrival: testTime, Sender: sender, EnvID: envid, Tag: tag, UID: uid, Proto: "local", Rcpts: []Rcpt{{Address: rcpt, ORcpt: orcpt}}}
		err := e.Submitted(uid)
		if text := fmt.Sprint(sender, rcpt, orcpt, envid, tag); err == nil && strings.ContainsAny(text, "\r\n\x00\x7f") {
			t.Errorf("%q was taken", text)
		}
		got, _, perr := ParseEnvelope(appendEnvelope(nil, &e))
		if perr == nil && (got.Submitted(uid) == nil) != (err == nil) {
			t.Errorf("%v before, %v afterwards", err, got.Submitted(uid))
		}
	})
}
