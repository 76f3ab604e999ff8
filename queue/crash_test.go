package queue

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
)

// A life is what one process does with a spool. It notes what it was told.
type life struct {
	accepted  map[string]bool // message texts for which Commit returned nil
	delivered map[string]int  // by text and recipient: deliveries that were begun
	recorded  map[string]bool // by text and recipient: the delivery's record or the removal returned nil
}

func newLife() *life {
	return &life{accepted: map[string]bool{}, delivered: map[string]int{}, recorded: map[string]bool{}}
}

// run submits two messages, delivers one recipient of the first, defers it, delivers the rest and removes it,
// holds and releases the second, and delivers that in one transaction. Errors end the step that they strike,
// as they would in a program, not the run.
func (l *life) run(s *Spool) {
	for i, text := range lifeTexts {
		e := testEnvelope("a@r.test", "b@r.test")
		if _, err := trySubmit(s, e, text); err == nil {
			l.accepted[text] = true
		}
		l.attempt(s, i == 0)
	}
	l.holdAndRelease(s)
	l.attempt(s, false)
	s.Recover()
}

var lifeTexts = []string{
	"Subject: one\r\n\r\n" + strings.Repeat("first message\r\n", 10_000), // more than one write
	"Subject: two\r\n\r\nsecond message\r\n",
}

// attempt tries every message; with one, only its first recipient before a deferral.
func (l *life) attempt(s *Spool, one bool) {
	entries, _ := s.entries(New | Cur)
	for _, e := range entries {
		if c, err := s.Claim(e); err == nil {
			l.deliver(c, one)
			c.Close()
		}
	}
}

func (l *life) deliver(c *Claim, one bool) {
	text, err := io.ReadAll(c.Body())
	if err != nil {
		return
	}
	for i, r := range c.Envelope.Rcpts {
		if c.History.Done(i) || one && i > 0 {
			continue
		}
		key := string(text) + r.Address
		l.delivered[key]++
		if c.Record(Record{Time: testTime, Kind: Delivered, Rcpts: One(i)}) != nil {
			return
		}
		l.recorded[key] = true
	}
	if one {
		c.Defer(testTime)
		return
	}
	c.Remove()
}

func (l *life) holdAndRelease(s *Spool) {
	for _, step := range []struct {
		from State
		do   func(*Claim) error
	}{{New | Cur, func(c *Claim) error { return c.Hold("test") }}, {Held, (*Claim).Release}} {
		entries, _ := s.entries(step.from)
		for _, e := range entries {
			if c, err := s.Claim(e); err == nil {
				step.do(c)
			}
		}
	}
}

// check lets a healthy process finish the work and holds the promises against the result.
func (l *life) check(t *testing.T, f fsys.FS, when string) {
	t.Helper()
	s, err := Open("/spool", Options{FS: f, Now: lateClock})
	if err != nil {
		t.Fatalf("%s: reopening: %v", when, err)
	}
	rest := newLife()
	if _, err := s.Recover(); err != nil {
		t.Fatalf("%s: recovery: %v", when, err)
	}
	for range 2 { // the first pass may find a message held
		rest.attempt(s, false)
		rest.holdAndRelease(s)
	}
	for _, text := range lifeTexts {
		for _, r := range []string{"a@r.test", "b@r.test"} {
			key := text + r
			n := l.delivered[key] + rest.delivered[key]
			switch {
			case l.accepted[text] && n == 0:
				t.Fatalf("%s: an accepted message is lost for %s: %.20q", when, r, text)
			case l.recorded[key] && rest.delivered[key] > 0:
				t.Fatalf("%s: a recorded delivery to %s was repeated: %.20q", when, r, text)
			case n > 2:
				t.Fatalf("%s: %d deliveries to %s", when, n, r)
			}
		}
	}
	for key := range rest.delivered {
		if !strings.HasPrefix(key, lifeTexts[0]) && !strings.HasPrefix(key, lifeTexts[1]) {
			t.Fatalf("%s: delivered a message that is not whole: %.60q", when, key)
		}
	}
	for _, dir := range []string{tmpDir, newDir, curDir, holdDir, journalDir} {
		if left := names(t, s, dir); len(left) > 0 {
			t.Fatalf("%s: %s/ holds %v in the end", when, dir, left)
		}
	}
}

