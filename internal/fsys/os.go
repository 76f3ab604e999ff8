package fsys

import (
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// OS is the real file system. It speaks to the kernel itself and not through os.File, which would try to
// register every regular file with the poller: a listing of a long queue is little else than open, read, close.
type OS struct{}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// retry repeats a call that a signal cut short.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func open(name string, flags int) (File, error) {
	return openLink(name, flags|unix.O_NOFOLLOW)
}

// openLink opens what a link leads to, if name is one.
func openLink(name string, flags int) (File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(name, flags|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &osFile{fd: fd, name: name}, nil
}

// Create implements FS.
func (OS) Create(name string) (File, error) {
	return open(name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR)
}

// Append implements FS.
func (OS) Append(name string) (File, error) {
	return open(name, unix.O_CREAT|unix.O_APPEND|unix.O_RDWR)
}

// Open implements FS. O_NONBLOCK keeps a FIFO that somebody left in the spool from hanging the reader.
func (OS) Open(name string) (File, error) {
	return open(name, unix.O_RDONLY|unix.O_NONBLOCK)
}

// TryLock implements FS with flock(2). The open flags are given so that a name that is gone is never made
// again. They are for reading only, so that who watches the directory for written files does not see a claim.
func (OS) TryLock(name string, exclusive bool) (Lock, error) {
	l := flock.New(name, flock.SetFlag(os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK))
	try := l.TryRLock
	if exclusive {
		try = l.TryLock
	}
	ok, err := try()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, pathError("lock", name, ErrLocked)
	}
	return osLock{l}, nil
}

// Replace implements FS.
func (OS) Replace(from, to string) error {
	return pathError("rename", from, retry(func() error { return unix.Rename(from, to) }))
}

// Remove implements FS.
func (OS) Remove(name string) error {
	return pathError("remove", name, retry(func() error { return unix.Unlink(name) }))
}

// SyncDir implements FS.
func (OS) SyncDir(name string) error {
	f, err := open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// ReadDir implements FS.
func (OS) ReadDir(name string, fn func(string) error) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, n := range names {
			if err := fn(n); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Stat implements FS.
func (OS) Stat(name string) (Info, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Lstat(name, &st) }); err != nil {
		return Info{}, pathError("stat", name, err)
	}
	return info(&st), nil
}

// Mkdir implements FS.
func (OS) Mkdir(name string) error {
	return pathError("mkdir", name, unix.Mkdir(name, 0o700))
}

func info(st *unix.Stat_t) Info {
	return Info{
		Size:    st.Size,
		ModTime: time.Unix(st.Mtim.Unix()),
		Changed: time.Unix(st.Ctim.Unix()),
		Regular: st.Mode&unix.S_IFMT == unix.S_IFREG,
		Dev:     uint64(st.Dev),
		Ino:     uint64(st.Ino),
		Links:   uint64(st.Nlink),
		UID:     st.Uid,
		GID:     st.Gid,
		Mode:    uint32(st.Mode & 0o7777),
	}
}

type osLock struct{ l *flock.Flock }

func (o osLock) Release() error { return o.l.Unlock() }

func (o osLock) Stat() (Info, error) {
	fi, err := o.l.Stat()
	if err != nil {
		return Info{}, err
	}
	st := fi.Sys().(*syscall.Stat_t)
	return Info{
		Size:    st.Size,
		ModTime: fi.ModTime(),
		Changed: time.Unix(st.Ctim.Unix()),
		Regular: fi.Mode().IsRegular(),
		Dev:     uint64(st.Dev),
		Ino:     uint64(st.Ino),
		Links:   uint64(st.Nlink),
		UID:     st.Uid,
		GID:     st.Gid,
		Mode:    uint32(fi.Mode().Perm()),
	}, nil
}

type osFile struct {
	fd   int
	name string
}

func (f *osFile) Read(p []byte) (n int, err error) {
	err = retry(func() (err error) { n, err = unix.Read(f.fd, p); return err })
	return eof("read", f.name, p, max(n, 0), err)
}

func (f *osFile) ReadAt(p []byte, off int64) (total int, err error) {
	for total < len(p) {
		var n int
		err = retry(func() (err error) { n, err = unix.Pread(f.fd, p[total:], off+int64(total)); return err })
		if n, err = eof("read", f.name, p[total:], max(n, 0), err); err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// eof turns the kernel's "nothing read" into io.EOF.
func eof(op, name string, p []byte, n int, err error) (int, error) {
	if err != nil {
		return n, pathError(op, name, err)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *osFile) Write(p []byte) (total int, err error) {
	return f.writeAll(p, func(p []byte, _ int) (int, error) { return unix.Write(f.fd, p) })
}

func (f *osFile) WriteAt(p []byte, off int64) (total int, err error) {
	return f.writeAll(p, func(p []byte, done int) (int, error) { return unix.Pwrite(f.fd, p, off+int64(done)) })
}

// writeAll goes on after a short write, which says nothing yet: the next call names the reason.
func (f *osFile) writeAll(p []byte, write func(p []byte, done int) (int, error)) (total int, err error) {
	for total < len(p) {
		var n int
		err = retry(func() (err error) { n, err = write(p[total:], total); return err })
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, pathError("write", f.name, err)
		}
		total += n
	}
	return total, nil
}

func (f *osFile) Sync() error {
	return pathError("fsync", f.name, retry(func() error { return unix.Fsync(f.fd) }))
}

func (f *osFile) Truncate(size int64) error {
	return pathError("truncate", f.name, retry(func() error { return unix.Ftruncate(f.fd, size) }))
}

func (f *osFile) Stat() (Info, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(f.fd, &st) }); err != nil {
		return Info{}, pathError("stat", f.name, err)
	}
	return info(&st), nil
}

// Lock implements File.
func (f *osFile) Lock() error {
	err := retry(func() error { return unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err == unix.EWOULDBLOCK {
		err = ErrLocked
	}
	return pathError("lock", f.name, err)
}

// Unlock implements File.
func (f *osFile) Unlock() error {
	return pathError("unlock", f.name, retry(func() error { return unix.Flock(f.fd, unix.LOCK_UN) }))
}

// Become implements File. A change of owner takes set-id bits away, so the mode comes after it.
func (f *osFile) Become(uid, gid, mode uint32) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.UID != uid || st.GID != gid {
		if err := retry(func() error { return unix.Fchown(f.fd, int(uid), int(gid)) }); err != nil {
			return pathError("chown", f.name, err)
		}
	}
	return pathError("chmod", f.name, retry(func() error { return unix.Fchmod(f.fd, mode&0o7777) }))
}

// Close closes the file. It is not repeated on EINTR: on Linux the descriptor is gone by then.
func (f *osFile) Close() error {
	fd := f.fd
	f.fd = -1
	return pathError("close", f.name, unix.Close(fd))
}
