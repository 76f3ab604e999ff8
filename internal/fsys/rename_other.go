//go:build !linux

package fsys

// Rename implements FS with link and unlink.
func (o OS) Rename(from, to string) error { return o.relink(from, to) }
