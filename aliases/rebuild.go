package aliases

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"postrider/internal/cdb"
	"postrider/internal/fsys"
)

// Rebuild is Check, and makes the file's index: whole and durable, or not at all. unwritten tells why there is no new
// index; mail is delivered by the text then. The error is that of Check.
//
// The index is written beside the file, with the group and the readers of the file, and given its name at last. Two at
// once do not disturb each other: the second gives up.
func Rebuild(name string) (rep Report, unwritten, err error) {
	b := builder{fs: fsys.OS{}, now: time.Now, sleep: time.Sleep, uid: uint32(os.Geteuid())}
	return b.rebuild(name)
}

// ErrBusy says that somebody else is writing at the same time.
var ErrBusy = errors.New("somebody else is writing")

// builder makes indexes.
type builder struct {
	fs    fsys.FS
	now   func() time.Time
	sleep func(time.Duration)
	uid   uint32
}

// tick is longer than the clock of any file system that we care for takes from one time to the next.
const tick = 20 * time.Millisecond

func (b builder) rebuild(name string) (rep Report, unwritten, err error) {
	text, st, err := b.open(name)
	if err != nil {
		return Report{}, nil, err
	}
	defer text.Close()
	w, unwritten := b.create(name, st)
	if unwritten == nil {
		rep, err = check(name, io.NewSectionReader(text, 0, maxFile+1), w)
		if !errors.Is(err, errRegister) {
			if err == nil {
				unwritten = w.finish(text)
			}
			w.discard()
			return rep, unwritten, err
		}
		w.discard()
		unwritten = w.err
	}
	rep, err = check(name, io.NewSectionReader(text, 0, maxFile+1), &memory{})
	return rep, unwritten, err
}

// open opens a file whose next change will have another time.
func (b builder) open(name string) (fsys.File, fsys.Info, error) {
	for wait := true; ; wait = false {
		text, st, err := openText(name)
		if err != nil {
			return nil, st, err
		}
		young := tick - b.now().Sub(st.Changed)
		if young <= 0 || young > tick || !wait { // a time to come says nothing
			return text, st, nil
		}
		text.Close()
		b.sleep(young)
	}
}

// writer is a register that is an index being written.
type writer struct {
	b         builder
	dir       string
	path, tmp string
	text      fsys.Info
	f         fsys.File
	db        *cdb.Writer
	duplicate func(string, record, record)
	size      int64 // of the database
	done      bool
	err       error // the first
}

// create begins an index, unless nobody would trust it.
func (b builder) create(name string, text fsys.Info) (*writer, error) {
	if b.uid != 0 && b.uid != text.UID {
		return nil, &fs.PathError{Op: "create", Path: name + IndexSuffix, Err: fmt.Errorf("%w: only root and the owner of the aliases may", fs.ErrPermission)}
	}
	w := &writer{b: b, dir: filepath.Dir(name), path: name + IndexSuffix, tmp: name + IndexSuffix + ".new", text: text}
	var err error
	if w.f, err = claim(b.fs, w.tmp); err != nil {
		return nil, err
	}
	if w.db, err = cdb.NewWriter(w.f); err != nil {
		w.discard()
		return nil, err
	}
	return w, nil
}

func (w *writer) watch(duplicate func(string, record, record)) { w.duplicate = duplicate }

func (w *writer) add(name string, r record) error {
	w.err = w.db.Add(name, r.encode())
	return w.err
}

func (w *writer) close() error {
	w.size, w.err = w.db.Close(func(name string, earlier, later []byte) bool {
		one, err1 := decodeRecord(earlier)
		other, err2 := decodeRecord(later)
		return err1 == nil && err2 == nil && choose(name, one, other, w.duplicate)
	})
	return w.err
}

// finish seals the index of a text, if that is still what it was, and puts it into its place.
func (w *writer) finish(text fsys.File) error {
	if now, err := text.Stat(); err != nil || now != w.text {
		return &fs.PathError{Op: "write", Path: w.path, Err: errors.Join(errChanged, err)}
	}
	s := sealOf(w.text)
	s.database = uint64(w.size)
	if err := writeSeal(w.f, s); err != nil {
		return err
	}
	if err := w.b.dress(w.f, w.text); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	if err := w.b.fs.Replace(w.tmp, w.path); err != nil {
		return err
	}
	w.done = true
	return w.b.fs.SyncDir(w.dir + "/.")
}

var errChanged = fmt.Errorf("%w: the file has changed meanwhile", ErrBusy)

// dress makes who may read the text able to read the index. Where we cannot have its group, the group may not.
func (b builder) dress(f fsys.File, text fsys.Info) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	err = f.Become(own.UID, text.GID, text.Mode&0o444|0o600)
	if errors.Is(err, fs.ErrPermission) {
		err = f.Become(own.UID, own.GID, text.Mode&0o404|0o600)
	}
	return err
}

// discard ends the writing, and removes what has not got its place.
func (w *writer) discard() {
	if !w.done {
		w.b.fs.Remove(w.tmp) // the lock is held until then
	}
	w.f.Close()
}

// claim makes a new file of mode 0600 that is locked, in the place of one that a crash may have left.
func claim(f fsys.FS, path string) (fsys.File, error) {
	for range 3 {
		file, err := f.Create(path)
		switch {
		case errors.Is(err, fs.ErrExist):
			if err := removeLeft(f, path); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		if err = file.Lock(); err == nil {
			var own, now fsys.Info
			if own, err = file.Stat(); err == nil {
				now, err = f.Stat(path)
			}
			if err == nil && own.Same(now) {
				return file, nil
			}
		}
		file.Close()
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, fsys.ErrLocked): // somebody took it for a left one
		default:
			f.Remove(path)
			return nil, err
		}
	}
	return nil, busy(path)
}

// removeLeft removes a file that nobody holds.
func removeLeft(f fsys.FS, path string) error {
	lock, err := f.TryLock(path, true)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fsys.ErrLocked):
		return busy(path)
	case err != nil:
		return err
	}
	defer lock.Release()
	held, err := lock.Stat()
	if err != nil {
		return err
	}
	if now, err := f.Stat(path); err != nil || !held.Same(now) {
		return nil // it is another one by now
	}
	return f.Remove(path)
}

func busy(path string) error { return &fs.PathError{Op: "write", Path: path, Err: ErrBusy} }
