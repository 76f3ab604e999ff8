package queue

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

// The kernel lists the locks that are held, so a listing need not try them, which would make a run that wants
// one at that moment pass the message over.
var locks struct {
	sync.Mutex
	read time.Time
	held map[uint64]bool // inodes
}

// busy tells whether anybody holds a flock on the inode. It is for display: the list is up to a second old and
// inodes of other file systems count.
func busy(ino uint64) bool {
	locks.Lock()
	defer locks.Unlock()
	if now := time.Now(); now.Sub(locks.read) > time.Second {
		locks.read, locks.held = now, map[uint64]bool{}
		text, err := os.ReadFile("/proc/locks")
		if err != nil {
			return false
		}
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			if ino, ok := flockInode(line); ok {
				locks.held[ino] = true
			}
		}
	}
	return locks.held[ino]
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
