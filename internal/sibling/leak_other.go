//go:build !linux

package sibling

// CloseOnExec keeps the descriptors that our own caller has left open from the programs that we start from here on. One
// that outlives us would hold on to a lock of a script, or to a pipe that somebody reads to its end.
func CloseOnExec() { eachCloseOnExec() }
