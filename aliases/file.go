package aliases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// file is one of the files of a Database, as it was when it was last read.
type file struct {
	name string

	mu    sync.Mutex
	stamp stamp
	table *table
	err   error
}

// stamp tells one state of a file from another.
type stamp struct {
	mtime, ctime time.Time
	size         int64
	dev, ino     uint64
	secret       bool // not everybody may read it
}

// settled is how old a change must be before a second one is sure to have another time.
const settled = 100 * time.Millisecond

// load reads the file unless that was done since its last change.
func (f *file) load() (*table, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	st, uid, err := f.stat()
	if f.table != nil && err == nil && st == f.stamp {
		return f.table, f.err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.stamp, f.table, f.err = stamp{}, parse(f.name, "", 0), nil
		return f.table, nil
	case err != nil:
		f.table = nil
		return nil, unreadable(err)
	}
	secret := st.secret
	text, err := readText(f.name)
	if after, _, statErr := f.stat(); statErr != nil || after != st || now.Sub(st.ctime) < settled {
		st = stamp{} // it may be changing: look again next time
	}
	f.stamp, f.err = st, nil
	if err != nil {
		f.table, f.err = parse(f.name, "", 0), unreadable(err)
		return nil, f.err
	}
	f.table = parse(f.name, text, uid)
	f.table.secret = secret
	return f.table, nil
}

// stat looks at the file, through links. A file that others may write is an error: it could send anybody's mail
// anywhere.
func (f *file) stat() (stamp, uint32, error) {
	info, err := os.Stat(f.name)
	if err != nil {
		return stamp{}, 0, err
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.Mode().IsRegular():
		return stamp{}, 0, &fs.PathError{Op: "read", Path: f.name, Err: errors.New("not a regular file")}
	case info.Mode()&0o002 != 0:
		return stamp{}, 0, &fs.PathError{Op: "read", Path: f.name, Err: errors.New("everybody may write it")}
	}
	st := stamp{info.ModTime(), time.Unix(sys.Ctim.Unix()), info.Size(), uint64(sys.Dev), sys.Ino, info.Mode()&0o004 == 0}
	return st, sys.Uid, nil
}

// readText reads a file that must be text, and not too long.
func readText(name string) (string, error) {
	text, err := fsys.ReadFile(name, maxFile+1)
	if err != nil {
		return "", err
	}
	if len(text) > maxFile {
		return "", fmt.Errorf("%s: longer than %d bytes", name, maxFile)
	}
	s := string(text)
	if i := strings.IndexByte(s, 0); i >= 0 {
		return "", fmt.Errorf("%s: not text: line %d has a zero byte", name, 1+strings.Count(s[:i], "\n"))
	}
	return s, nil
}

// unreadable is the outcome of a lookup that needs a file which cannot be read.
func unreadable(err error) error {
	return status.New("aliases", 451, status.Code{4, 3, 0}, "the aliases cannot be read", err)
}
