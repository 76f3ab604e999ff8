package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// How long, and of how many, it is remembered that they were right.
const (
	memoryTime = time.Minute
	maxMemory  = 4096
)

// memory remembers what came of secrets that were right a moment ago, so that a client that logs in for each message
// does not cost a slow hash or a question to others each time. Of the secrets it holds digests, with a key that nobody
// knows.
type memory[V any] struct {
	mu   sync.Mutex
	key  [32]byte
	held map[[32]byte]remembered[V]
}

type remembered[V any] struct {
	value V
	until time.Time
}

func newMemory[V any]() *memory[V] {
	m := &memory[V]{held: map[[32]byte]remembered[V]{}}
	rand.Read(m.key[:])
	return m
}

func (m *memory[V]) digest(name, secret string) (d [32]byte) {
	mac := hmac.New(sha256.New, m.key[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(name))))
	mac.Write([]byte(name))
	mac.Write([]byte(secret))
	mac.Sum(d[:0])
	return d
}

// get is what was put, unless its time is over.
func (m *memory[V]) get(name, secret string, now time.Time) (value V, ok bool) {
	d := m.digest(name, secret)
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.held[d]
	if !now.Before(r.until) {
		return value, false
	}
	return r.value, true
}

// put remembers a value for as long as anything is remembered, or for less.
func (m *memory[V]) put(name, secret string, value V, now time.Time, atMost time.Duration) {
	d := m.digest(name, secret)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.held) >= maxMemory {
		for d, r := range m.held {
			if !now.Before(r.until) {
				delete(m.held, d)
			}
		}
	}
	if len(m.held) >= maxMemory {
		clear(m.held)
	}
	m.held[d] = remembered[V]{value, now.Add(min(memoryTime, atMost))}
}
