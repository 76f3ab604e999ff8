package maillog

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// stream is standard error, which is not ours to close.
type stream struct{ w io.Writer }

func (s stream) write(line []byte) error {
	_, err := s.w.Write(append(line, '\n'))
	return err
}

func (stream) close() error { return nil }

// file is a file that several processes append to. It is opened for appending, and a line is one write, so
// lines do not mix. A file that was renamed away or removed (log rotation) is left for the one now at its path.
//
// A FIFO may stand in its place; like a syslog daemon that does not read, it costs lines and no time.
type file struct {
	path     string
	fd       int // -1: not open
	dev, ino uint64
}

func openFile(path string) (*file, error) {
	f := &file{path: path, fd: -1}
	return f, f.reopen()
}

// reopen takes the file at the path, or makes it. The open file is kept when there is none to be had.
func (f *file) reopen() error {
	fd, err := appendTo(f.path)
	if err == syscall.ENOENT {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
			return err
		}
		fd, err = appendTo(f.path)
	}
	var st syscall.Stat_t
	if err == nil {
		if err = syscall.Fstat(fd, &st); err != nil {
			syscall.Close(fd)
		}
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: f.path, Err: err}
	}
	f.close()
	f.fd, f.dev, f.ino = fd, uint64(st.Dev), st.Ino
	return nil
}

// appendTo does without package os, which would set up its poller for each of our short-lived programs.
func appendTo(path string) (fd int, err error) {
	const flags = syscall.O_WRONLY | syscall.O_APPEND | syscall.O_CREAT | syscall.O_NONBLOCK | syscall.O_CLOEXEC
	for {
		if fd, err = syscall.Open(path, flags, 0o640); err != syscall.EINTR {
			return fd, err
		}
	}
}

func (f *file) write(line []byte) error {
	var st syscall.Stat_t
	if err := syscall.Stat(f.path, &st); err != nil || uint64(st.Dev) != f.dev || st.Ino != f.ino {
		_ = f.reopen() // else the line goes where lines went before
	}
	line = append(line, '\n')
	n, err := syscall.Write(f.fd, line)
	for tries := 0; err == syscall.EINTR && tries < 10; tries++ {
		n, err = syscall.Write(f.fd, line)
	}
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	return err
}

func (f *file) close() error {
	if f.fd < 0 {
		return nil
	}
	err := syscall.Close(f.fd)
	f.fd = -1
	return err
}
