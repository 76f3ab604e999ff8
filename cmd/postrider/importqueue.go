package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/compat/foreign"
	"postrider/internal/config"
	"postrider/internal/fsys"
	"postrider/internal/maillog"
	"postrider/internal/rights"
	"postrider/internal/status"
	"postrider/queue"
)

// importQueue takes the messages of another system's queue into ours.
func (a *app) importQueue(c *cli.Context) error {
	conf, err := a.load(c)
	if err != nil {
		return err
	}
	dirs, err := queueDirs(c.String("queue"), c.String("root"))
	if err != nil {
		return err
	}
	owner, err := rights.OwnerOf(conf)
	if err != nil {
		return err
	}
	t := &taker{app: a, conf: conf, act: owner.Do, remove: c.Bool("remove")}
	if err := t.act(t.open); err != nil {
		return err
	}
	defer t.close()
	for _, dir := range dirs {
		if err := t.directory(dir); err != nil {
			return err
		}
	}
	return t.summary(dirs)
}

// sendmailDirs are where Sendmail and its submission program queue.
var sendmailDirs = []string{"/var/spool/mqueue", "/var/spool/mqueue-client", "/var/spool/clientmqueue"}

// queueDirs are the directories that --queue means: those of a system below root, or one by its path.
func queueDirs(name, root string) (dirs []string, err error) {
	candidates := []string{name}
	switch name {
	case "postfix":
		candidates = []string{filepath.Join(root, "/var/spool/postfix")}
	case "sendmail":
		candidates = nil
		for _, dir := range sendmailDirs {
			candidates = append(candidates, filepath.Join(root, dir))
		}
	default:
		if root != "" {
			return nil, usage("import: --root with --queue is for postfix and sendmail; name the directory itself")
		}
	}
	for _, dir := range candidates {
		info, statErr := os.Stat(dir)
		switch {
		case statErr == nil && info.IsDir():
			dirs = append(dirs, dir)
		case statErr == nil:
			return nil, cannotRead(dir, errors.New("not a directory"))
		case !errors.Is(statErr, fs.ErrNotExist) || len(candidates) == 1:
			return nil, cannotRead(dir, statErr)
		}
	}
	if len(dirs) == 0 {
		return nil, cannotRead(strings.Join(candidates, " and "), fs.ErrNotExist)
	}
	return dirs, nil
}

// taker takes messages in. What it does to our spool it does as the spool's owner, by act; the other queue is read with
// the caller's rights.
type taker struct {
	*app
	conf    config.Config
	spool   *queue.Spool
	origins *queue.Origins
	log     *maillog.Logger
	act     func(func() error) error
	fs      fsys.FS // of our spool; nil: the real one
	remove  bool
	batch   []*taken

	ours  []*taken            // of an interrupted import: the key is recorded
	begun map[string][]*taken // and those of which it is not, by that

	count struct{ in, before, alone, wrong int }
}

// open opens the spool, and finishes what an import that was interrupted has begun.
func (t *taker) open() (err error) {
	if t.spool, err = queue.Open(t.conf.Spool, queue.Options{FS: t.fs}); err != nil {
		return err
	}
	t.origins, err = t.spool.Origins()
	if errors.Is(err, queue.ErrBusy) {
		return status.Fail("postrider.import", status.ExitTempFail, "import: another import is under way", nil)
	}
	if err != nil {
		return err
	}
	if t.log, err = maillog.Open("postrider", t.conf.Log, nil); err != nil {
		return errors.Join(err, t.origins.Close())
	}
	if err = t.resume(); err == nil {
		err = t.releaseOurs()
	}
	if err != nil {
		t.close()
	}
	return err
}

func (t *taker) close() {
	t.dropBatch()
	t.origins.Close()
	t.log.Close()
}

// directory takes in what waits in one directory.
func (t *taker) directory(dir string) error {
	system, list, err := foreign.ListQueue(os.DirFS(dir))
	if err != nil {
		return cannotRead(dir, err)
	}
	runs := system == "postfix" && isLocked(filepath.Join(dir, "pid/master.pid"))
	for _, w := range list {
		if runs && w.State != foreign.Held {
			t.leave(w, "Postfix runs; stop it first")
			continue
		}
		if err := t.message(dir, w); err != nil {
			return errors.Join(err, t.flush())
		}
	}
	return t.flush()
}

// message takes one message in, unless it cannot be. An error is about our own spool.
func (t *taker) message(dir string, w foreign.Waiting) error {
	src, err := openWaiting(dir, w)
	if err != nil {
		t.complain(w, err)
		return nil
	}
	m, err := src.read()
	if err != nil {
		src.close()
		t.complain(w, err)
		return nil
	}
	key := fmt.Sprintf("%s %s %d", w.System, w.ID, m.Arrival.UnixMicro())
	x := &taken{key: key, src: src, held: w.State == foreign.Held}
	here := t.origins.Has(key)
	if !here {
		err = t.act(func() error { here, err = t.restart(key); return err })
	}
	if err != nil {
		src.close()
		return err
	}
	if here {
		fmt.Fprintf(t.out, "%s: taken in before\n", w.ID)
		t.count.before++
		t.removeSource(x)
		src.close()
		return nil
	}
	if err := t.commit(x, m); err != nil {
		src.close()
		if refusedText(err) {
			t.complain(w, err)
			return nil
		}
		return err
	}
	t.batch = append(t.batch, x)
	if len(t.batch) == maxBatch {
		return t.flush()
	}
	return nil
}

// refusedText tells whether it is the message that is at fault, and not our spool.
func refusedText(err error) bool { return status.From(err).Class() == status.Permanent }

// complain tells why a message is not taken in. What is locked, gone or not ready may be another time.
func (t *taker) complain(w foreign.Waiting, err error) {
	switch {
	case errors.Is(err, foreign.ErrDone):
		fmt.Fprintf(t.out, "%s: %v\n", w.ID, err)
	case errors.Is(err, errLocked), errors.Is(err, foreign.ErrUnfinished), errors.Is(err, fs.ErrNotExist):
		t.leave(w, err.Error())
	default:
		fmt.Fprintf(t.out, "%s: cannot be taken in: %s\n", w.ID, status.Clean(err.Error(), status.MaxText))
		t.count.wrong++
	}
}

func (t *taker) leave(w foreign.Waiting, why string) {
	fmt.Fprintf(t.out, "%s: left alone: %s\n", w.ID, status.Clean(why, status.MaxText))
	t.count.alone++
}

// summary ends the import.
func (t *taker) summary(dirs []string) error {
	t.reportBegun()
	n := t.count
	fmt.Fprintf(t.out, "%d taken in, %d taken in before, %d left alone, %d not readable\n", n.in, n.before, n.alone, n.wrong)
	if n.in > 0 && !t.remove {
		fmt.Fprintf(t.out, "the originals are still in %s: they must not be delivered there as well\n", strings.Join(dirs, " and "))
	}
	switch {
	case n.wrong > 0:
		return exitStatus(status.ExitDataErr)
	case n.alone > 0:
		return exitStatus(status.ExitTempFail)
	}
	return nil
}
