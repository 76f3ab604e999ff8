package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/urfave/cli/v2"

	"postrider/internal/auth"
	"postrider/internal/fsys"
	"postrider/internal/status"
)

// readRoster reads a file of users.
func readRoster(path string) (*auth.Roster, error) {
	text, err := fsys.ReadFile(path, auth.MaxFile+1)
	if err != nil {
		exit := status.ExitNoInput
		if errors.Is(err, fs.ErrPermission) {
			exit = status.ExitNoPerm
		}
		return nil, status.Fail("postrider.user", exit, "cannot read the users", err)
	}
	if len(text) > auth.MaxFile {
		return nil, status.Fail("postrider.user", status.ExitConfig, fmt.Sprintf("%s is larger than %d MiB", path, auth.MaxFile>>20), nil)
	}
	return auth.NewRoster(path, text)
}

// changeUsers changes a file of users, whole or not at all, while nobody else does. Its owner, group and mode stay. With
// create one that is missing is made.
func (a *app) changeUsers(c *cli.Context, path string, create bool, change func(*auth.Roster) error) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	made := false
	if create {
		var err error
		if made, err = a.makeUsers(c, path); err != nil {
			return cannotUser("create", path, err)
		}
	}
	err := changeLocked(path, change)
	if err != nil && made {
		os.Remove(path) // it is empty
	}
	return err
}

func changeLocked(path string, change func(*auth.Roster) error) error {
	lock, err := lockUsers(path)
	if err != nil {
		return err
	}
	defer lock.Release()
	r, err := readRoster(path)
	if err != nil {
		return err
	}
	if err := change(r); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return cannotUser("look at", path, err)
	}
	if err := replaceFile(path, r.Text(), func(f *os.File) error { return like(f, info) }); err != nil {
		return cannotUser("write", path, err)
	}
	return nil
}

// lockUsers makes sure that nobody else changes the file. Who has replaced it a moment ago has left us with a lock on what
// it was before.
func lockUsers(path string) (fsys.Lock, error) {
	lock, err := fsys.OS{}.TryLock(path, true)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, status.Fail("postrider.user", status.ExitNoInput, "cannot read the users", err)
	case err != nil && !errors.Is(err, fsys.ErrLocked):
		return nil, cannotUser("lock", path, err)
	}
	if err == nil {
		held, err1 := lock.Stat()
		now, err2 := fsys.OS{}.Stat(path)
		if err1 == nil && err2 == nil && held.Same(now) {
			return lock, nil
		}
		lock.Release()
	}
	return nil, status.Fail("postrider.user", status.ExitTempFail, "somebody else is changing "+path+"; try again", nil)
}

// makeUsers makes an empty file of users when there is none. The server must be able to read it, and others must not:
// it is root's, and its group the server's.
func (a *app) makeUsers(c *cli.Context, path string) (made bool, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if a.uid == 0 {
		if gid, ok := a.serverGroup(c); ok {
			err = f.Chown(-1, gid)
		}
	}
	if err = errors.Join(err, f.Chmod(0o640)); err != nil {
		os.Remove(path)
	}
	return true, err
}

// serverGroup is the group of the user that the server becomes.
func (a *app) serverGroup(c *cli.Context) (gid int, ok bool) {
	conf, err := a.load(c)
	if err != nil {
		return 0, false // a file that --file names needs no configuration
	}
	user, ok, err := a.users.Lookup(conf.Smtpd.User)
	return user.GID, ok && err == nil
}

// like gives a file the owner, group and mode of another.
func like(f *os.File, info fs.FileInfo) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	have, want := own.Sys().(*syscall.Stat_t), info.Sys().(*syscall.Stat_t)
	if have.Uid != want.Uid || have.Gid != want.Gid {
		if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(info.Mode().Perm())
}

// cannotUser is the error of a file operation of user.
func cannotUser(act, path string, err error) error {
	s := status.From(cannot(act, path, err))
	return status.Fail("postrider.user", s.Exit(), s.Text(), s.Unwrap())
}
