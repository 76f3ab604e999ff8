package mailbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"postrider/internal/fsys"
)

// clockSlack is how far the clock that stamps directories may be behind ours.
const clockSlack = time.Minute

// Maildir is a mailbox of one file per message: written in tmp/, moved to new/ when whole and durable.
type Maildir struct {
	Dir string
	FS  fsys.FS // nil: the real one
}

// MaildirName is the name, without size and flags, that a message gets for its recipient number n in every
// Maildir. It is the same whenever the delivery is repeated, and unlike that of any other.
func MaildirName(id string, n int, arrival time.Time, host string) string {
	return fmt.Sprintf("%d.%s_%d.%.64s", arrival.Unix(), nameSafe(id), n, nameSafe(host))
}

// nameSafe keeps a word free of what has a meaning in Maildir names or paths.
func nameSafe(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r == '-', r == '.':
			return r
		}
		return '_'
	}, s)
}

// Deliver puts a message into new/ under the given name (see MaildirName) and its size. When it is there
// already, or in cur/ because a mail reader has seen it, that is success. arrival is when the message came into
// our hands: it cannot be in a cur/ that has not changed since then, which saves reading that directory.
//
// A missing Maildir is made, with its three directories, but not its parents.
func (d Maildir) Deliver(name string, arrival time.Time, m Message) error {
	d.FS = orReal(d.FS)
	if err := d.prepare(); err != nil {
		return err
	}
	if seen, err := d.seen(name, arrival); seen || err != nil {
		return err
	}
	tmp := d.path("tmp", fmt.Sprintf("%s.%d.%d", name, os.Getpid(), tmpCount.Add(1)))
	size, err := d.write(tmp, m.Content)
	if err == nil {
		err = d.publish(tmp, fmt.Sprintf("%s,S=%d", name, size))
	}
	if err != nil {
		d.FS.Remove(tmp)
	}
	return err
}

// tmpCount makes names in tmp/ different within a process. They are not those in new/: of two runs that
// deliver the same message, each must move only what itself has written.
var tmpCount atomic.Uint64

func (d Maildir) path(elem ...string) string {
	return filepath.Join(append([]string{d.Dir}, elem...)...)
}

// prepare makes what is missing of the Maildir, durably.
func (d Maildir) prepare() error {
	if made, err := d.mkdir(d.Dir); err != nil {
		return err
	} else if made {
		if err := syncDir(d.FS, filepath.Dir(filepath.Clean(d.Dir))); err != nil {
			return err
		}
	}
	changed := false
	for _, sub := range []string{"tmp", "new", "cur"} {
		made, err := d.mkdir(d.path(sub))
		if err != nil {
			return err
		}
		changed = changed || made
	}
	if !changed {
		return nil
	}
	return syncDir(d.FS, d.Dir)
}

func (d Maildir) mkdir(name string) (made bool, err error) {
	if _, err := d.FS.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := d.FS.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	return true, nil
}

// errFound ends a scan.
var errFound = errors.New("found")

// seen looks for the message in cur/, where it may have any flags.
func (d Maildir) seen(name string, arrival time.Time) (bool, error) {
	cur := d.path("cur")
	info, err := d.FS.Stat(cur)
	if err != nil {
		return false, err
	}
	if info.ModTime.Before(arrival.Add(-clockSlack)) {
		return false, nil
	}
	err = d.FS.ReadDir(cur, func(n string) error {
		if rest, ok := strings.CutPrefix(n, name); ok && (rest == "" || rest[0] == ',' || rest[0] == ':') {
			return errFound
		}
		return nil
	})
	if err != errFound {
		return false, err
	}
	return true, syncDir(d.FS, cur)
}

// write makes a durable file of the message. The file is left to the caller when it fails.
func (d Maildir) write(tmp string, content io.Reader) (size int64, err error) {
	f, err := d.FS.Create(tmp)
	if err != nil {
		return 0, err
	}
	t := newTextWriter(f, false)
	_, err = io.Copy(t, content)
	if err == nil {
		t.endLine()
		err = t.flush()
	}
	if err == nil {
		err = f.Sync()
	}
	// A network file system may tell only now that there was no room.
	if closed := f.Close(); err == nil {
		err = closed
	}
	return t.n, err
}

// publish moves a whole file into new/. What has the name there is the same message from an earlier attempt,
// which may have ended before the directory was synced.
func (d Maildir) publish(tmp, name string) error {
	to := d.path("new", name)
	err := d.FS.Rename(tmp, to)
	there := errors.Is(err, fs.ErrExist)
	if err != nil && !there {
		return err
	}
	if there {
		d.FS.Remove(tmp)
	}
	if err := syncDir(d.FS, d.path("new")); err != nil {
		if !there {
			d.FS.Remove(to)
		}
		return err
	}
	return nil
}
