package local

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"postrider/internal/fsys"
)

// suspicion is why a file cannot be trusted.
type suspicion string

func (s suspicion) Error() string { return string(s) }

func isSuspicion(err error) bool {
	var s suspicion
	return errors.As(err, &s)
}

// suspicious tells why a file is not to be trusted.
func (r *forwardReader) suspicious(st fsys.Info) error {
	switch {
	case !st.Regular:
		return suspicion("not a regular file")
	case st.Links != 1:
		return suspicion("it has more than one name")
	case st.Mode&0o022 != 0:
		return suspicion("its group or everybody may write it")
	case st.UID != 0 && int(st.UID) != r.u.UID:
		return suspicion("it belongs neither to the user nor to root")
	case st.Size > maxForward:
		return suspicion(fmt.Sprintf("longer than %d bytes", maxForward))
	}
	return nil
}

// readText reads a file of bounded size.
func readText(f io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(f, maxForward+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxForward:
		return "", suspicion(fmt.Sprintf("longer than %d bytes", maxForward))
	case strings.IndexByte(string(b), 0) >= 0:
		return "", suspicion("not text: it has a zero byte")
	}
	return string(b), nil
}

// safeParents tells whether somebody else than root and the user could put another file at path, by the directories that
// are named or by those that links lead to.
func safeParents(path string, uid int) error {
	dir := filepath.Dir(filepath.Clean(path))
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for _, dir := range []string{dir, real} {
		if err := safeDirs(dir, uid); err != nil {
			return err
		}
	}
	return nil
}

// safeDirs looks at a directory and all above it. A sticky one, as /tmp, lets only the owner of a name change it.
func safeDirs(dir string, uid int) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		owner := int(info.Sys().(*syscall.Stat_t).Uid)
		switch {
		case info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0:
			return suspicion("the group or everybody may write directory " + dir)
		case owner != 0 && owner != uid:
			return suspicion("somebody else has directory " + dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (a Agent) fs() fsys.FS {
	if a.FS == nil {
		return fsys.OS{}
	}
	return a.FS
}

// maxShells is what is read of /etc/shells.
const maxShells = 64 << 10

// hasShell tells whether a user can log in: the shell is one of those in /etc/shells. Without the file there are two, as
// for getusershell(3).
func (a Agent) hasShell(u User) bool {
	path := a.Shells
	if path == "" {
		path = "/etc/shells"
	}
	f, err := os.Open(path)
	if err != nil {
		return errors.Is(err, os.ErrNotExist) && (u.shell() == "/bin/sh" || u.shell() == "/bin/csh")
	}
	defer f.Close()
	for lines := bufio.NewScanner(io.LimitReader(f, maxShells)); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "/") && line == u.shell() {
			return true
		}
	}
	return false
}
