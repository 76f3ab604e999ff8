package aliases

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// source is a file as it was at one instant.
type source interface {
	// find is the entry of exactly this name, of a long one perhaps only the first limit bytes, unless limit is 0. The
	// error is a Problem when the name has nothing but malformed lines, and a *badIndex when the text must be asked.
	find(name string, limit int) (located, bool, error)
	about() *origin
	release() // the source is not used any more by who has got it from a file
}

// file is one of the files of a Database, as it was when it was last read.
type file struct {
	name   string
	report func(error) // told of an index that is there and cannot be used; may be nil

	mu    sync.Mutex
	stamp fsys.Info // tells one state of the file from another
	src   source
	err   error
	tried fsys.Info // the index that is of no use for this state; zero: there was none
	stale bool      // it is of another text that was not empty

	existed bool      // the file was there
	before  source    // what the last whole text has said, while src may be half of one or is none; nil: not known
	since   time.Time // when the writing was first seen that has not ended
	clock   func() time.Time
}

// apart is how old a change must be before a second one is sure to have another time.
const apart = 100 * time.Millisecond

func newFile(name string, report func(error)) *file {
	return &file{name: name, report: report, clock: time.Now}
}

// load reads the file, or opens its index, unless that was done since its last change.
func (f *file) load() (source, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st, err := f.stat()
	f.existed = f.existed || err == nil
	same := f.src != nil && err == nil && st == f.stamp && unchanged(f.src)
	if same {
		f.settle(st)
	}
	if same && !f.tryIndex() {
		return retained(f.src), f.err
	}
	if !same {
		f.outdate()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !f.missing():
		f.src = newTable(f.name, 0)
		return f.src, nil
	case err != nil:
		return nil, unreadable(err)
	case same || f.tryIndex():
		return retained(f.src), nil
	}
	return f.readText(st)
}

// tryIndex opens the index, if the file is not read by one yet and there is another than was tried last.
func (f *file) tryIndex() bool {
	if _, ok := f.src.(*indexed); ok {
		return false
	}
	now, err := fsys.OS{}.Stat(f.name + IndexSuffix)
	if errors.Is(err, fs.ErrNotExist) || err == nil && now == f.tried {
		f.stale = f.stale && err == nil
		return false
	}
	f.tried = now
	x, err := openIndex(f.name)
	f.stale = errors.Is(err, ErrStale)
	if err != nil {
		f.tell(err)
		return false
	}
	f.forget()
	f.src, f.err, f.stamp, f.since = x, nil, x.stamp, time.Time{}
	return true
}

// readText reads the file, which looks so.
func (f *file) readText(st fsys.Info) (source, error) {
	now := f.clock()
	text, err := readText(f.name)
	after, statErr := f.stat()
	for try := 0; try < 3 && statErr == nil && after != st; try++ { // another has got the name
		st = after
		text, err = readText(f.name)
		after, statErr = f.stat()
	}
	f.stamp, f.err = st, nil
	if statErr != nil || after != st || now.Sub(st.Changed) < apart {
		f.stamp = fsys.Info{} // it may be changing: look again next time
	}
	if err != nil {
		f.src, f.err = newTable(f.name, 0), unreadable(err)
		return nil, f.err
	}
	t := parse(f.name, text, st.UID)
	t.secret = secret(st)
	if whole := f.settled(st); whole && (statErr == nil && after == st || f.since != time.Time{}) {
		f.forget()
		f.src = t
		return t, nil
	}
	c := &changing{table: t}
	if f.before != nil && (f.before.about().owner == t.owner || !filled(f.before)) {
		c.before = retained(f.before)
		t.secret = t.secret || f.before.about().secret
	}
	f.src = c
	return retained(c), nil
}

// withoutIndex is the text of a file whose index has turned out to be of no use.
func (f *file) withoutIndex(x source, why error) (source, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.src != x && f.src != nil { // somebody else has been here
		if _, index := f.src.(*indexed); !index {
			return retained(f.src), f.err
		}
	}
	f.tell(why)
	if x, ok := x.(*indexed); ok {
		f.tried = x.seen
	}
	if errors.Is(why, ErrStale) {
		f.outdate()
	} else {
		f.drop()
	}
	st, err := f.stat()
	if err != nil {
		return nil, unreadable(err)
	}
	return f.readText(st)
}

// drop forgets what the file was.
func (f *file) drop() {
	if f.src != nil {
		f.src.release()
	}
	f.stamp, f.src, f.err = fsys.Info{}, nil, nil
}

// tell reports what is wrong with an index, unless it is only that there is none for this text.
func (f *file) tell(err error) {
	if f.report != nil && !errors.Is(err, ErrNoIndex) && !errors.Is(err, ErrStale) {
		f.report(err)
	}
}

// stat looks at the file, through links.
func (f *file) stat() (fsys.Info, error) {
	st, err := fsys.StatFile(f.name)
	if err == nil {
		err = usable(f.name, st)
	}
	return st, err
}

// usable tells why a file is none that we read. What others may write could send anybody's mail anywhere.
func usable(name string, st fsys.Info) error {
	switch {
	case !st.Regular:
		return &fs.PathError{Op: "read", Path: name, Err: unsafe{"not a regular file"}}
	case st.Mode&0o002 != 0:
		return &fs.PathError{Op: "read", Path: name, Err: unsafe{"everybody may write it"}}
	}
	return nil
}

// secret tells whether not everybody may read a file.
func secret(st fsys.Info) bool { return st.Mode&0o004 == 0 }

// openText opens a file, and tells what it is.
func openText(name string) (fsys.File, fsys.Info, error) {
	f, err := fsys.OpenFile(name)
	if err != nil {
		return nil, fsys.Info{}, err
	}
	st, err := f.Stat()
	if err == nil {
		err = usable(name, st)
	}
	if err != nil {
		f.Close()
		return nil, fsys.Info{}, err
	}
	return f, st, nil
}

// readText reads a file that must be text, and not too long.
func readText(name string) (string, error) {
	text, err := fsys.ReadFile(name, maxFile+1)
	if err != nil {
		return "", err
	}
	if len(text) > maxFile {
		return "", tooLong(name)
	}
	s := string(text)
	if i := strings.IndexByte(s, 0); i >= 0 {
		return "", notText(name, 1+strings.Count(s[:i], "\n"))
	}
	return s, nil
}

// ErrNotText is in the chain of an error about a file that is no aliases(5) file.
var ErrNotText = errors.New("not an aliases file")

// ErrUnsafe is in the chain of an error about a file that is not to be read.
var ErrUnsafe = errors.New("not to be read")

// unsafe is an ErrUnsafe that says more.
type unsafe struct{ why string }

func (u unsafe) Error() string      { return u.why }
func (unsafe) Is(target error) bool { return target == ErrUnsafe }

func tooLong(name string) error {
	return notAliases{fmt.Errorf("%s: longer than %d bytes", name, maxFile)}
}

func notText(name string, line int) error {
	return notAliases{fmt.Errorf("%s: not text: line %d has a zero byte", name, line)}
}

// notAliases is an ErrNotText that says more.
type notAliases struct{ error }

func (notAliases) Is(target error) bool { return target == ErrNotText }

// unreadable is the outcome of a lookup that needs a file which cannot be read.
func unreadable(err error) error {
	return status.New("aliases", 451, status.Code{4, 3, 0}, "the aliases cannot be read", err)
}
