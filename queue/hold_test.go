package queue

import (
	"fmt"
	"syscall"
	"testing"

	"postrider/internal/fsys"
)

// tryHeld submits a message that is held from the start.
func tryHeld(s *Spool) (Entry, error) {
	d, err := s.NewDraft(testEnvelope("bob@r.test"))
	if err != nil {
		return Entry{}, err
	}
	if _, err := d.Write([]byte(testText)); err != nil {
		d.Abort()
		return Entry{}, err
	}
	d.Hold("looks odd")
	return d.Commit()
}

func TestHeldFromTheStart(t *testing.T) {
	_, s := crashSpool(t)
	e, err := tryHeld(s)
	if err != nil || e.State != Held {
		t.Fatal(e, err)
	}
	c := claim(t, s, e.ID)
	if c.Entry.State != Held || c.History.HoldReason() != "looks odd" {
		t.Errorf("%v %q", c.Entry.State, c.History.HoldReason())
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	c = claim(t, s, e.ID)
	defer c.Close()
	if c.Entry.State != Cur || c.History.HoldReason() != "" {
		t.Errorf("%v %q", c.Entry.State, c.History.HoldReason())
	}
}

// A message that could not be held has not been accepted and leaves nothing; one that is accepted survives a power cut, held.
func TestHeldOrNothing(t *testing.T) {
	for n := 1; ; n++ {
		under, s := crashSpool(t)
		f := fsys.NewFaulty(under)
		s.fs, s.syncs.fs = f, f
		f.FailAt(n, 1, syscall.ENOSPC, nil)
		e, err := tryHeld(s)
		struck := f.Struck()
		s.fs, s.syncs.fs = under, under
		for _, dir := range []string{tmpDir, newDir, holdDir, journalDir} {
			if left := names(t, s, dir); err != nil && len(left) > 0 {
				t.Fatalf("operation %d failed and left %v in %s/", n, left, dir)
			}
		}
		if err == nil {
			after, err := Open(s.root, Options{FS: under.Reboot(fsys.Strict, nil), Now: s.now})
			if err != nil {
				t.Fatal(err)
			}
			if found, err := after.Find(e.ID); err != nil || found.State != Held {
				t.Fatal(fmt.Sprintf("operation %d failed:", n), found, err)
			}
		}
		if !struck {
			if n < 6 {
				t.Fatalf("only %d operations", n)
			}
			return
		}
	}
}
