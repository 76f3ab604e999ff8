package queue

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// State says in which directory a queue file is. States combine with | for Scan.
type State uint8

// The states of a message that was accepted.
const (
	New     State = 1 << iota // accepted, never attempted
	Cur                       // attempted, waiting
	Held                      // held by the administrator
	Corrupt                   // not a whole queue file
)

// String names the state in one word.
func (s State) String() string {
	switch s {
	case New:
		return "new"
	case Cur:
		return "deferred"
	case Held:
		return "hold"
	case Corrupt:
		return "corrupt"
	}
	return "?"
}

var stateDirs = []struct {
	state State
	dir   string
}{{New, newDir}, {Cur, curDir}, {Held, holdDir}, {Corrupt, corruptDir}}

func (s State) dir() string {
	for _, row := range stateDirs {
		if row.state == s {
			return row.dir
		}
	}
	return ""
}

// Entry is what a directory tells of a message. In state Corrupt only State and Name are known.
type Entry struct {
	ID    ID
	State State
	Size  int64     // of the queue file
	Due   time.Time // next attempt; zero unless the state is Cur
	Name  string    // the file's name in its directory
}

// What stands in a queue file's name between its parts.
const (
	sizeMark = ",S="
	dueMark  = ":2,"
)

func fileName(id ID, size int64) string {
	return string(id) + sizeMark + strconv.FormatInt(size, 10)
}

func dueName(id ID, size int64, due time.Time) string {
	return fileName(id, size) + dueMark + strconv.FormatInt(due.Unix(), 10)
}

// parseName reads the name of a queue file; false when it is not one that belongs in the state's directory.
func parseName(state State, name string) (Entry, bool) {
	e := Entry{State: state, Name: name}
	if state == Corrupt {
		return e, true
	}
	if len(name) < idLen+4 || !validID(name[:idLen]) || name[idLen:idLen+len(sizeMark)] != sizeMark {
		return e, false
	}
	e.ID = ID(name[:idLen])
	size, due, hasDue := strings.Cut(name[idLen+len(sizeMark):], dueMark)
	var ok, ok2 bool
	e.Size, ok = decimal(size)
	if hasDue != (state == Cur) {
		return e, false
	}
	if hasDue {
		var sec int64
		sec, ok2 = decimal(due)
		e.Due = time.Unix(sec, 0)
		return e, ok && ok2
	}
	return e, ok
}

// decimal reads a number as strconv.FormatInt writes it, so that each name has one form.
func decimal(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && (s == "0" || s[0] >= '1' && s[0] <= '9')
}

// Scan calls fn with each message in the given states, in the order of the directories, until fn returns an
// error. It reads names only, keeps nothing and takes no lock. Foreign names are passed over.
func (s *Spool) Scan(states State, fn func(Entry) error) error {
	for _, row := range stateDirs {
		if states&row.state == 0 {
			continue
		}
		err := s.fs.ReadDir(s.path(row.dir), func(name string) error {
			if e, ok := parseName(row.state, name); ok {
				return fn(e)
			}
			return nil
		})
		if s.noCreate && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errFound = errors.New("found")

// Find looks a message up by its ID. A message that changes its state meanwhile may be missed by one pass, so
// a second one is made before the error is ErrGone.
func (s *Spool) Find(id ID) (found Entry, err error) {
	for range 2 {
		err = s.Scan(New|Cur|Held, func(e Entry) error {
			if e.ID == id {
				found = e
				return errFound
			}
			return nil
		})
		if err == errFound {
			return found, nil
		}
		if err != nil {
			return Entry{}, failed("find", err)
		}
	}
	return Entry{}, ErrGone
}
