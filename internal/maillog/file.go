package maillog

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
type file struct {
	path string
	f    *os.File
	info fs.FileInfo
}

func openFile(path string) (*file, error) {
	f := &file{path: path}
	return f, f.reopen()
}

// reopen takes the file at the path, or makes it. The open file is kept when there is none to be had.
func (f *file) reopen() error {
	next, err := appendTo(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
			return err
		}
		next, err = appendTo(f.path)
	}
	if err != nil {
		return err
	}
	info, err := next.Stat()
	if err != nil {
		next.Close()
		return err
	}
	if f.f != nil {
		f.f.Close()
	}
	f.f, f.info = next, info
	return nil
}

func appendTo(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
}

func (f *file) write(line []byte) error {
	if at, err := os.Stat(f.path); err != nil || !os.SameFile(at, f.info) {
		_ = f.reopen() // else the line goes where lines went before
	}
	_, err := f.f.Write(append(line, '\n'))
	return err
}

func (f *file) close() error { return f.f.Close() }
