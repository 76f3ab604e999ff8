package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"postrider/internal/rights"
	"postrider/internal/status"
)

// spool makes the spool, or gives it to the mail user.
func (in *installer) spool() step {
	path := in.conf.Spool
	return step{
		look: func() (string, error) {
			_, wrong, err := in.spoolState()
			if err != nil || wrong == "" {
				return "", err
			}
			return fmt.Sprintf("make the spool %s, and its directories new and tmp, %s's, with modes 0710 and 1730 (%s)", path, in.conf.Smtpd.User, wrong), nil
		},
		do: func() error {
			rootsOwn, _, err := in.spoolState()
			if err == nil && rootsOwn {
				err = in.giveAway(path)
			}
			if err == nil {
				err = rights.PrepareSpool(path, in.uid, in.gid)
			}
			return err
		},
	}
}

// spoolState tells what is wrong with the spool, and whether it is root's, as one is that had been used before there was a
// mail user. A third user's is not touched.
func (in *installer) spoolState() (rootsOwn bool, wrong string, err error) {
	path := in.conf.Spool
	uid, _, _, err := ownerOf(path + "/.") // it may be a link
	if errors.Is(err, fs.ErrNotExist) {
		return false, "it is missing", nil
	}
	if err != nil {
		return false, "", err
	}
	rootsOwn = uid == in.host.root && uid != in.uid
	if uid != in.uid && !rootsOwn && in.uid >= 0 || rootsOwn && !looksLikeSpool(path) {
		return false, "", status.Fail("postrider.setup", status.ExitConfig, fmt.Sprintf("%s belongs to user %d or holds other things than mail: "+
			"give the spool to %s, with all that is in it, or set spool to another place", path, uid, in.conf.Smtpd.User), nil)
	}
	return rootsOwn, in.spoolFault(), nil
}

// spoolFault is the first thing that keeps drop or the mail user from working in the spool.
func (in *installer) spoolFault() string {
	for _, dir := range append([]string{""}, rights.DropDirs...) {
		want := rights.DropMode
		if dir == "" {
			want = rights.SpoolMode
		}
		path := filepath.Join(in.conf.Spool, dir)
		uid, gid, mode, err := ownerOf(path + "/.")
		switch {
		case err != nil:
			return path + " is missing"
		case uid != in.uid || gid != in.gid:
			return fmt.Sprintf("%s belongs to %d:%d", path, uid, gid)
		case mode&^fs.ModeDir != want:
			return fmt.Sprintf("%s has mode %04o", path, unixMode(mode))
		}
	}
	return ""
}

// looksLikeSpool tells whether a directory is a spool, or empty.
func looksLikeSpool(path string) bool {
	list, err := os.ReadDir(path)
	if err != nil || len(list) == 0 {
		return err == nil
	}
	for _, dir := range []string{"new", "cur", "journal", "lock"} {
		if _, err := os.Lstat(filepath.Join(path, dir)); err != nil {
			return false
		}
	}
	return true
}

// giveAway gives what is in root's spool to the mail user: what is in a directory before it, and the spool itself last. Until
// then only root can put a name there, and what was interrupted is root's still and begins anew. No name leads out of the
// spool.
func (in *installer) giveAway(path string) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	names, err := insideOut(root.FS())
	for _, name := range names {
		if err == nil {
			err = root.Lchown(name, in.uid, in.gid)
		}
	}
	return err
}

// insideOut are the names of all files, those in a directory before it.
func insideOut(files fs.FS) (names []string, err error) {
	err = fs.WalkDir(files, ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	slices.Reverse(names)
	return names, err
}

// ownerOf is to whom a file belongs. A link is not followed.
func ownerOf(path string) (uid, gid int, mode fs.FileMode, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return -1, -1, 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1, 0, fmt.Errorf("%s: its owner is unknown", path)
	}
	return int(st.Uid), int(st.Gid), info.Mode(), nil
}

// unixMode is a mode as chmod(1) has it.
func unixMode(mode fs.FileMode) uint32 {
	n := uint32(mode.Perm())
	for bit, value := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&bit != 0 {
			n |= value
		}
	}
	return n
}
