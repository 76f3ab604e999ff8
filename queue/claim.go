package queue

import (
	"errors"
	"io"
	"io/fs"
	"strconv"
	"syscall"
	"time"

	"postrider/internal/fsys"
)

// Claim is the sole right to work on a message. A Claim is for one goroutine. Defer, Hold, Release, Remove and
// Close end it; a crash ends it as well.
type Claim struct {
	Entry    Entry
	Envelope Envelope
	Traits   Traits
	History  History

	s       *Spool
	lock    fsys.Lock
	file    fsys.File
	body    int64     // where the message begins
	journal fsys.File // open once something was recorded
	torn    bool      // the journal may end in a part of a line
	had     bool      // there is a journal

	journaled int64 // bytes of the journal, as far as we know
}

// Claim takes a message without waiting. The error is ErrBusy when somebody else works on it, ErrGone when it
// has changed its state or left, ErrCorrupt when the file is not whole: then it has been moved to corrupt/. Any
// other error is a temporary *status.Status.
func (s *Spool) Claim(e Entry) (*Claim, error) {
	name := s.path(e.State.dir(), e.Name)
	lock, err := s.fs.TryLock(name, true)
	switch {
	case errors.Is(err, fsys.ErrLocked):
		return nil, ErrBusy
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrGone
	}
	c := &Claim{Entry: e, s: s, lock: lock}
	switch {
	case errors.Is(err, syscall.ELOOP): // a link, which leads nowhere that is ours
		return nil, c.setAside()
	case err != nil:
		return nil, failed("claim", err)
	}
	if err := c.load(name); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// load checks that the locked file is the one that the name leads to, and whole, and reads it.
func (c *Claim) load(name string) error {
	locked, err := c.lock.Stat()
	if err != nil {
		return failed("claim", err)
	}
	named, err := c.s.fs.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !named.Same(locked) {
		return ErrGone
	}
	if err != nil {
		return failed("claim", err)
	}
	if !named.Regular || named.Size != c.Entry.Size {
		return c.setAside()
	}
	if c.Entry.State == New && !c.s.ours(named) {
		if err := c.adopt(name, locked); err != nil {
			return err
		}
	}
	if c.file, err = c.s.fs.Open(name); err != nil {
		return failed("open", err)
	}
	r := reader{s: c.s}
	var n int
	c.Envelope, c.Traits, n, err = r.envelope(c.file, c.Entry.Size)
	if errors.Is(err, errEnvelope) {
		return c.setAside()
	}
	if err != nil {
		return failed("read", err)
	}
	c.body = int64(n)
	if c.History, err = r.journal(c.Entry.ID, len(c.Envelope.Rcpts)); err != nil {
		return failed("read", err)
	}
	c.Envelope.Rcpts = append(c.Envelope.Rcpts, c.History.takeMembers()...)
	c.had = len(c.History.events) > 0
	return c.verify()
}

// verify compares the message with its checksum. Only a message that nobody has tried can have been hit by the
// power cut of its own acceptance, so that later claims need not read it all.
func (c *Claim) verify() error {
	if c.Entry.State != New || c.had {
		return nil
	}
	got, err := sum(c.Body())
	if err != nil {
		return failed("read", err)
	}
	if got != c.Traits.sum {
		return c.setAside()
	}
	return nil
}

// Body is the message in wire form.
func (c *Claim) Body() *io.SectionReader {
	return io.NewSectionReader(c.file, c.body, c.Entry.Size-c.body)
}

// setAside moves a file that is no message to corrupt/ under its own name, or that name with a number.
func (c *Claim) setAside() error {
	if err := c.s.setAside(c.Entry.State.dir(), c.Entry.Name); err != nil {
		return err
	}
	return ErrCorrupt
}

func (s *Spool) setAside(dir, name string) error {
	to := name
	for i := 1; ; i++ {
		err := s.fs.Rename(s.path(dir, name), s.path(corruptDir, to))
		if errors.Is(err, fs.ErrExist) && i < 1000 {
			to = name + "." + strconv.Itoa(i)
			continue
		}
		if err != nil {
			return failed("set aside", err)
		}
		return nil
	}
}

// Record appends records to the journal, in the order given; neighbours that differ only in adjacent
// recipients become one line. When a record is final the journal is durable before Record returns. After an
// error nothing is known to be recorded: no further transaction may begin on this claim.
func (c *Claim) Record(records ...Record) error {
	if err := c.openJournal(); err != nil {
		return failed("record", err)
	}
	var text []byte
	if c.torn {
		text = append(text, '\n')
	}
	final := false
	merged := merge(records)
	for i := range merged {
		text = appendRecord(text, &merged[i])
		final = final || merged[i].Kind.final()
	}
	if err := c.append(text); err != nil {
		return failed("record", err)
	}
	if final {
		if err := c.syncJournal(); err != nil {
			return failed("record", err)
		}
	}
	c.remember(merged)
	return nil
}

// append writes to the journal.
func (c *Claim) append(text []byte) error {
	c.torn, c.journaled = true, c.journaled+int64(len(text))
	if _, err := c.journal.Write(text); err != nil {
		return err
	}
	c.torn = false
	return nil
}

// remember adds to the history what the journal has got.
func (c *Claim) remember(records []Record) {
	if c.History.last == nil {
		c.History = newHistory(len(c.Envelope.Rcpts))
	}
	for _, r := range records {
		c.History.add(r)
	}
}

// merge joins records that are alike but for adjacent recipients, so that a list of thousands takes a line.
func merge(records []Record) []Record {
	var out []Record
	for _, r := range records {
		if n := len(out) - 1; n >= 0 && r.Rcpts.First > 0 && out[n].Rcpts.Last+1 == r.Rcpts.First {
			joined := r
			joined.Rcpts = out[n].Rcpts
			if joined == out[n] {
				out[n].Rcpts.Last = r.Rcpts.Last
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

func (c *Claim) openJournal() error {
	if c.journal != nil {
		return nil
	}
	f, err := c.s.fs.Append(c.s.path(journalDir, string(c.Entry.ID)))
	if err != nil {
		return err
	}
	c.journal, c.had = f, true
	// What a crash left may end in the middle of a line.
	st, err := f.Stat()
	if err != nil {
		return err
	}
	c.torn, c.journaled = st.Size > 0, st.Size
	if c.torn {
		var last [1]byte
		if _, err := f.ReadAt(last[:], st.Size-1); err != nil && err != io.EOF {
			return err
		}
		c.torn = last[0] != '\n'
	}
	return nil
}

// syncJournal makes the journal's bytes and its name durable.
func (c *Claim) syncJournal() error {
	if err := c.journal.Sync(); err != nil {
		return err
	}
	return c.s.syncs.sync(c.s.path(journalDir))
}

// Defer ends the claim and lets the message wait until due. After an error the message waits as it did.
func (c *Claim) Defer(due time.Time) error {
	defer c.Close()
	return c.move(Cur, dueName(c.Entry.ID, c.Entry.Size, due))
}

// Hold ends the claim and keeps the message from being tried until Release. It is durable when Hold returns.
func (c *Claim) Hold(reason string) error {
	defer c.Close()
	if err := c.Record(Record{Time: c.s.now(), Kind: HeldBy, Rcpts: WholeMessage, Text: reason}); err != nil {
		return err
	}
	if err := c.move(Held, fileName(c.Entry.ID, c.Entry.Size)); err != nil {
		return err
	}
	return c.syncDir(holdDir)
}

// Release ends the claim and makes a message due at once, held or not. It is durable when Release returns.
func (c *Claim) Release() error {
	defer c.Close()
	if c.Entry.State == Held {
		if err := c.Record(Record{Time: c.s.now(), Kind: Released, Rcpts: WholeMessage}); err != nil {
			return err
		}
	}
	if err := c.move(Cur, dueName(c.Entry.ID, c.Entry.Size, c.s.now())); err != nil {
		return err
	}
	return c.syncDir(curDir)
}

func (c *Claim) syncDir(dir string) error {
	if err := c.s.syncs.sync(c.s.path(dir)); err != nil {
		return failed("fsync", err)
	}
	return nil
}

func (c *Claim) move(to State, name string) error {
	from := c.Entry
	if from.State == to && from.Name == name {
		return nil
	}
	if err := c.s.fs.Rename(c.s.path(from.State.dir(), from.Name), c.s.path(to.dir(), name)); err != nil {
		return failed("rename", err)
	}
	c.Entry, _ = parseName(to, name)
	return nil
}

// Remove ends the claim and takes the message out of the spool. Where something was recorded the record goes
// only after the message is gone for good. After an error the claim is still held.
func (c *Claim) Remove() error {
	dir := c.s.path(c.Entry.State.dir())
	if err := c.s.fs.Remove(dir + "/" + c.Entry.Name); err != nil {
		return failed("remove", err)
	}
	defer c.Close()
	if !c.had {
		return nil
	}
	if err := c.s.syncs.sync(dir); err != nil {
		return failed("fsync", err)
	}
	if err := c.s.fs.Remove(c.s.path(journalDir, string(c.Entry.ID))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("remove", err)
	}
	return nil
}

// Close ends the claim and leaves the message as it is.
func (c *Claim) Close() error {
	for _, f := range []fsys.File{c.file, c.journal} {
		if f != nil {
			f.Close()
		}
	}
	c.file, c.journal = nil, nil
	if c.lock == nil {
		return nil
	}
	lock := c.lock
	c.lock = nil
	return lock.Release()
}
