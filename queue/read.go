package queue

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"

	"postrider/internal/fsys"
)

const (
	maxEnvelope = 64 << 20 // bytes of a queue file's envelope
	maxJournal  = 64 << 20 // bytes of a journal that are read
)

// Message is what a listing shows of a message.
type Message struct {
	Entry
	Envelope Envelope
	Traits   Traits
	History  History
	Size     int64 // of the message, without the envelope
	Busy     bool  // somebody holds the claim
}

// readEnvelope reads the envelope at the start of a queue file. buf is scratch space; the one to use next time
// is returned.
func readEnvelope(f fsys.File, buf []byte) (e Envelope, t Traits, n int, _ []byte, err error) {
	if cap(buf) == 0 {
		buf = make([]byte, 4096)
	}
	buf = buf[:cap(buf)]
	have := 0
	for {
		m, err := f.ReadAt(buf[have:], int64(have))
		have += m
		if err != nil && err != io.EOF {
			return e, t, 0, buf, err
		}
		e, t, n, perr := parseEnvelope(buf[:have])
		if perr != nil || n >= 0 {
			return e, t, n, buf, perr
		}
		if err == io.EOF || have >= maxEnvelope {
			return e, t, 0, buf, fmt.Errorf("%w: it does not end", errEnvelope)
		}
		if have == len(buf) {
			buf = append(buf, make([]byte, len(buf)*3)...)
		}
	}
}

// readJournal reads what happened to a message; no journal is the zero History.
func (s *Spool) readJournal(id ID, rcpts int) (History, error) {
	f, err := s.fs.Open(s.path(journalDir, string(id)))
	if errors.Is(err, fs.ErrNotExist) {
		return History{}, nil
	}
	if err != nil {
		return History{}, err
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(f, maxJournal)); err != nil {
		return History{}, err
	}
	return parseHistory(b.Bytes(), rcpts), nil
}

// Read reads a message for display. It takes no lock. The error is ErrGone when the file has left, ErrCorrupt
// when it is damaged (and it stays where it is).
func (s *Spool) Read(e Entry) (*Message, error) {
	m, _, err := s.read(e, nil)
	return m, err
}

func (s *Spool) read(e Entry, buf []byte) (*Message, []byte, error) {
	f, err := s.fs.Open(s.path(e.State.dir(), e.Name))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, buf, ErrGone
		}
		return nil, buf, failed("open", err)
	}
	defer f.Close()
	m := &Message{Entry: e}
	var n int
	m.Envelope, m.Traits, n, buf, err = readEnvelope(f, buf)
	if errors.Is(err, errEnvelope) {
		return nil, buf, ErrCorrupt
	}
	if err != nil {
		return nil, buf, failed("read", err)
	}
	m.Size = e.Size - int64(n)
	if e.State != New {
		if m.History, err = s.readJournal(e.ID, len(m.Envelope.Rcpts)); err != nil {
			return nil, buf, failed("read", err)
		}
	}
	if st, err := f.Stat(); err == nil {
		m.Busy = busy(st.Ino)
	}
	return m, buf, nil
}

// List calls fn with each message in the given states, oldest first, until fn returns an error. Messages that
// leave meanwhile are passed over, and so are damaged ones: they are for Claim to find. It takes no lock.
func (s *Spool) List(states State, fn func(*Message) error) error {
	entries, err := s.entries(states)
	if err != nil {
		return err
	}
	var buf []byte
	for _, e := range entries {
		var m *Message
		m, buf, err = s.read(e, buf)
		if errors.Is(err, ErrGone) {
			if e, err = s.Find(e.ID); err == nil {
				m, buf, err = s.read(e, buf)
			}
		}
		if errors.Is(err, ErrGone) || errors.Is(err, ErrCorrupt) {
			continue
		}
		if err != nil {
			return err
		}
		if err := fn(m); err != nil {
			return err
		}
	}
	return nil
}

// Count is how many messages are in the given states.
func (s *Spool) Count(states State) (n int, err error) {
	err = s.Scan(states, func(Entry) error { n++; return nil })
	if err != nil {
		err = failed("list", err)
	}
	return n, err
}

// entries are the messages in the given states, sorted by ID, each once although it may change its directory
// while the directories are read.
func (s *Spool) entries(states State) ([]Entry, error) {
	var list []Entry
	if err := s.Scan(states, func(e Entry) error { list = append(list, e); return nil }); err != nil {
		return nil, failed("list", err)
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return slices.CompactFunc(list, func(a, b Entry) bool { return a.ID == b.ID && a.ID != "" }), nil
}

// sum reads a message and returns its checksum.
func sum(r io.Reader) (uint32, error) {
	h := crc32.New(castagnoli)
	_, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, blockSize))
	return h.Sum32(), err
}
