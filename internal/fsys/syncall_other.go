//go:build !linux

package fsys

import "golang.org/x/sys/unix"

// syncAll makes all file systems durable, or at least asks for it where sync(2) does not wait.
func (f *osFile) syncAll() error {
	unix.Sync()
	return nil
}
