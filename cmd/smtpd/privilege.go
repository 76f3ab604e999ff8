package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"postrider/internal/config"
	"postrider/internal/status"
)

// identity is whom the program becomes.
type identity struct {
	name     string
	uid, gid int
	groups   []int
}

// identify finds the user by name or number. A number need not be known to the system.
func identify(name string) (identity, error) {
	u, err := user.Lookup(name)
	number, notNumber := strconv.Atoi(name)
	if err != nil && notNumber == nil {
		if u, err = user.LookupId(name); err != nil {
			return identity{name: name, uid: number, gid: number, groups: []int{number}}, nil
		}
	}
	if err != nil {
		return identity{}, err
	}
	id := identity{name: u.Username}
	id.uid, err = strconv.Atoi(u.Uid)
	if err == nil {
		id.gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return identity{}, err
	}
	id.groups = []int{id.gid}
	list, _ := u.GroupIds() // without them fewer files can be read, and nothing else
	for _, text := range list {
		if gid, err := strconv.Atoi(text); err == nil && gid != id.gid {
			id.groups = append(id.groups, gid)
		}
	}
	return id, nil
}

// mailUser is whom a server that root has started becomes. The error is one of the configuration.
func mailUser(name string) (identity, error) {
	id, err := identify(name)
	switch {
	case err != nil:
		return id, status.Fail("smtpd", status.ExitConfig, "there is no user "+name+" to work as (smtpd.user)", err)
	case id.uid == 0:
		return id, status.Fail("smtpd", status.ExitConfig, "smtpd.user may not be root", nil)
	}
	return id, nil
}

// worker is whom a server becomes: nobody else unless it runs for the system and root has started it.
func worker(conf config.Config) (*identity, error) {
	if os.Geteuid() != 0 || conf.User {
		return nil, nil
	}
	id, err := mailUser(conf.Smtpd.User)
	return &id, err
}

var errNotDropped = errors.New("the rights of root could be had again")

// become gives up the rights of root for good.
func (id identity) become() error {
	err := syscall.Setgroups(id.groups)
	if err == nil {
		err = syscall.Setgid(id.gid)
	}
	if err == nil {
		err = syscall.Setuid(id.uid)
	}
	if err == nil && (syscall.Setuid(0) == nil || syscall.Setgid(0) == nil || os.Geteuid() != id.uid || os.Getegid() != id.gid) {
		err = errNotDropped
	}
	if err != nil {
		return status.Fail("smtpd", status.ExitOSErr, "cannot become user "+id.name, err)
	}
	return nil
}

// ownSpool sees that the spool belongs to the user, and makes one that is missing. Root calls it.
func (id identity) ownSpool(dir string) error {
	_, err := makeDirs(filepath.Dir(dir), nil)
	if err == nil {
		err = makeDir(dir, 0o700, &id)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return status.Fail("smtpd", status.ExitCantCreat, "cannot make the mail spool", err)
	}
	owner, err := ownerOf(dir)
	if err != nil {
		return status.Fail("smtpd", status.ExitConfig, "mail spool", err)
	}
	if owner != id.uid {
		why := fmt.Sprintf("spool %s belongs to user %d, and not to %s; run: chown -R %s %s", dir, owner, id.name, id.name, dir)
		return status.Fail("smtpd", status.ExitConfig, why, nil)
	}
	return nil
}

// makeDirs makes a directory that everybody may pass through, and those above it, and returns those that were missing.
// The last is given to owner; nil: it is ours.
func makeDirs(dir string, owner *identity) (made []string, err error) {
	err = makeDir(dir, 0o755, owner)
	if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		if made, err = makeDirs(filepath.Dir(dir), nil); err == nil {
			err = makeDir(dir, 0o755, owner)
		}
	}
	switch {
	case err == nil:
		return append(made, dir), nil
	case errors.Is(err, fs.ErrExist):
		return made, nil
	}
	return made, err
}

// makeDir makes one directory, whatever the umask, and gives it to owner. The directory above it may be somebody else's,
// who can put a link or another directory in the place of the new one: so root changes mode and owner by descriptor, and
// only of a directory that is root's.
func makeDir(dir string, mode uint32, owner *identity) error {
	fail := func(err error) error { return &fs.PathError{Op: "mkdir", Path: dir, Err: err} }
	above, err := unix.Open(filepath.Dir(dir), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(above)
	name := filepath.Base(dir)
	if err := unix.Mkdirat(above, name, 0o700); err != nil {
		return fail(err)
	}
	fd, err := unix.Openat(above, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && int(st.Uid) != os.Geteuid() {
		err = errors.New("it was replaced")
	}
	if err == nil && owner != nil {
		err = unix.Fchown(fd, owner.uid, owner.gid)
	}
	if err == nil {
		err = unix.Fchmod(fd, mode)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

// ownerOf is the user to whom a file belongs. A link is followed.
func ownerOf(path string) (int, error) {
	st, err := os.Stat(path)
	if err != nil {
		return -1, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, errors.New(path + ": its owner is not known")
	}
	return int(sys.Uid), nil
}
