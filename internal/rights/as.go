package rights

import (
	"errors"
	"os"
	"syscall"

	"postrider/internal/config"
	"postrider/internal/status"
)

// Owner is the owner of a spool, for programs that root has started and that need root's rights for something else as
// well. The zero value is whoever runs.
type Owner struct{ uid, gid int }

// OwnerOf finds the owner whom BecomeOwner would become, and makes a spool that is missing as that does.
func OwnerOf(conf config.Config) (Owner, error) {
	if os.Geteuid() != 0 || conf.User {
		return Owner{}, nil
	}
	uid, gid, err := owner(conf)
	if err != nil {
		return Owner{}, status.Fail("rights", status.ExitOSErr, "cannot find the owner of the mail spool", err)
	}
	return Owner{uid, gid}, nil
}

// The calls of the system, which change all threads.
var (
	setresuid = syscall.Setresuid
	setresgid = syscall.Setresgid
)

// Do calls f with the owner's rights, in all threads, and takes root's back. It must not be called by f, nor by two at
// once. Supplementary groups stay, so this keeps what f makes usable to the owner, and is no protection from f.
func (o Owner) Do(f func() error) (err error) {
	if o.uid == 0 {
		return f()
	}
	defer func() {
		// In this order: only root may change the group.
		if back := errors.Join(setresuid(-1, 0, -1), setresgid(-1, 0, -1)); back != nil {
			err = errors.Join(err, back)
		}
	}()
	if err := errors.Join(setresgid(-1, o.gid, -1), setresuid(-1, o.uid, -1)); err != nil {
		return status.Fail("rights", status.ExitOSErr, "cannot act as the owner of the mail spool", err)
	}
	return f()
}