// lateClock is after the age at which debris is swept.
func lateClock() time.Time { return time.Now().Add(2 * staleAge) }

func crashSpool(t *testing.T) (*fsys.Crash, *Spool) {
	c := fsys.NewCrash("/spool")
	s, err := Open("/spool", Options{FS: c})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func TestPowerCutAfterEveryOperation(t *testing.T) {
	c, s := crashSpool(t)
	before := len(c.Ops())
	newLife().run(s)
	total := len(c.Ops()) - before
	if total < 60 {
		t.Fatalf("a whole life has only %d operations", total)
	}
	for n := range total {
		c, s := crashSpool(t)
		c.CutAfter(n)
		l := newLife()
		l.run(s)
		for _, how := range []fsys.Survival{fsys.Strict, fsys.Loose, fsys.Zeros} {
			l.check(t, c.Reboot(how, nil), fmt.Sprintf("power cut after %d of %d operations, survival %d", n, total, how))
		}
		for seed := range int64(5) {
			l.check(t, c.Reboot(fsys.Random, rand.New(rand.NewSource(seed))), fmt.Sprintf("power cut after %d operations, seed %d", n, seed))
		}
	}
}

func TestEveryOperationFails(t *testing.T) {
	under, s := crashSpool(t)
	f := fsys.NewFaulty(under)
	s.fs, s.syncs.fs = f, f
	newLife().run(s)
	total := len(f.Ops())
	for _, err := range []error{syscall.ENOSPC, syscall.EIO, syscall.EDQUOT, syscall.EMFILE, fsys.ErrShort} {
		for _, times := range []int{1, 3, 1 << 20} {
			for n := 1; n <= total; n++ {
				when := fmt.Sprintf("operations %d to %d fail with %v", n, n+times-1, err)
				under, s := crashSpool(t)
				f := fsys.NewFaulty(under)
				s.fs, s.syncs.fs = f, f
				f.FailAt(n, times, err, nil)
				l := newLife()
				l.run(s)
				if !f.Struck() {
					break
				}
				l.check(t, under, when)
			}
		}
	}
}

// A full disk that refuses only what needs space: names can still be taken away.
func TestFullDiskLeavesNothingOfARefusedMessage(t *testing.T) {
	needsSpace := func(op fsys.Op) bool {
		return op.Name == "create" || op.Name == "append" || op.Name == "write" || op.Name == "fsync" || op.Name == "rename"
	}
	for n := 1; ; n++ {
		under, s := crashSpool(t)
		f := fsys.NewFaulty(under)
		s.fs, s.syncs.fs = f, f
		f.FailAt(n, 1<<20, syscall.ENOSPC, needsSpace)
		_, err := trySubmit(s, testEnvelope("bob@r.test"), lifeTexts[0])
		if !f.Struck() {
			if n < 5 || err != nil {
				t.Fatalf("only %d operations, %v", n, err)
			}
			return
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("operation %d: %v", n, err)
		}
		s.fs, s.syncs.fs = under, under
		for _, dir := range []string{tmpDir, newDir} {
			if left := names(t, s, dir); len(left) > 0 {
				t.Fatalf("operation %d failed and left %v in %s/", n, left, dir)
			}
		}
	}
}

// No acceptance before its syncs: the last three operations of every accepted message are these, in this order.
func TestAcceptanceIsTheLastSync(t *testing.T) {
	c, s := crashSpool(t)
	c.Ops()
	submit(t, s, testEnvelope("bob@r.test"), testText)
	ops := c.Ops()
	var got []string
	for _, op := range ops[len(ops)-3:] {
		got = append(got, op.Name)
	}
	if strings.Join(got, " ") != "rename fsync syncdir" {
		t.Errorf("the submission ends in %v", got)
	}
}
