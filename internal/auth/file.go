package auth

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"postrider/internal/fsys"
)

// file is the file of users, read again when it has changed.
type file struct {
	path   string
	report func(error)
	now    func() time.Time

	users atomic.Pointer[users]

	mu        sync.Mutex // who holds it reads the file; others use what there is
	looked    time.Time
	seen      os.FileInfo
	complaint string
}

// lookEvery is how often the file is looked at, at most.
const lookEvery = time.Second

func openFile(path string, report func(error), now func() time.Time) (*file, error) {
	f := &file{path: path, report: report, now: now, looked: now()}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	u, err := readUsers(path)
	if err != nil {
		return nil, err
	}
	f.seen = info
	f.users.Store(u)
	return f, nil
}

// readUsers reads a file of users.
func readUsers(path string) (*users, error) {
	text, err := fsys.ReadFile(path, maxUsers+1)
	if err != nil {
		return nil, err
	}
	if len(text) > maxUsers {
		return nil, fmt.Errorf("%s: larger than %d MiB", path, maxUsers>>20)
	}
	return parseUsers(path, text)
}

// current is the newest version that could be read.
func (f *file) current() *users {
	if f.mu.TryLock() {
		defer f.mu.Unlock()
		f.refresh()
	}
	return f.users.Load()
}

// refresh reads the file when it is another than the one that was read. One that is bad is reported once.
func (f *file) refresh() {
	now := f.now()
	if now.Sub(f.looked) < lookEvery && !now.Before(f.looked) {
		return
	}
	f.looked = now
	info, err := os.Stat(f.path)
	if err == nil && os.SameFile(info, f.seen) && info.Size() == f.seen.Size() && info.ModTime().Equal(f.seen.ModTime()) {
		return
	}
	var u *users
	if err == nil {
		u, err = readUsers(f.path)
	}
	if err != nil {
		f.complain(err)
		var path *os.PathError
		if errors.As(err, &path) {
			return // it could not be read: it is tried again
		}
	} else {
		f.users.Store(u)
		f.complaint = ""
	}
	f.seen = info
}

func (f *file) complain(err error) {
	if err.Error() == f.complaint {
		return
	}
	f.complaint = err.Error()
	f.report(fmt.Errorf("the users as they were are still used: %w", err))
}
