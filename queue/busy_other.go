//go:build !linux

package queue

// lockedInodes are not known where the kernel does not list its locks.
func lockedInodes() map[uint64]bool { return nil }
