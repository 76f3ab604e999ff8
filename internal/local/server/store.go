package server

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// inMemory is how much of a message is kept in memory before it goes to a file without a name.
const inMemory = 512 << 10

// ErrTooLarge says that a message is longer than allowed.
var errTooLarge = errors.New("the message is too large")

// store takes a message in. Children get it as a descriptor through which nobody can change what is in it.
type store struct {
	dir  string // for large ones
	most int64  // 0: any size

	buf  []byte
	file *os.File // what did not fit into buf
	size int64
	err  error // the first; what comes after it is dropped
}

// Write takes bytes in. It never fails: close tells.
func (s *store) Write(p []byte) (int, error) {
	switch {
	case s.err != nil:
	case s.most > 0 && s.size+int64(len(p)) > s.most:
		s.err = errTooLarge
	case s.file == nil && len(s.buf)+len(p) <= inMemory:
		s.buf = append(s.buf, p...)
		s.size += int64(len(p))
	default:
		s.err = s.spill(p)
	}
	return len(p), nil
}

// spill writes to the file.
func (s *store) spill(p []byte) (err error) {
	if s.file == nil {
		fd, err := unix.Open(s.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return &os.PathError{Op: "create", Path: s.dir, Err: err}
		}
		s.file = os.NewFile(uintptr(fd), "message")
		if _, err := s.file.Write(s.buf); err != nil {
			return err
		}
		s.buf = nil
	}
	_, err = s.file.Write(p)
	s.size += int64(len(p))
	return err
}

// open ends the message and opens it for children. drop must still be called.
func (s *store) open() (*os.File, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.file != nil {
		// Another opening, for reading only. The file is root's, so that nobody else can open it once more.
		return os.Open(fmt.Sprintf("/proc/self/fd/%d", s.file.Fd()))
	}
	fd, err := unix.MemfdCreate("message", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "message")
	if _, err = f.Write(s.buf); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// drop gives up what is held.
func (s *store) drop() {
	if s.file != nil {
		s.file.Close()
	}
	s.buf, s.file = nil, nil
}

var _ io.Writer = (*store)(nil)
