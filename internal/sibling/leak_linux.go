package sibling

import "syscall"

// CloseOnExec keeps the descriptors that our own caller has left open from the programs that we start from here on. One
// that outlives us would hold on to a lock of a script, or to a pipe that somebody reads to its end.
func CloseOnExec() {
	const (
		closeRange = 436 // the system call's number on every architecture
		cloexec    = 4   // CLOSE_RANGE_CLOEXEC
	)
	if _, _, err := syscall.RawSyscall(closeRange, first, uintptr(^uint32(0)), cloexec); err != 0 { // before Linux 5.11
		eachCloseOnExec()
	}
}
