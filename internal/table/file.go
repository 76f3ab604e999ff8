package table

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"postrider/internal/fsys"
)

// File is what a file says, read again when the file has changed. It may be used by several goroutines at once.
type File[T any] struct {
	path string
	read func(path string) (T, error) // "": nothing, as of an empty file
	o    FileOptions

	value atomic.Pointer[T]
	last  atomic.Int64 // when the file was looked at, in nanoseconds

	mu   sync.Mutex  // held by who looks
	seen os.FileInfo // of the file as it was read last, for good or ill; nil: it was missing
	had  bool        // there was a table in the file: when it is missing now, something is wrong
	err  error       // why there is no value yet
	told string      // what has been reported of that

	filled bool        // the file was not empty when the value was read
	young  os.FileInfo // a state in which it was too young to be read, and when that was seen first
	sight  time.Time
}

// quiet is for how long nobody must have written to a file before it counts: until then it may be half of one.
const quiet = 2 * time.Second

var (
	errYoung   = errors.New("it has just been written; it counts when nobody has written to it for two seconds")
	errEmptied = errors.New("it has become empty, which does not count; leave a comment in a table that is to have nothing")
)

// how a file is loaded.
type how int

const (
	ifChanged how = iota
	whenSettled
	atOnce // however young it is
)

// OpenFile reads the file at path with parse, which is given its path and its text. It is read as it is, however young.
func OpenFile[T any](path string, parse func(name string, text []byte) (T, error), o FileOptions) (*File[T], error) {
	f := Watch(path, func(from string) (v T, err error) {
		var text []byte
		if from != "" {
			text, err = fsys.ReadFile(from, maxText+1)
		}
		switch {
		case err != nil:
			return v, fmt.Errorf("cannot read %s: %w", path, err)
		case len(text) > maxText:
			return v, fmt.Errorf("%s: larger than %d bytes", path, maxText)
		}
		return parse(path, text)
	}, o)
	if err := f.open(atOnce); err != nil {
		return nil, err
	}
	f.rest()
	return f, nil
}

// maxText caps a file whose text is kept.
const maxText = 64 << 20

// Watch makes a File of the file at path, which is read with read when it is first needed.
func Watch[T any](path string, read func(path string) (T, error), o FileOptions) *File[T] {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &File[T]{path: path, read: read, o: o}
}

func (f *File[T]) open(how how) error {
	_, err := f.load(how)
	for tries := 0; errors.Is(err, errUnsteady) && tries < 5; tries++ {
		_, err = f.load(how)
	}
	return err
}

// Value is what the file says: a second or three after the file has changed, unless it is broken. An error says why there
// has been nothing in it yet.
func (f *File[T]) Value() (T, error) {
	if v := f.value.Load(); v == nil {
		return f.first()
	}
	return f.Get(), nil
}

// AsIs is Value for those who want to know what is in the file, and not what counts: it is read however young it is.
func (f *File[T]) AsIs() (T, error) {
	v, err := f.Value()
	if !errors.Is(err, errYoung) {
		return v, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v, err = f.read(f.path)
	f.tell(err)
	return v, err
}

// tell reports, once, why there is no value yet.
func (f *File[T]) tell(err error) {
	if f.o.Report != nil && err != nil && !errors.Is(err, errYoung) && err.Error() != f.told {
		f.told = err.Error()
		f.o.Report(err)
	}
}

// first reads the file for the first time, or for the first time with success.
func (f *File[T]) first() (v T, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.value.Load() == nil && f.due() {
		err := f.open(whenSettled)
		f.tell(err)
		f.err = err
		f.rest()
	}
	if p := f.value.Load(); p != nil {
		return *p, nil
	}
	return v, f.err
}

// Get is Value for those who have opened the file with OpenFile.
func (f *File[T]) Get() T {
	if f.due() && f.mu.TryLock() { // others go on with what there is
		if changed, err := f.load(ifChanged); changed && err != nil && f.o.Report != nil {
			f.o.Report(err)
		}
		f.rest()
		f.mu.Unlock()
	}
	return *f.value.Load()
}

func (f *File[T]) rest() { f.last.Store(f.o.Now().UnixNano()) }

// hurry makes the next call look at the file.
func (f *File[T]) hurry() { f.last.Store(0) }

// due tells whether it is time to look at the file. When the clock was set back it is.
func (f *File[T]) due() bool {
	now, last := f.o.Now().UnixNano(), f.last.Load()
	return now < last || now-last >= int64(time.Second)
}

var errUnsteady = errors.New("it changes while it is read")

// load reads the file, perhaps only if it has changed since it was read. After an error the old table stays, and the
// file is not read again before it changes.
func (f *File[T]) load(how how) (changed bool, err error) {
	always := how != ifChanged
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
	if how != atOnce && !f.settled(before) {
		return always, fmt.Errorf("cannot read %s: %w", f.path, errYoung)
	}
	path := f.path
	switch {
	case before == nil:
		path = ""
	case before.Size() == 0 && f.filled:
		f.seen = before
		return true, fmt.Errorf("cannot read %s: %w", f.path, errEmptied)
	}
	v, err := f.read(path)
	if after, statErr := f.stat(); statErr != nil || !sameFile(before, after) {
		return always, fmt.Errorf("cannot read %s: %w", f.path, errUnsteady) // there is another time
	}
	if f.seen = before; err != nil {
		return true, err
	}
	f.value.Store(&v)
	f.had = f.had || before != nil
	f.filled = before != nil && before.Size() > 0
	return true, nil
}

// settled tells whether nobody has written to the file lately. The time of the last writing may be in the future; then
// it counts since when the file has looked so.
func (f *File[T]) settled(info os.FileInfo) bool {
	now := f.o.Now()
	if info == nil || now.Sub(info.ModTime()) >= quiet {
		return true
	}
	if f.young == nil || !sameFile(info, f.young) || now.Before(f.sight) {
		f.young, f.sight = info, now
	}
	return now.Sub(f.sight) >= quiet
}

// stat looks at the file; nil when it is missing and may be.
func (f *File[T]) stat() (os.FileInfo, error) {
	info, err := os.Stat(f.path)
	if f.o.Missing && !f.had && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := trusted(info.Mode().Perm(), info.Mode().IsRegular()); err != nil {
		return nil, &fs.PathError{Op: "read", Path: f.path, Err: err}
	}
	return info, nil
}

// unreadable stands for a file that cannot be looked at.
var unreadable os.FileInfo = noInfo{}

type noInfo struct{ os.FileInfo }

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil || a == unreadable || b == unreadable {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changeTime(a) == changeTime(b)
}

// changeTime is when a file, or its mode, was changed last.
func changeTime(info os.FileInfo) syscall.Timespec {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ctim
	}
	return syscall.Timespec{}
}
