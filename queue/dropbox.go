package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// Dropbox is a spool as a program sees it that has the rights of the spool's group, and for the rest those of whoever
// called it: it can write and search tmp/ and new/, but neither read them nor enter any other directory. What it commits
// belongs to its caller, which proves who that was, until the spool's owner claims it: see dropped.go.
type Dropbox struct {
	s   *Spool
	uid int // the caller's
}

var errNoDropbox = errors.New("it is not prepared for users to submit")

// OpenDropbox opens the spool at root for the user uid, and makes nothing. Errors are temporary *status.Status, so that
// the caller tries again when the installation has been mended.
func OpenDropbox(root string, uid int, o Options) (*Dropbox, error) {
	s := newSpool(root, o)
	s.fs = fsys.NewGroup(s.fs)
	s.syncs.fs = s.fs
	if err := s.lookDropbox(); err != nil {
		return nil, status.Fail("queue.open", status.ExitTempFail, "cannot open the mail spool", err)
	}
	return &Dropbox{s, uid}, nil
}

// lookDropbox finds out whether the two directories are there, and whether they and the root are one user's, and closed to
// all but the group.
func (s *Spool) lookDropbox() error {
	var root fsys.Info
	for _, dir := range []string{s.path(), s.path(newDir), s.path(tmpDir)} {
		st, err := s.fs.Stat(dir + "/.")
		if dir == s.path() {
			root = st
		}
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%w, or this program has not the rights of its group", err)
		}
		if err == nil && (st.UID != root.UID || st.Mode&0o007 != 0) {
			err = fmt.Errorf("%s: %w", dir, errNoDropbox)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Room is Spool.Room.
func (b *Dropbox) Room(size int64) error { return b.s.Room(size) }

// NewID makes the ID of a message that is dropped. It is one that neither the spool's owner nor another user makes: so
// whoever gets hold of the group's rights cannot give his message the ID, and with it the journal, of another's.
func (b *Dropbox) NewID() ID { return droppedID(b.s.now(), b.uid, os.Getpid()) }

// NewDraft begins a message; see Submitted for what its envelope must be.
func (b *Dropbox) NewDraft(id ID, e Envelope) (*Draft, error) {
	if err := e.Submitted(b.uid); err != nil {
		return nil, status.Fail("queue.draft", status.ExitDataErr, "bad envelope", err)
	}
	d, err := b.s.NewDraft(e)
	if err == nil {
		d.id = id
	}
	return d, err
}

// The tail of an ID that was dropped is this letter, with which no other begins, and the user who did it.
const (
	droppedTail  = 'Z'
	droppedUsers = 36 * 36 * 36
)

// droppedID tells two programs of one user apart by the last digits of its time: they would have to start within a
// millisecond, and as many processes between them.
func droppedID(now time.Time, uid, pid int) ID {
	const programs = 1 << 10
	micro := now.UnixMicro()&^(programs-1) | int64((uint64(pid)+hostSalt())%programs)
	tail := uint64(droppedTail-'A'+10)*droppedUsers + uint64(uid)%droppedUsers
	p := packed{micro: micro, tail: uint32(tail)}
	return ID(p.appendID(nil))
}

// dropped tells whether an ID is one that a user can have dropped.
func (id ID) dropped(uid int) bool {
	return id[timeDigits:] == droppedID(time.Time{}, uid, 0)[timeDigits:]
}

// Submitted tells what is wrong with an envelope from a user of this machine, whom nobody but uid must prove: nothing in it
// may say how else the message came, and what becomes part of a command to another host is what such a command may hold.
func (e *Envelope) Submitted(uid int) error {
	switch {
	case uid < 0 || e.UID != uid:
		return errors.New("it is another user's")
	case e.Client != "" || e.Login != "" || e.Auth != "" || e.Proto != "local":
		return errors.New("it came otherwise")
	case !e.By.IsZero() || e.ByNotify || e.ByTrace || !e.Release.IsZero() || len(e.extra) > 0:
		return errors.New("it has terms that are only for servers")
	case e.Ret != "" && e.Ret != "FULL" && e.Ret != "HDRS", e.Body != "" && e.Body != "7BIT" && e.Body != "8BITMIME":
		return errors.New("bad terms")
	case !word(e.EnvID, 100), !printable(e.Sender, maxDropped), !printable(e.User, maxDropped), !printable(e.Tag, maxDropped):
		return errors.New("bad characters")
	}
	for i := range e.Rcpts {
		r := &e.Rcpts[i]
		if !printable(r.Address, maxDropped) || !word(r.ORcpt, maxDropped) {
			return errors.New("bad characters in recipient " + strconv.Itoa(i+1))
		}
	}
	return nil
}

// maxDropped is more than any address has, and what stands for one that could not be read.
const maxDropped = 4 << 10

// printable tells whether a text is of one line, without control characters.
func printable(s string, most int) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return len(s) <= most
}

// word tells whether a text is printable and has no blanks.
func word(s string, most int) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' {
			return false
		}
	}
	return printable(s, most)
}

// ParseEnvelope reads an envelope at the start of b. n is its length with the empty line that ends it; -1 when b ends before
// it does. An error says that it is none.
func ParseEnvelope(b []byte) (e Envelope, n int, err error) {
	e, _, n, err = parseEnvelope(b)
	return e, n, err
}
