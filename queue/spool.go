package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// Options are the surroundings of a Spool. The zero value is the real ones.
type Options struct {
	FS  fsys.FS          // nil: fsys.OS
	Now func() time.Time // nil: time.Now

	// NoCreate leaves the file system as it is: directories that are missing are taken for empty, so that who
	// only looks makes no spool, and may be somebody who could not make one.
	NoCreate bool
}

// Spool is one spool directory. It is safe for concurrent use.
type Spool struct {
	root     string
	fs       fsys.FS
	now      func() time.Time
	noCreate bool
	syncs    syncGroup
	room     room
	owner    uint32 // of the root
	owned    bool   // which is known

	publishing atomic.Int32 // commits under way
}

// The directories of a spool. hostsDir comes last: it is there when all are.
const (
	tmpDir     = "tmp"
	newDir     = "new"
	curDir     = "cur"
	holdDir    = "hold"
	corruptDir = "corrupt"
	journalDir = "journal"
	hostsDir   = "hosts"
	lockFile   = "lock"
)

// Open opens the spool at root and makes the directories that are missing, with mode 0700, unless o says
// otherwise. Errors are *status.Status: configuration (78) when a file is where a directory should be or others
// have a hand in the spool (see trust), no permission (77) for who only looks and may not, else temporary (75).
func Open(root string, o Options) (*Spool, error) {
	s := newSpool(root, o)
	err := s.look()
	if errors.Is(err, fs.ErrNotExist) {
		if s.noCreate {
			return s, nil
		}
		err = s.make()
	}
	if err != nil {
		exit := status.ExitTempFail
		switch {
		case errors.Is(err, syscall.ENOTDIR), errors.Is(err, errTrust):
			exit = status.ExitConfig
		case s.noCreate && errors.Is(err, fs.ErrPermission):
			exit = status.ExitNoPerm
		}
		return nil, status.Fail("queue.open", exit, "cannot open the mail spool", err)
	}
	return s, nil
}

func newSpool(root string, o Options) *Spool {
	s := &Spool{root: filepath.Clean(root), fs: o.FS, now: o.Now, noCreate: o.NoCreate}
	if s.fs == nil {
		s.fs = fsys.OS{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.syncs.fs = s.fs
	return s
}

// look finds out whether the spool is there.
func (s *Spool) look() error {
	if !s.noCreate {
		st, err := s.fs.Stat(s.root + "/.") // the root may be a link
		if err == nil {
			err = s.trust(st)
		}
		if err != nil {
			return err
		}
		s.owner, s.owned = st.UID, true
	}
	_, err := s.fs.Stat(s.path(hostsDir))
	return err
}

var errTrust = errors.New("cannot be trusted")

// trust refuses a root in which somebody other than us and root can put names. He could lead what we write out of
// the spool, with our rights, and what he puts there would be sent as ours.
func (s *Spool) trust(root fsys.Info) error {
	switch {
	case root.UID != 0 && int(root.UID) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d and %w", s.root, root.UID, errTrust)
	case root.Mode&0o002 != 0:
		return fmt.Errorf("%s is writable by everybody and %w", s.root, errTrust)
	}
	return nil
}

// make creates the spool's directories and its lock file.
func (s *Spool) make() error {
	if err := s.mkdirs(s.root); err != nil {
		return err
	}
	for _, dir := range []string{tmpDir, newDir, curDir, holdDir, corruptDir, journalDir} {
		if err := s.mkdir(s.path(dir)); err != nil {
			return err
		}
	}
	f, err := s.fs.Create(s.path(lockFile))
	switch {
	case err == nil:
		f.Close()
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if err := s.fs.SyncDir(s.root + "/."); err != nil {
		return err
	}
	return s.mkdir(s.path(hostsDir))
}

// mkdirs makes a directory and those above it.
func (s *Spool) mkdirs(dir string) error {
	err := s.mkdir(dir)
	parent := filepath.Dir(dir)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := s.mkdirs(parent); err != nil {
			return err
		}
		err = s.mkdir(dir)
	}
	if err == nil {
		s.fs.SyncDir(parent) // may be unreadable to us; then it is not new either
	}
	return err
}

func (s *Spool) mkdir(dir string) error {
	err := s.fs.Mkdir(dir)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// path is where a file of the spool is; no arguments or "": the root.
func (s *Spool) path(elem ...string) string {
	p := s.root
	for _, e := range elem {
		if e != "" {
			p += "/" + e
		}
	}
	return p
}

// file is path for a file in one of the directories, in the fewest steps.
func (s *Spool) file(dir, name string) string { return s.root + "/" + dir + "/" + name }

// Root is the spool's directory, for display.
func (s *Spool) Root() string { return s.root }

// Errors of Find, Read and Claim.
var (
	ErrBusy    = errors.New("the message is being processed")
	ErrGone    = errors.New("no such message in the queue")
	ErrCorrupt = errors.New("the queue file is damaged and was set aside in corrupt/")
)

// failed makes the temporary status of a spool operation that failed.
func failed(op string, err error) error {
	return status.New("queue."+op, 451, status.Code{4, 3, 0}, "mail spool error", fmt.Errorf("%s: %w", op, err))
}
