package queue

import (
	"bytes"
	"os"
	"strconv"
)

// lockedInodes are the files that somebody holds a flock on. The kernel lists them, so a listing need not try the
// locks, which would make a run that wants one at that moment pass the message over. It is for display: inodes of
// other file systems count.
func lockedInodes() map[uint64]bool {
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil
	}
	held := map[uint64]bool{}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if ino, ok := flockInode(line); ok {
			held[ino] = true
		}
	}
	return held
}

// flockInode reads a line such as "1: FLOCK  ADVISORY  WRITE 708 08:01:1234 0 EOF" (proc(5)).
func flockInode(line []byte) (uint64, bool) {
	f := bytes.Fields(line)
	if len(f) < 6 || string(f[1]) != "FLOCK" || string(f[3]) != "WRITE" {
		return 0, false
	}
	i := bytes.LastIndexByte(f[5], ':')
	ino, err := strconv.ParseUint(string(f[5][i+1:]), 10, 64)
	return ino, err == nil
}
