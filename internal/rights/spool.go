package rights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The modes of a spool in which users may drop messages, see drop(8). The sticky bit keeps them from one another's files.
const (
	SpoolMode = 0o710
	DropMode  = fs.ModeSticky | 0o730
)

// DropDirs are the directories of a spool into which users drop messages.
var DropDirs = []string{"new", "tmp"}

// PrepareSpool makes the spool of a system, and gives one that is there, and its directories, the owner, the group and the
// modes by which the mail user and drop can work on it. It may be repeated. Root calls it: so nothing below the spool, whose
// owner is somebody else, is reached by a path that he could lead elsewhere.
func PrepareSpool(path string, uid, gid int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	spool, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer spool.Close()
	if err := own(spool, ".", uid, gid, SpoolMode); err != nil {
		return err
	}
	for _, dir := range DropDirs {
		if err := spool.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := own(spool, dir, uid, gid, DropMode); err != nil {
			return err
		}
	}
	return nil
}

// own gives a directory an owner, a group and a mode.
func own(spool *os.Root, dir string, uid, gid int, mode fs.FileMode) error {
	f, err := spool.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(spool.Name(), dir), err)
	}
	defer f.Close()
	if err := f.Chown(uid, gid); err != nil {
		return err
	}
	return f.Chmod(mode)
}
