package queue

import (
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// ID names a message, the same in spool, log, Received field and listing: 13 upper-case hexadecimal digits,
// the microseconds since 1970, and 4 of 0-9A-Z that tell processes apart. IDs sort by time.
type ID string

const (
	timeDigits = 13
	tailDigits = 4
	tailSpace  = (36 - 1) * 36 * 36 * 36 // without those of droppedID
	idLen      = timeDigits + tailDigits
)

// ParseID accepts exactly what NewID makes.
func ParseID(s string) (ID, error) {
	if !validID(s) {
		return "", fmt.Errorf("not a queue ID: %.40q", s)
	}
	return ID(s), nil
}

func validID(s string) bool {
	if len(s) != idLen {
		return false
	}
	for i := 0; i < idLen; i++ {
		c := s[i]
		hex := c >= '0' && c <= '9' || c >= 'A' && c <= 'F'
		if !hex && (i < timeDigits || c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// Time is when the ID was made.
func (id ID) Time() time.Time {
	if !validID(string(id)) {
		return time.Time{}
	}
	us, _ := strconv.ParseInt(string(id[:timeDigits]), 16, 64)
	return time.UnixMicro(us)
}

// lastMicro is the time of the newest ID of this process; each is later than the one before, also when the
// clock stands still or goes back.
var lastMicro atomic.Int64

// newID makes an ID. Two processes that share a name space of process IDs never make the same one in one
// microsecond, since their tails differ; hosts and containers that share a spool differ by their names.
func newID(now time.Time) ID {
	us := now.UnixMicro()
	for {
		last := lastMicro.Load()
		us = max(us, last+1)
		if lastMicro.CompareAndSwap(last, us) {
			break
		}
	}
	p := packed{micro: us, tail: uint32((uint64(os.Getpid()) + hostSalt()) % tailSpace)}
	return ID(p.appendID(nil))
}

// hostSalt is found out once.
var hostSalt = sync.OnceValue(func() uint64 {
	name, _ := os.Hostname()
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64() % tailSpace
})

func base36(n uint64) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	var b [tailDigits]byte
	for i := tailDigits - 1; i >= 0; i-- {
		b[i], n = digits[n%36], n/36
	}
	return string(b[:])
}
