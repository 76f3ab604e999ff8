package fsys

import "golang.org/x/sys/unix"

// relink renames without replacing where the kernel has no call for it. A power cut between its two steps
// leaves both names.
func (o OS) relink(from, to string) error {
	if err := retry(func() error { return unix.Link(from, to) }); err != nil {
		return pathError("link", from, err)
	}
	return o.Remove(from)
}
