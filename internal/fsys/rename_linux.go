package fsys

import "golang.org/x/sys/unix"

// Rename implements FS: renameat2(2) with RENAME_NOREPLACE, or link and unlink where the file system lacks it.
func (o OS) Rename(from, to string) error {
	err := retry(func() error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	})
	if err == unix.EINVAL || err == unix.ENOSYS {
		return o.relink(from, to)
	}
	return pathError("rename", from, err)
}
