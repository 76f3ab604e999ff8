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
	err := makeDirs(filepath.Dir(dir))
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	switch {
	case err == nil:
		err = os.Lchown(dir, id.uid, id.gid)
	case errors.Is(err, fs.ErrExist):
		err = nil
	}
	if err != nil {
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

// makeDirs makes a directory that everybody may pass through, and those above it.
func makeDirs(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDirs(filepath.Dir(dir)); err == nil {
			err = os.Mkdir(dir, 0o755)
		}
	}
	switch {
	case err == nil:
		return os.Chmod(dir, 0o755) // whatever the umask
	case errors.Is(err, fs.ErrExist):
		return nil
	}
	return err
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
