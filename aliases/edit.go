package aliases

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postrider/internal/fsys"
)

// Add gives an alias in a file members, each as it would stand there, and tells whether that has changed the file. An
// alias that is not there is put at the end, and a file that is missing is made.
//
// Comments, order and all other lines stay, and so do the file's owner, group and mode. The file is written aside and
// takes the old one's name when it is durable, unless somebody has changed the old one meanwhile. A link is followed only
// to a file of the caller's own. Others who edit at the same time are waited for, up to ten seconds. ErrMember, ErrByHand and ErrBusy may be in the chain of the error.
func Add(file, name string, members []string) (changed bool, err error) {
	return here().edit(file, true, func(text string) (string, error) { return addTo(text, name, members) })
}

// Remove takes members from an alias in a file, or the alias when none is named or left. It works as Add does; ErrNoAlias
// may be in the chain of its error.
func Remove(file, name string, members []string) (changed bool, err error) {
	return here().edit(file, false, func(text string) (string, error) { return takeFrom(text, name, members) })
}

// editor changes files.
type editor struct {
	fs    fsys.FS
	uid   uint32
	sleep func(time.Duration)
}

func here() editor { return editor{fsys.OS{}, uint32(os.Geteuid()), time.Sleep} }

// Who edits at the same time is waited for.
const (
	turn     = 20 * time.Millisecond
	maxTurns = 500
)

// claim is claim, when others are ready.
func (e editor) claim(tmp string) (fsys.File, error) {
	for n := 0; ; n++ {
		out, err := claim(e.fs, tmp)
		if n == maxTurns || !errors.Is(err, ErrBusy) {
			return out, err
		}
		e.sleep(turn)
	}
}

func (e editor) edit(name string, create bool, change func(string) (string, error)) (changed bool, err error) {
	if name, err = e.follow(name); err != nil {
		return false, err
	}
	tmp := aside(name)
	out, err := e.claim(tmp)
	if err != nil {
		return false, err
	}
	defer func() {
		if !changed {
			e.fs.Remove(tmp) // the lock is held until then
		}
		out.Close()
	}()
	old, err := e.read(name, create)
	if err != nil {
		return false, err
	}
	text, err := change(old.text)
	if err != nil || text == old.text && !old.missing {
		return false, err
	}
	if err := old.write(out, text); err != nil {
		return false, err
	}
	if now, err := e.fs.Stat(name); old.missing != errors.Is(err, fs.ErrNotExist) || !old.missing && (err != nil || now != old.info) {
		return false, &fs.PathError{Op: "write", Path: name, Err: errors.Join(errChanged, err)}
	}
	if err := e.fs.Replace(tmp, name); err != nil {
		return false, err
	}
	changed = true
	return true, e.fs.SyncDir(filepath.Dir(name) + "/.")
}

// aside is where the new file is written: by a name that nobody else uses, since what a crash has left there is removed.
func aside(name string) string {
	return filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".postrider-new")
}

// follow finds the file that is meant. What a link leads to must be the caller's.
func (e editor) follow(name string) (string, error) {
	info, err := os.Lstat(name)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return name, nil // what is wrong is found out later
	}
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", err
	}
	st, err := e.fs.Stat(real)
	if err == nil && st.UID != e.uid {
		err = &fs.PathError{Op: "write", Path: name, Err: fmt.Errorf("%w: it is a link to somebody else's file %s", fs.ErrPermission, real)}
	}
	return real, err
}

// edited is a file as it was.
type edited struct {
	text    string
	info    fsys.Info
	missing bool
}

func (e editor) read(name string, create bool) (edited, error) {
	f, err := e.fs.Open(name)
	if create && errors.Is(err, fs.ErrNotExist) {
		return edited{missing: true}, nil
	}
	if err != nil {
		return edited{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = usable(name, info)
	}
	if err != nil {
		return edited{}, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return edited{}, err
	case len(b) > maxFile:
		return edited{}, tooLong(name)
	}
	text := string(b)
	if i := strings.IndexByte(text, 0); i >= 0 {
		return edited{}, notText(name, 1+strings.Count(text[:i], "\n"))
	}
	return edited{text: text, info: info}, nil
}

// write makes a new file durable that is like the old one, but for its text.
func (o edited) write(f fsys.File, text string) error {
	like, err := o.info, error(nil)
	if o.missing {
		like, err = f.Stat()
		like.Mode = 0o644
	}
	if err != nil {
		return err
	}
	if _, err := f.Write([]byte(text)); err != nil {
		return err
	}
	if err := f.Become(like.UID, like.GID, like.Mode); err != nil {
		return err
	}
	return f.Sync()
}
