package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"postrider/internal/fsys"
)

// Mbox is a mailbox in one file. Path and UID must be set; the rest has working zero values.
type Mbox struct {
	Path string
	UID  int // the owner that the file must have; below 0: any

	FS    fsys.FS                                  // nil: the real one
	Lock  func(name string) (fsys.Lock, error)     // nil: an OFD write lock, fcntl(2), not waiting
	Now   func() time.Time                         // nil: time.Now; tells how old a dotlock is
	Tries int                                      // how often a lock is tried; 0: for about 20 seconds
	Wait  func(ctx context.Context, try int) error // between two tries; nil: 5 ms, doubling up to 200 ms
}

// Append puts a message at the end of the mailbox: From_ line, quoted content, empty line. A missing mailbox is
// created with mode 0600 when its directory permits, and stays, empty, when the delivery then fails.
//
// The error is ErrBusy when the mailbox stayed locked, ErrUnsafe when it is not a regular file with one name
// and the right owner, and else what the system or m.Content said.
func (b Mbox) Append(ctx context.Context, m Message) error {
	return b.AppendAll(ctx, []Message{m})[0]
}

// AppendAll is Append for several messages, for which it locks and syncs the mailbox once. Each has an error of its own.
func (b Mbox) AppendAll(ctx context.Context, list []Message) []error {
	errs := make([]error, len(list))
	leave, err := enter(ctx, b.Path)
	if err != nil {
		return all(errs, err)
	}
	defer leave()
	h, err := b.withDefaults().open(ctx)
	if err != nil {
		return all(errs, err)
	}
	defer h.release()
	h.append(list, errs)
	return errs
}

// all gives err to those that have no error yet.
func all(errs []error, err error) []error {
	for i := range errs {
		if errs[i] == nil {
			errs[i] = err
		}
	}
	return errs
}

func (b Mbox) withDefaults() Mbox {
	b.FS = orReal(b.FS)
	if b.Lock == nil {
		b.Lock = lockOFD
	}
	if b.Now == nil {
		b.Now = time.Now
	}
	if b.Tries == 0 {
		b.Tries = defaultTries
	}
	if b.Wait == nil {
		b.Wait = backOff
	}
	return b
}

// open opens and locks the mailbox. Between two tries it holds no lock at all, so that two programs which
// take their locks in different orders cannot stop each other for good.
func (b Mbox) open(ctx context.Context) (*held, error) {
	for try := 1; ; try++ {
		h, err := b.tryOpen()
		if !errors.Is(err, ErrBusy) || try >= b.Tries {
			return h, err
		}
		if err := b.Wait(ctx, try); err != nil {
			return nil, fmt.Errorf("waiting for the lock of %s: %w", b.Path, err)
		}
	}
}

func (b Mbox) tryOpen() (*held, error) {
	f, err := b.openFile()
	if err != nil {
		return nil, err
	}
	h := &held{fs: b.FS, path: b.Path, file: f}
	if err := h.lock(b); err != nil {
		h.release()
		return nil, err
	}
	return h, nil
}

// openFile opens the mailbox, or makes it. It looks before it opens, as the opening of a device may do
// something; what it saw is verified on the open file when the lock is held.
func (b Mbox) openFile() (fsys.File, error) {
	info, err := b.FS.Stat(b.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, err
	}
	if !missing && !info.Regular {
		return nil, fmt.Errorf("%s: %w: not a regular file", b.Path, ErrUnsafe)
	}
	f, err := b.FS.Append(b.Path)
	if missing && errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("the mailbox does not exist and its directory does not let us create it: %w", err)
	}
	return f, err
}

// held is an open mailbox with its locks.
type held struct {
	fs   fsys.FS
	path string
	file fsys.File
	flk  fsys.Lock
	dot  *dotlock
	size int64 // of what is whole
}

