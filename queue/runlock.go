package queue

import (
	"errors"
	"time"

	"postrider/internal/fsys"
)

// ErrRunning says that a daemon runs the queue already.
var ErrRunning = errors.New("another daemon runs this queue")

// LockRun makes the caller the daemon of the spool, until release is called or the process ends. The error is
// ErrRunning when there is one.
func (s *Spool) LockRun() (release func() error, err error) {
	for range lookTime / time.Millisecond {
		lock, err := s.fs.TryLock(s.path(lockFile), true)
		switch {
		case err == nil:
			return lock.Release, nil
		case !errors.Is(err, fsys.ErrLocked):
			return nil, failed("lock", err)
		}
		time.Sleep(time.Millisecond)
	}
	return nil, ErrRunning
}

// lookTime is how long the lock must be held by others before they are a daemon. Those that only look, one for each
// message that is submitted, hold it for microseconds.
const lookTime = 50 * time.Millisecond

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
