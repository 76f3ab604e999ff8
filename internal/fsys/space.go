//go:build linux || freebsd || darwin

package fsys

import "golang.org/x/sys/unix"

// Space implements FS with statfs(2). A file system without a table of inodes, such as btrfs, counts none.
func (OS) Space(name string) (Space, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(name, &st) }); err != nil {
		return Space{}, pathError("statfs", name, err)
	}
	s := Space{Bytes: times(int64(st.Bavail), int64(st.Bsize)), Files: int64(st.Ffree)}
	if st.Files == 0 {
		s.Files = Unlimited
	}
	return s, nil
}

// times is a product that ends at Unlimited. FreeBSD's free blocks are negative when only root may write.
func times(blocks, size int64) int64 {
	blocks = max(blocks, 0)
	if size > 0 && blocks > Unlimited/size {
		return Unlimited
	}
	return blocks * size
}
