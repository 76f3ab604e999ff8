package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"postrider/internal/fsys"
)

// A message that was dropped (see Dropbox) lies in new/ under its name, complete and durable, and belongs to the user who
// submitted it. He may have it open, and change it. So whoever claims it first copies it into a file of the spool's owner,
// and believes of it only what the copy says and the owner of the original proves. The copy takes the name: in every
// instant, and after every power cut, one of the two has it, and both are the whole message.

// copySuffix is of the copy's name in tmp/. Two that make one hold the lock of the same message: there are never two.
const copySuffix = ".copy"

var errDropped = errors.New("it is not what a user can have dropped")

// ours tells whether a file is the spool's owner's, who is also the caller: nobody else may claim.
func (s *Spool) ours(st fsys.Info) bool {
	return int(st.UID) == os.Geteuid() || s.owned && st.UID == s.owner
}

// adopt makes a dropped message ours: afterwards the claim is of the copy. The error is ErrCorrupt when it is none, and
// then it has been set aside.
func (c *Claim) adopt(name string, locked fsys.Info) error {
	tmp := c.s.file(tmpDir, string(c.Entry.ID)+copySuffix)
	err := c.copy(name, tmp, locked)
	if err == nil {
		err = c.checkCopy(tmp, locked)
	}
	if err == nil {
		err = c.take(tmp, name)
	}
	if err == nil {
		return nil
	}
	c.s.fs.Remove(tmp)
	if errors.Is(err, errDropped) {
		return c.setAside()
	}
	return failed("take over", err)
}

// copy copies the message to tmp, durably. What changes meanwhile, the check sees.
func (c *Claim) copy(name, tmp string, locked fsys.Info) error {
	from, err := c.s.fs.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	st, err := from.Stat()
	if err != nil {
		return err
	}
	if !st.Same(locked) || !st.Regular || st.Links != 1 || st.UID != locked.UID || !c.Entry.ID.dropped(int(st.UID)) {
		return fmt.Errorf("%w: its owner is user %d, and it has %d names", errDropped, st.UID, st.Links)
	}
	if err := c.s.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	to, err := c.s.fs.Create(tmp)
	if err != nil {
		return err
	}
	defer to.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, io.LimitReader(from, c.Entry.Size), make([]byte, blockSize))
	if err == nil && n != c.Entry.Size {
		err = fmt.Errorf("%w: it is shorter than its name says", errDropped)
	}
	if err == nil {
		err = to.Sync()
	}
	return err
}

// checkCopy looks whether the copy says what its submitter may say. It may have a journal, from before a power cut that
// brought the original back.
func (c *Claim) checkCopy(tmp string, locked fsys.Info) error {
	f, err := c.s.fs.Open(tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	r := reader{s: c.s}
	e, _, _, err := r.envelope(f, c.Entry.Size)
	if err == nil {
		err = e.Submitted(int(locked.UID))
	} else if !errors.Is(err, errEnvelope) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errDropped, err)
	}
	return nil
}

// take gives the copy its name and claims it. It is locked before, so that nobody comes between, and never again opened
// for writing, so that who watches new/ does not see it.
func (c *Claim) take(tmp, name string) error {
	lock, err := c.s.fs.TryLock(tmp, true)
	if err != nil {
		return err
	}
	if err := c.s.fs.Replace(tmp, name); err != nil {
		lock.Release()
		return err
	}
	c.lock.Release()
	c.lock = lock
	return nil
}
