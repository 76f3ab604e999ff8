package queue

import (
	"errors"
	"io/fs"
	"time"

	"postrider/internal/fsys"
)

// staleAge is how old debris must be before Recover takes it: older than any program keeps a draft open, so
// that cleaning never meets a writer.
const staleAge = 36 * time.Hour

// Recovered is what Recover found.
type Recovered struct {
	Drafts   int // drafts removed from tmp/
	Journals int // journals without a message removed
	Foreign  int // files moved to corrupt/ since no queue file has such a name
}

// Recover cleans a spool when a runner starts: drafts of writers that are gone, journals whose message is gone,
// names that no queue file has, and notes on next hops that are older than a day. It may run beside everything
// else. It goes on after an error and returns the first.
func (s *Spool) Recover() (r Recovered, first error) {
	keep := func(err error) {
		if first == nil && err != nil {
			first = failed("recover", err)
		}
	}
	keep(s.fs.ReadDir(s.path(tmpDir), func(name string) error {
		gone, err := s.sweepDraft(name)
		if gone {
			r.Drafts++
		}
		keep(err)
		return nil
	}))
	for _, row := range stateDirs[:3] {
		keep(s.fs.ReadDir(s.path(row.dir), func(name string) error {
			if _, ok := parseName(row.state, name); !ok {
				r.Foreign++
				keep(s.setAside(row.dir, name))
			}
			return nil
		}))
	}
	n, err := s.sweepJournals()
	r.Journals = n
	keep(err)
	_, err = s.sweepHosts(hostAge)
	keep(err)
	return r, first
}

// stale tells whether a file has not been written to for longer than age.
func (s *Spool) stale(path string, age time.Duration) (bool, error) {
	st, err := s.fs.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && s.now().Sub(st.ModTime) > age, err
}

// sweepDraft removes a draft that is old and that nobody holds.
func (s *Spool) sweepDraft(name string) (bool, error) {
	path := s.path(tmpDir, name)
	if old, err := s.stale(path, staleAge); !old || err != nil {
		return false, err
	}
	lock, err := s.fs.TryLock(path, true)
	switch {
	case errors.Is(err, fsys.ErrLocked), errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, fs.ErrPermission): // a user's, whose program died before it let the group read it
	case err != nil:
		return false, err
	default:
		defer lock.Release()
	}
	return true, s.fs.Remove(path)
}

// sweepJournals removes journals that have not been written to for long and whose message is in no directory.
// A waiting message is tried, and its journal written, many times in that span; a held one does not move, so
// that one pass over the names sees it.
func (s *Spool) sweepJournals() (int, error) {
	orphans := map[ID]bool{}
	err := s.fs.ReadDir(s.path(journalDir), func(name string) error {
		old, err := s.stale(s.path(journalDir, name), staleAge)
		if old && validID(name) {
			orphans[ID(name)] = true
		}
		return err
	})
	if err != nil || len(orphans) == 0 {
		return 0, err
	}
	err = s.Scan(New|Cur|Held|Corrupt, func(e Entry) error {
		id := e.ID
		if e.State == Corrupt && len(e.Name) >= idLen {
			id = ID(e.Name[:idLen])
		}
		delete(orphans, id)
		return nil
	})
	if err != nil {
		return 0, err
	}
	n := 0
	for id := range orphans {
		if err := s.fs.Remove(s.path(journalDir, string(id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
		n++
	}
	return n, nil
}
