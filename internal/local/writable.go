package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The modes of access(2).
const (
	mayWrite  = 2
	maySearch = 1
	mayRun    = 1
)

// Writable tells what would keep Deliver from putting mail into u's mailbox, as far as can be seen without doing it;
// nil when nothing would. The path is the mailbox's, where there is one.
func Writable(spec string, u User) (path string, err error) {
	where, err := parseSpec(spec)
	if err != nil {
		return "", err
	}
	if where.path, err = where.expand(u); err != nil {
		return "", err
	}
	return where.path, where.writable(u)
}

func (s spec) writable(u User) error {
	if s.scheme == "command" {
		return executable(s.path)
	}
	info, err := os.Lstat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := access(filepath.Dir(s.path)); err != nil {
			return fmt.Errorf("%s does not exist and cannot be made: %w", s.path, err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if s.scheme == "maildir" {
		return access(s.path)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || ok && int(owner.Uid) != u.UID {
		return fmt.Errorf("%s is not a plain file of user %s", s.path, u.Name)
	}
	return access(s.path)
}

// executable tells whether a program can be run.
func executable(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no program", path)
	}
	if err == nil {
		err = syscall.Access(path, mayRun)
	}
	if err != nil {
		return &fs.PathError{Op: "run", Path: path, Err: err}
	}
	return nil
}

// access tells whether a file, or the names in a directory, can be changed.
func access(path string) error {
	mode := uint32(mayWrite)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		mode |= maySearch
	}
	if err := syscall.Access(path, mode); err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}
