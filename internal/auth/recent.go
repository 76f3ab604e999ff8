package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// How long, and for how many, a success is remembered.
const (
	recentTime = time.Minute
	maxRecent  = 4096
)

// recent remembers secrets that were right a moment ago, so that a client that logs in for each message does not cost a
// slow hash each time. It holds only digests with a key that nobody knows.
type recent struct {
	mu    sync.Mutex
	key   [32]byte
	until map[[32]byte]time.Time
}

func newRecent() *recent {
	r := &recent{until: map[[32]byte]time.Time{}}
	rand.Read(r.key[:])
	return r
}

func (r *recent) digest(name, secret string) (d [32]byte) {
	mac := hmac.New(sha256.New, r.key[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(name))))
	mac.Write([]byte(name))
	mac.Write([]byte(secret))
	mac.Sum(d[:0])
	return d
}

func (r *recent) has(name, secret string, now time.Time) bool {
	d := r.digest(name, secret)
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.until[d])
}

func (r *recent) add(name, secret string, now time.Time) {
	d := r.digest(name, secret)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.until) >= maxRecent {
		for d, until := range r.until {
			if !now.Before(until) {
				delete(r.until, d)
			}
		}
	}
	if len(r.until) >= maxRecent {
		clear(r.until)
	}
	r.until[d] = now.Add(recentTime)
}
