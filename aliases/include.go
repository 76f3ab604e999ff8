package aliases

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// included is what an included file says.
type included struct {
	members []Member
	public  bool // everybody may read it
}

// readInclude reads a file of members, one or more a line. owner is who owns the aliases file that asks for it. Since
// the file decides where other people's mail goes, it must be a plain file that is no link and has one name, it must
// belong to root or to owner, and nobody else may be able to write it or to put another in its place. What is wrong
// with it is temporary: the mail waits until it is right.
func (d *Database) readInclude(path string, owner uint32) (included, error) {
	text, public, err := d.includeText(path, owner)
	if err != nil {
		return included{}, status.New("aliases.include", 451, status.Code{4, 2, 4}, "the list of recipients cannot be read", err)
	}
	in := included{public: public}
	parseLines(path, text, func(m Member, where func() string) { in.members = append(in.members, tame(m, where)) })
	return in, nil
}

// tame keeps an included file from naming what only the administrator's own file may.
func tame(m Member, where func() string) Member {
	if m.Kind == Pipe || m.Kind == File || m.Kind == Maildir {
		return Member{Kind: Error, Text: m.Text, Err: where() + ": an included file may not name commands or files"}
	}
	return m
}

func (d *Database) includeText(path string, owner uint32) (text string, public bool, err error) {
	if err := safeParents(path); err != nil {
		return "", false, err
	}
	f, err := d.fs.Open(path)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", false, err
	}
	if err := suspicious(st, owner); err != nil {
		return "", false, fmt.Errorf("%s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxInclude+1))
	switch {
	case err != nil:
		return "", false, err
	case len(b) > maxInclude:
		return "", false, fmt.Errorf("%s: longer than %d bytes", path, maxInclude)
	case strings.IndexByte(string(b), 0) >= 0:
		return "", false, fmt.Errorf("%s: not text: it has a zero byte", path)
	}
	return string(b), st.Mode&0o004 != 0, nil
}

// suspicious tells why a file is not to be trusted.
func suspicious(st fsys.Info, owner uint32) error {
	switch {
	case !st.Regular:
		return errors.New("not a regular file")
	case st.Links != 1:
		return errors.New("it has more than one name")
	case st.Mode&0o022 != 0:
		return errors.New("its group or everybody may write it")
	case st.UID != 0 && st.UID != owner:
		return errors.New("it belongs neither to root nor to the owner of the aliases")
	}
	return nil
}

// safeParents tells whether somebody else could put another file at path, by the directories that are named or by those
// that links lead to.
func safeParents(path string) error {
	dir := filepath.Dir(filepath.Clean(path))
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for _, dir := range []string{dir, real} {
		if err := safeDirs(dir); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// safeDirs looks at a directory and all above it. A sticky one, as /tmp, lets only the owner of a name change it.
func safeDirs(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
			return fmt.Errorf("the group or everybody may write directory %s", dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
