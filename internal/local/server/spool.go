package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// The kinds of directories with everybody's mailboxes.
type spoolType int

const (
	otherSpool spoolType = iota // the user's own rights do, as in a sticky one that everybody may write
	groupSpool                  // group mail makes files there
	rootSpool                   // only root does
)

// spoolKind looks at the directory that a mailbox is in.
func spoolKind(path string, mail int) spoolType {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || !info.IsDir() {
		return otherSpool
	}
	st := info.Sys().(*syscall.Stat_t)
	switch {
	case st.Uid == 0 && st.Mode&0o022 == 0:
		return rootSpool
	case st.Mode&0o002 == 0 && st.Mode&0o020 != 0 && int(st.Gid) == mail:
		return groupSpool
	}
	return otherSpool
}

// makeMailbox makes an empty mailbox for a user, in a directory that only root can write. One that is there stays as it
// is, whatever it is.
func makeMailbox(path string, uid, gid int) error {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err == nil {
		err = unix.Fchown(fd, uid, gid)
		unix.Close(fd)
	}
	if err != nil {
		return &fs.PathError{Op: "create", Path: path, Err: err}
	}
	return nil
}