func (h *held) lock(b Mbox) (err error) {
	h.flk, err = b.Lock(h.path)
	if errors.Is(err, fsys.ErrLocked) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", h.path, ErrBusy)
	}
	if err != nil {
		return err
	}
	h.dot, err = takeDotlock(b.FS, h.path+".lock", b.Now)
	if err != nil {
		return err
	}
	return h.verify(b.UID)
}

// verify makes sure, under the lock, that the name, the open file and the locked file are one, and that it is
// one to write mail to. A mail reader may have put another file in the name's place meanwhile: that is worth
// another try.
func (h *held) verify(uid int) error {
	open, err := h.file.Stat()
	if err != nil {
		return err
	}
	locked, err := h.flk.Stat()
	if err != nil {
		return err
	}
	named, err := h.fs.Stat(h.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case err != nil || !open.Same(named) || !open.Same(locked):
		return fmt.Errorf("%s was replaced: %w", h.path, ErrBusy)
	case !open.Regular:
		return fmt.Errorf("%s: %w: not a regular file", h.path, ErrUnsafe)
	case open.Links != 1:
		return fmt.Errorf("%s: %w: it has %d names", h.path, ErrUnsafe, open.Links)
	case uid >= 0 && int(open.UID) != uid:
		return fmt.Errorf("%s: %w: it belongs to user %d", h.path, ErrUnsafe, open.UID)
	}
	h.size = open.Size
	return nil
}

// append writes the messages and makes them durable. One that cannot be written is cut off again; when they cannot be made
// durable the file is cut back to what it was.
func (h *held) append(list []Message, errs []error) {
	before, wrote := h.size, false
	for i, m := range list {
		err := h.write(m)
		if err == nil {
			wrote = true
			continue
		}
		var stuck bool
		if errs[i], stuck = h.cut(h.size, err); stuck {
			for j := i + 1; j < len(errs); j++ {
				errs[j] = errs[i]
			}
			break
		}
	}
	if !wrote {
		return
	}
	if err := h.sync(before == 0); err != nil {
		err, _ = h.cut(before, err)
		all(errs, err)
	}
}

// cut takes away what is beyond size. It returns the error that made it necessary, with what went wrong meanwhile.
func (h *held) cut(size int64, why error) (err error, stuck bool) {
	undo := h.file.Truncate(size)
	if undo == nil {
		undo = h.file.Sync()
	}
	if undo != nil {
		return fmt.Errorf("%w; and %s could not be cut back to %d bytes: %w", why, h.path, size, undo), true
	}
	return why, false
}

func (h *held) write(m Message) error {
	gap, err := h.gap()
	if err != nil {
		return err
	}
	t := newTextWriter(h.file, true)
	t.raw(gap + fromLine(m.Sender, m.Date))
	if _, err := io.Copy(t, m.Content); err != nil {
		return err
	}
	t.endLine()
	t.raw("\n")
	if err := t.flush(); err != nil {
		return err
	}
	h.size += t.n
	return nil
}

// gap is what must come before a From_ line. Usually nothing: but where a crash, or another program, left the
// file without an empty line at its end, our message would become the tail of the last one.
func (h *held) gap() (string, error) {
	tail := make([]byte, min(h.size, 2))
	if _, err := h.file.ReadAt(tail, h.size-int64(len(tail))); err != nil && err != io.EOF {
		return "", err
	}
	switch {
	case len(tail) == 0 || string(tail) == "\n\n" || string(tail) == "\n":
		return "", nil
	case tail[len(tail)-1] == '\n':
		return "\n", nil
	}
	return "\n\n", nil
}

// sync makes the bytes durable, and the name too where it may be new.
func (h *held) sync(fresh bool) error {
	if err := h.file.Sync(); err != nil || !fresh {
		return err
	}
	return syncDir(h.fs, filepath.Dir(h.path))
}

// release gives the locks back. Its errors do not count: the message is durable by then, or cut away, and a
// dotlock that stays goes stale.
func (h *held) release() {
	if h.dot != nil {
		h.dot.remove()
	}
	if h.flk != nil {
		h.flk.Release()
	}
	h.file.Close()
}
