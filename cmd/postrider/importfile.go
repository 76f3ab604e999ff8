package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"postrider/compat/foreign"
)

var errLocked = errors.New("it is locked, so somebody works on it")

// waitingFile is a message of the other queue, open and locked.
type waitingFile struct {
	w    foreign.Waiting
	path string
	file *os.File
	data *os.File // of Sendmail's: the text
	info fs.FileInfo
}

// openWaiting opens a message and takes its lock in both ways that mail systems have.
func openWaiting(dir string, w foreign.Waiting) (*waitingFile, error) {
	path := filepath.Join(dir, w.File)
	f, err := openLocked(path)
	if err != nil {
		return nil, err
	}
	s := &waitingFile{w: w, path: path, file: f}
	if s.info, err = f.Stat(); err == nil {
		err = s.check(dir)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// openLocked opens a regular file, for writing where that is possible, since some locks need it.
func openLocked(path string) (*os.File, error) {
	const flags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_CLOEXEC
	kind := int16(unix.F_WRLCK)
	f, err := os.OpenFile(path, os.O_RDWR|flags, 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		kind = unix.F_RDLCK
		f, err = os.OpenFile(path, os.O_RDONLY|flags, 0)
	}
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind})
	}
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EACCES):
		err = errLocked
	}
	f.Close()
	return nil, err
}

// isLocked tells whether somebody holds a file.
func isLocked(path string) bool {
	f, err := openLocked(path)
	if err == nil {
		f.Close()
	}
	return errors.Is(err, errLocked)
}

// check looks whether the name still leads to the file, and whether its writer has finished it.
func (s *waitingFile) check(dir string) (err error) {
	named, err := os.Lstat(s.path)
	switch {
	case err != nil:
		return err
	case !os.SameFile(named, s.info):
		return fs.ErrNotExist
	case !s.info.Mode().IsRegular():
		return errors.New("not a regular file")
	case s.w.System == "postfix" && s.info.Mode()&0o100 == 0: // Postfix makes a file executable when it is whole
		return foreign.ErrUnfinished
	case s.w.System != "sendmail":
		return nil
	case s.w.Data == "":
		return fmt.Errorf("the file of its text, df%s, is missing", s.w.ID)
	}
	s.data, err = os.OpenFile(filepath.Join(dir, s.w.Data), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if info, err := s.data.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, errors.New("the file of its text is not a regular file"))
	}
	return nil
}

// read reads what the queue says of the message. One whose arrival it does not tell came when its file was written.
func (s *waitingFile) read() (m *foreign.Message, err error) {
	if s.w.System == "sendmail" {
		m, err = foreign.ReadSendmail(s.file, s.data)
	} else {
		m, err = foreign.ReadPostfix(s.file, s.info.Size())
	}
	if err == nil && m.Arrival.IsZero() {
		m.Arrival = s.info.ModTime()
	}
	return m, err
}

// complete tells whether the message's header is as it is to be sent.
func (s *waitingFile) complete() bool {
	return s.w.System == "postfix" && s.w.State != foreign.Dropped
}

// remove removes the message from the other queue, if the name still leads to it. Sendmail's text goes last: without
// its qf file it is nothing.
func (s *waitingFile) remove() error {
	named, err := os.Lstat(s.path)
	if err != nil || !os.SameFile(named, s.info) {
		return errors.Join(err, fs.ErrNotExist)
	}
	if err := os.Remove(s.path); err != nil || s.data == nil {
		return err
	}
	err = os.Remove(strings.TrimSuffix(s.path, s.w.File) + s.w.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// close lets the message go.
func (s *waitingFile) close() {
	s.file.Close()
	if s.data != nil {
		s.data.Close()
	}
}
