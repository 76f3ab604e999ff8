package queue

import (
	"errors"

	"postrider/internal/fsys"
)

// ErrRunning says that a daemon runs the queue already.
var ErrRunning = errors.New("another daemon runs this queue")

// LockRun makes the caller the daemon of the spool, until release is called or the process ends. The error is
// ErrRunning when there is one.
func (s *Spool) LockRun() (release func() error, err error) {
	lock, err := s.fs.TryLock(s.path(lockFile), true)
	if errors.Is(err, fsys.ErrLocked) {
		return nil, ErrRunning
	}
	if err != nil {
		return nil, failed("lock", err)
	}
	return lock.Release, nil
}

// Running tells whether a daemon runs the queue, and so will see a message that was committed just now. When it
// cannot be known the answer is no.
func (s *Spool) Running() bool {
	lock, err := s.fs.TryLock(s.path(lockFile), false)
	if err != nil {
		return errors.Is(err, fsys.ErrLocked)
	}
	lock.Release()
	return false
}
