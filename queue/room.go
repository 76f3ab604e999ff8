package queue

import (
	"fmt"
	"sync"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// What is kept free for records of what was done and for reports, without which the queue cannot be worked off.
const (
	reserveBytes = 10 << 20
	reserveFiles = 100
)

// roomAge is how long the file system's answer is good for.
const roomAge = time.Second

// room is what was free a moment ago, less what was promised since.
type room struct {
	mu    sync.Mutex
	asked time.Time
	free  fsys.Space
}

// Room tells whether a message of size bytes (0: unknown) may be taken now: then half as much again and a reserve
// are free. It is to be asked before a Draft is begun, and takes what it grants off what is free until the file
// system is asked again, after a second. The error is a temporary *status.Status, 452 4.3.1.
func (s *Spool) Room(size int64) error {
	size = max(size, 0)
	r := &s.room
	r.mu.Lock()
	defer r.mu.Unlock()
	// What was promised may not have come to be, so only a fresh answer refuses.
	if age := s.now().Sub(r.asked); age < 0 || age >= roomAge || !enough(r.free, size) {
		var err error
		if r.free, err = s.fs.Space(s.path()); err != nil {
			r.asked = time.Time{}
			return failed("room", err)
		}
		r.asked = s.now()
	}
	if !enough(r.free, size) {
		err := fmt.Errorf("%d bytes and %d files are free in %s", r.free.Bytes, r.free.Files, s.root)
		return status.New("queue.room", 452, status.Code{4, 3, 1}, "insufficient system storage", err)
	}
	r.free.Bytes -= size
	r.free.Files--
	return nil
}

func enough(free fsys.Space, size int64) bool {
	return free.Files >= reserveFiles && free.Bytes >= reserveBytes && free.Bytes-size >= size/2
}
