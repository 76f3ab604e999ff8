package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"postrider/internal/fsys"
)

const (
	// staleAfter is the age at which a dotlock's maker is taken for dead, as in Postfix.
	staleAfter   = 500 * time.Second
	defaultTries = 110 // with backOff, about 20 seconds
)

// backOff waits 5 ms, doubling up to 200 ms.
func backOff(ctx context.Context, try int) error {
	t := time.NewTimer(min(200*time.Millisecond, 5*time.Millisecond<<min(try-1, 8)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// turns keeps the deliveries of this process to one mailbox in a row: only the first of them polls for the
// locks that are shared with other processes.
var turns = struct {
	sync.Mutex
	m map[string]*turn
}{m: map[string]*turn{}}

type turn struct {
	token chan struct{}
	users int
}

// enter waits for this process's turn at a mailbox. leave must be called when err is nil.
func enter(ctx context.Context, path string) (leave func(), err error) {
	path = filepath.Clean(path)
	turns.Lock()
	t := turns.m[path]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1)}
		turns.m[path] = t
	}
	t.users++
	turns.Unlock()
	gone := func() {
		turns.Lock()
		defer turns.Unlock()
		if t.users--; t.users == 0 {
			delete(turns.m, path)
		}
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; gone() }, nil
	case <-ctx.Done():
		gone()
		return nil, fmt.Errorf("waiting for %s: %w", path, ctx.Err())
	}
}

// ofdLock is an "open file description" lock: it excludes the fcntl(2) locks of every other program, as flock(2)
// does not, and belongs to this descriptor alone. A plain fcntl lock would belong to the whole process and be
// lost as soon as any descriptor of the file is closed.
type ofdLock struct{ fd int }

// lockOFD takes a write lock on a file, without waiting; fsys.ErrLocked when it is held.
func lockOFD(name string) (fsys.Lock, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &whole)
	if err == nil {
		return ofdLock{fd}, nil
	}
	unix.Close(fd)
	if err == unix.EAGAIN || err == unix.EACCES || err == unix.EINTR {
		err = fsys.ErrLocked
	}
	return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
}

// Stat implements fsys.Lock; it tells which file is locked and no more.
func (l ofdLock) Stat() (fsys.Info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		return fsys.Info{}, os.NewSyscallError("fstat", err)
	}
	return fsys.Info{Dev: uint64(st.Dev), Ino: uint64(st.Ino)}, nil
}

// Release implements fsys.Lock. It unlocks before it closes: a process that is just being forked shares the
// description until it execs.
func (l ofdLock) Release() error {
	whole := unix.Flock_t{Type: unix.F_UNLCK}
	return errors.Join(unix.FcntlFlock(uintptr(l.fd), unix.F_OFD_SETLK, &whole), unix.Close(l.fd))
}

// dotlock is a lock file that was made by us.
type dotlock struct {
	fs   fsys.FS
	name string
	info fsys.Info
}

// takeDotlock makes the lock file, exclusively. ErrBusy says that there is one already; one that is stale is
// removed first. It returns nil and no error where the directory does not permit a lock file: programs run by
// users cannot make one there either, so that they all rely on fcntl(2).
func takeDotlock(fsy fsys.FS, name string, now func() time.Time) (*dotlock, error) {
	f, err := fsy.Create(name)
	if errors.Is(err, fs.ErrExist) {
		return nil, breakStale(fsy, name, now)
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		fsy.Remove(name)
		return nil, err
	}
	return &dotlock{fsy, name, info}, nil
}

// breakStale removes a lock file that is too old to have a living maker. Only the next try takes the lock, in
// competition with everybody else. We hold the fcntl lock here: no other of our kind does the same meanwhile.
func breakStale(fsy fsys.FS, name string, now func() time.Time) error {
	info, err := fsy.Stat(name)
	if err == nil && now().Sub(info.ModTime) > staleAfter {
		err = fsy.Remove(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%s exists: %w", name, ErrBusy)
}

// remove takes the lock file away, if it is still ours: somebody may have found it stale.
func (d *dotlock) remove() {
	if info, err := d.fs.Stat(d.name); err == nil && info.Same(d.info) {
		d.fs.Remove(d.name)
	}
}
