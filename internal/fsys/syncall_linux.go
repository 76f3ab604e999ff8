package fsys

import "golang.org/x/sys/unix"

// syncAll makes all of the file's file system durable, names too.
func (f *osFile) syncAll() error {
	return pathError("syncfs", f.name, retry(func() error { return unix.Syncfs(f.fd) }))
}
