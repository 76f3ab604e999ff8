// Package table reads the text tables of a mail system as Sendmail writes them, and finds lines in them by their keys.
//
// # Format
//
//	key   value
//
// A line is a key, blanks, and a value to the end of the line, which may have blanks in it. Lines that are empty or begin
// with # are comments; a # further on is none. No line continues another: one that begins with a blank is an error, as
// it is to makemap(8). Case means nothing in keys. Of two lines with one key the first counts, which is noted.
//
// A list (Spec.Words) is words with blanks or line ends between them, of which each is a key; in it a # begins a comment
// anywhere.
//
// # Rules
//
//   - A table is whole or not there: a line that makes no sense is an error of the table, with its file and line. A table
//     that has become wrong, or is gone, leaves the one that there was, and that is reported once.
//   - A table that was never there is an empty one, if its options say so. One that cannot be read, or that everybody
//     may write, or is no regular file, is an error: never "no such key".
//   - A table is looked at not more than once a second, and read again when it has changed and nobody has written to it for
//     two seconds: somebody who writes in its place may not be ready. Until then the one before it stays; in a program
//     that has just started there is none, which is an error. An empty file does not take the place of one that was
//     not: so a writing begins, or ends on a full disk.
//   - A table costs the memory of its index, some ten bytes a line. Short ones are kept beside it. Of a long one the lines
//     are read from the file when they are looked up; so a program that writes one should write it aside and rename it.
//     While a long table is written in place there is none, which is an error and not "no such key".
//   - Reading is linear in the file, whose size and whose lines are capped.
package table

import (
	"errors"
	"strings"
	"time"

	"postrider/internal/status"
)

// The caps.
const (
	maxFile   = 1 << 30
	maxShort  = 1 << 20 // a longer table is not kept in memory
	maxLine   = 2048
	maxErrors = 10 // that are told of
	maxNotes  = 10
)

// Spec says what kind of table one is.
type Spec struct {
	// Key brings a key into the form in which it is looked up. The error says what is wrong with it. nil: lower case.
	Key func(key string) (string, error)
	// Value tells what is wrong with a value. nil: nothing is.
	Value func(key, value string) error
	// Group is the group that a key, in the form of Key, belongs to; "" for none. nil: there are no groups.
	Group func(key string) string
	// Words makes the table a list of words, each of which is a key.
	Words bool
}

func (s *Spec) key(written string) (string, error) {
	if s.Key == nil {
		return strings.ToLower(written), nil
	}
	return s.Key(written)
}

// Map is a table in a file. It may be used by several goroutines at once. The nil Map is empty.
type Map struct{ file *File[*indexed] }

// Open makes a Map of the file at path, which is read when it is first needed.
func Open(path string, spec Spec, o FileOptions) *Map {
	return &Map{Watch(path, func(path string) (*indexed, error) { return read(path, spec) }, o)}
}

// Path is the file's path.
func (m *Map) Path() string {
	if m == nil {
		return ""
	}
	return m.file.path
}

// Lookup finds the line of the first of keys that there is one for. Keys are given in the form of Spec.Key. An error
// means that nobody knows.
func (m *Map) Lookup(keys ...string) (Entry, bool, error) {
	var e Entry
	ok := false
	err := m.look(func(t *indexed) (err error) {
		for _, key := range keys {
			if e, ok, err = t.lookup(key); ok || err != nil {
				return err
			}
		}
		return nil
	})
	return e, ok, err
}

// HasGroup tells whether a key of the table belongs to a group.
func (m *Map) HasGroup(name string) (has bool, err error) {
	err = m.look(func(t *indexed) error {
		has = t.groups.has(name)
		return nil
	})
	return has, err
}

// Len is how many keys there are.
func (m *Map) Len() (n int, err error) {
	err = m.look(func(t *indexed) error {
		n = t.keys.n
		return nil
	})
	return n, err
}

// State is how many keys there are in the file as it is, though it may be too young to count, and notes of lines that do
// not count.
func (m *Map) State() (n int, notes []string, err error) {
	if m == nil {
		return 0, nil, nil
	}
	t, err := m.file.AsIs()
	if err != nil {
		return 0, nil, unusable(err)
	}
	return t.keys.n, t.notes, nil
}

func unusable(err error) *status.Status {
	return status.New("table", 451, status.Code{4, 3, 5}, "a table cannot be used", err)
}

// look gives the table to fn, and once more when it changed under its hands.
func (m *Map) look(fn func(*indexed) error) error {
	if m == nil {
		return nil
	}
	t, err := m.file.Value()
	if err == nil {
		if err = fn(t); errors.Is(err, errChanged) {
			m.file.hurry()
			if t, err = m.file.Value(); err == nil {
				err = fn(t)
			}
		}
	}
	if err != nil {
		return unusable(err)
	}
	return nil
}

// Entry is a line of a table.
type Entry struct {
	Key   string // as it is written
	Value string

	table *indexed
	at    int64
}

// Line is the number of the line, from 1; 0 when it is gone.
func (e Entry) Line() int {
	if e.table == nil {
		return 0
	}
	return e.table.lineAt(e.at)
}

// Where is the file and the line.
func (e Entry) Where() string {
	if e.table == nil {
		return ""
	}
	return place(e.table.path, e.Line())
}

// FileOptions are how a File is kept.
type FileOptions struct {
	Missing bool             // the file need not exist at first: until it does it is empty
	Report  func(error)      // told, once, when the file changed and has no table now; the old one stays. May be nil
	Now     func() time.Time // nil: time.Now
}
