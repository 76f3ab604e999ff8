package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"postrider/internal/fsys"
)

// File is a table in a file that is read again when the file has changed. It may be used by several goroutines at once.
type File[T any] struct {
	path  string
	parse func(name string, text []byte) (T, error)
	o     FileOptions
	slurp func(path string, max int) ([]byte, error)

	value atomic.Pointer[T]
	next  atomic.Int64 // when to look at the file again, in nanoseconds

	mu   sync.Mutex  // held by who looks
	seen os.FileInfo // of the file as it was read last, for good or ill; nil: it was missing
	had  bool        // there was a table in the file: when it is missing now, something is wrong
}

// FileOptions are how a File is kept.
type FileOptions struct {
	Missing bool             // the file need not exist at first: until it does it is empty
	Report  func(error)      // told, once, when the file changed and has no table now; the old one stays. May be nil
	Now     func() time.Time // nil: time.Now
}

// OpenFile reads the file at path with parse, which is given its path and its text.
func OpenFile[T any](path string, parse func(name string, text []byte) (T, error), o FileOptions) (*File[T], error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &File[T]{path: path, parse: parse, o: o, slurp: fsys.ReadFile}
	if err := f.open(); err != nil {
		return nil, err
	}
	f.rest()
	return f, nil
}

func (f *File[T]) open() error {
	_, err := f.load(true)
	for tries := 0; errors.Is(err, errUnsteady) && tries < 5; tries++ {
		_, err = f.load(true)
	}
	return err
}

// Get is the table as the file has it: not longer than a second after the file has changed, unless it is broken.
func (f *File[T]) Get() T {
	if f.o.Now().UnixNano() >= f.next.Load() && f.mu.TryLock() { // others go on with what there is
		if changed, err := f.load(false); changed && err != nil && f.o.Report != nil {
			f.o.Report(err)
		}
		f.rest()
		f.mu.Unlock()
	}
	return *f.value.Load()
}

func (f *File[T]) rest() { f.next.Store(f.o.Now().Add(time.Second).UnixNano()) }

var errUnsteady = errors.New("it changes while it is read")

// load reads the file if it has changed since it was read, or always. After an error the old table stays, and the
// file is not read again before it changes.
func (f *File[T]) load(always bool) (changed bool, err error) {
	before, err := f.stat()
	if err == nil && !always && sameFile(before, f.seen) {
		return false, nil
	}
	if err != nil && !always && f.seen == unreadable {
		return false, nil
	}
	if err != nil {
		f.seen = unreadable
		return true, fmt.Errorf("cannot read %s: %w", f.path, err)
	}
	text, after, err := f.read(before)
	if err == nil && !sameFile(before, after) {
		return always, fmt.Errorf("cannot read %s: %w", f.path, errUnsteady) // there is another time
	}
	f.seen = before
	if err != nil {
		return true, fmt.Errorf("cannot read %s: %w", f.path, err)
	}
	v, err := f.parse(f.path, text)
	if err != nil {
		return true, err
	}
	f.value.Store(&v)
	f.had = f.had || before != nil
	return true, nil
}

// read reads the file that info tells of, and looks at it again.
func (f *File[T]) read(info os.FileInfo) ([]byte, os.FileInfo, error) {
	if info == nil {
		return nil, nil, nil
	}
	text, err := f.slurp(f.path, maxFile+1)
	if err != nil {
		return nil, nil, err
	}
	after, err := f.stat()
	return text, after, err
}

// stat looks at the file; nil when it is missing and may be.
func (f *File[T]) stat() (os.FileInfo, error) {
	info, err := os.Stat(f.path)
	if f.o.Missing && !f.had && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// unreadable stands for a file that cannot be looked at.
var unreadable os.FileInfo = noInfo{}

type noInfo struct{ os.FileInfo }

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil || a == unreadable || b == unreadable {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
