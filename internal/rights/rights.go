// Package rights gives up those of root, for programs that root has started and that work on another user's spool.
package rights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"postrider/internal/config"
	"postrider/internal/status"
)

// BecomeOwner becomes the user whose spool it is, when root has started us: what root makes there others cannot work on,
// and what they have put there root's rights are not for. A spool that is missing is made for the mail user, if there is
// one. It changes nothing for others, and in a user's installation.
func BecomeOwner(conf config.Config) error {
	if os.Geteuid() != 0 || conf.User {
		return nil
	}
	uid, gid, err := owner(conf)
	if err == nil && uid != 0 {
		err = become(uid, gid)
	}
	if err != nil {
		return status.Fail("rights", status.ExitOSErr, "cannot become the owner of the mail spool", err)
	}
	return nil
}

// owner is to whom the spool belongs, and makes one that is missing.
func owner(conf config.Config) (uid, gid int, err error) {
	var st syscall.Stat_t
	if err = syscall.Stat(conf.Spool, &st); err == nil {
		return int(st.Uid), int(st.Gid), nil
	}
	who, unknown := user.Lookup(conf.Smtpd.User)
	if !errors.Is(err, fs.ErrNotExist) || unknown != nil {
		return 0, 0, nil // opening the spool will tell
	}
	uid, err = strconv.Atoi(who.Uid)
	if err == nil {
		gid, err = strconv.Atoi(who.Gid)
	}
	if err == nil {
		err = PrepareSpool(conf.Spool, uid, gid)
	}
	return uid, gid, err
}

// become gives up the rights of root for good.
func become(uid, gid int) error {
	groups := []int{gid}
	if who, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		list, _ := who.GroupIds() // without them fewer files can be read, and nothing else
		for _, text := range list {
			if n, err := strconv.Atoi(text); err == nil && n != gid {
				groups = append(groups, n)
			}
		}
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups(groups) },
		func() error { return syscall.Setgid(gid) },
		func() error { return syscall.Setuid(uid) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if syscall.Setuid(0) == nil || os.Geteuid() != uid {
		return fmt.Errorf("the rights of root could be had again")
	}
	return nil
}
