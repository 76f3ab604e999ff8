package queue

import (
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"io/fs"
	"syscall"
	"time"

	"postrider/internal/fsys"
)

const (
	maxEnvelope = 64 << 20  // bytes of a queue file's envelope
	maxJournal  = 256 << 20 // bytes of a journal that are read: a list may have 250,000 members
)

// Message is what a listing shows of a message.
type Message struct {
	Entry
	Envelope Envelope
	Traits   Traits
	History  History
	Size     int64 // of the message, without the envelope
	Busy     bool  // somebody holds the claim
	Early    bool  // its sender wants no attempt yet (Envelope.Release)
}

// Text opens the message itself, in wire form. It takes no lock, and goes on where the message has changed its
// state since m was read. The error is ErrGone when it has left.
func (s *Spool) Text(m *Message) (io.ReadCloser, error) {
	e := m.Entry
	f, err := s.fs.Open(s.path(e.State.dir(), e.Name))
	if errors.Is(err, fs.ErrNotExist) {
		if e, err = s.Find(m.ID); err != nil {
			return nil, err
		}
		f, err = s.fs.Open(s.path(e.State.dir(), e.Name))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrGone
	case err != nil:
		return nil, failed("open", err)
	}
	return text{io.NewSectionReader(f, e.Size-m.Size, m.Size), f}, nil
}

// text is a message being read.
type text struct {
	io.Reader
	io.Closer
}

// Read reads a message for display. It takes no lock. The error is ErrGone when the file has left, ErrCorrupt
// when it is damaged (and it stays where it is); it wraps the cause where there is one.
func (s *Spool) Read(e Entry) (*Message, error) {
	m := new(Message)
	r := reader{s: s}
	r.look()
	if err := r.read(m, e); err != nil {
		return nil, err
	}
	return m, nil
}

// reader reads messages, one after the other through one buffer.
type reader struct {
	s      *Spool
	buf    []byte
	locked map[uint64]bool // inodes
	looked time.Time       // when that was so
}

// look finds out which files are locked, unless that is known from a moment ago.
func (r *reader) look() {
	if now := time.Now(); now.Sub(r.looked) > 100*time.Millisecond {
		r.looked, r.locked = now, lockedInodes()
	}
}

// read fills m; the errors are those of Read.
func (r *reader) read(m *Message, e Entry) error {
	*m = Message{Entry: e}
	f, err := r.s.fs.Open(r.s.file(e.State.dir(), e.Name))
	if err != nil {
		return unreadable("open", err)
	}
	defer f.Close()
	var n int
	m.Envelope, m.Traits, n, err = r.envelope(f, e.Size)
	if err != nil {
		return unreadable("read", err)
	}
	m.Size = e.Size - int64(n)
	m.Early = !m.Envelope.Release.IsZero() && m.Envelope.Release.After(r.s.now())
	if e.State != New {
		if m.History, err = r.journal(e.ID, len(m.Envelope.Rcpts)); err != nil {
			return unreadable("read", err)
		}
		m.Envelope.Rcpts = append(m.Envelope.Rcpts, m.History.takeMembers()...)
	}
	if len(r.locked) > 0 {
		st, err := f.Stat()
		m.Busy = err == nil && r.locked[st.Ino]
	}
	return nil
}

// unreadable is why a message cannot be read. What is wrong with its own files, be they damaged, foreign or somebody
// else's, must not keep those who list the queue from the other messages.
func unreadable(op string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrGone
	case errors.Is(err, errEnvelope):
		return ErrCorrupt
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return failed(op, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrCorrupt, op, err)
}

// envelope reads the envelope at the start of a queue file, which should have the given size.
func (r *reader) envelope(f fsys.File, size int64) (e Envelope, t Traits, n int, err error) {
	for have := 0; int64(have) < min(size, maxEnvelope); {
		room := r.room(have)
		// A file as large as its name says is read in one call: nobody looks for its end.
		room = room[:min(int64(len(room)), size-int64(have))]
		m, err := f.ReadAt(room, int64(have))
		have += m
		if err != nil && err != io.EOF {
			return e, t, 0, err
		}
		e, t, n, perr := parseEnvelope(r.buf[:have])
		if perr != nil || n >= 0 {
			return e, t, n, perr
		}
		if err == io.EOF {
			break
		}
	}
	return e, t, 0, fmt.Errorf("%w: it does not end", errEnvelope)
}

// room is the free part of the buffer behind the first n bytes; the buffer grows when there is none.
func (r *reader) room(n int) []byte {
	if n == len(r.buf) {
		r.buf = append(r.buf, make([]byte, max(1024, 3*len(r.buf)))...)
	}
	return r.buf[n:]
}

// journal reads what happened to a message; no journal is the zero History.
func (r *reader) journal(id ID, rcpts int) (History, error) {
	f, err := r.s.fs.Open(r.s.file(journalDir, string(id)))
	if errors.Is(err, fs.ErrNotExist) {
		return History{}, nil
	}
	if err != nil {
		return History{}, err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size >= int64(len(r.buf)) && st.Size < maxJournal {
		r.buf = make([]byte, st.Size+1)
	}
	for have := 0; ; {
		n, err := f.Read(r.room(have))
		have += n
		if err == io.EOF || have >= maxJournal {
			return parseHistory(r.buf[:have], rcpts), nil
		}
		if err != nil {
			return History{}, err
		}
	}
}

// List calls fn with each message in the given states, oldest first, until fn returns an error. Messages that
// leave meanwhile are passed over, and so are damaged ones: they are for Claim to find. A message is fn's only
// until it returns. List takes no lock.
func (s *Spool) List(states State, fn func(*Message) error) error {
	x, err := s.Snapshot(states)
	if err != nil {
		return err
	}
	return x.Each(func(m *Message, err error) error {
		if err != nil {
			return nil
		}
		return fn(m)
	})
}

// Count is how many messages are in the given states.
func (s *Spool) Count(states State) (n int, err error) {
	err = s.Scan(states, func(Entry) error { n++; return nil })
	if err != nil {
		err = failed("list", err)
	}
	return n, err
}

// sum reads a message and returns its checksum.
func sum(r io.Reader) (uint32, error) {
	h := adler32.New()
	_, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, blockSize))
	return h.Sum32(), err
}
