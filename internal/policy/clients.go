package policy

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Caps on what is kept.
const (
	maxClients = 100_000 // that have no session
	maxFacts   = 10_000
	maxReports = 1_000
)

// idleTime is the longest time that is looked back on: a client that was not here for so long has done nothing.
const idleTime = time.Hour

// clients counts what clients do. Those that have no session are forgotten when there are too many, the longest idle
// first. Every operation takes the same short time.
type clients struct {
	now func() time.Time
	max int

	mu    sync.Mutex
	byKey map[netip.Addr]*client
	idle  list.List // of *client without a session, the last one in front
}

// client is one that is counted: an IPv4 address or a /64 network.
type client struct {
	key      netip.Addr
	sessions int
	left     time.Time
	idle     *list.Element // nil while there is a session
	counts   [counterCount]window
}

// counter is one of the things that are counted.
type counter int

const (
	connections counter = iota
	messages
	recipients
	authFailures
	answers
	turns
	counterCount
)

// spans are the times within which things are counted.
var spans = [counterCount]time.Duration{connections: time.Minute, messages: time.Minute, recipients: time.Minute,
	authFailures: idleTime, answers: time.Minute, turns: time.Minute}

func newClients(now func() time.Time, max int) *clients {
	return &clients{now: now, max: max, byKey: map[netip.Addr]*client{}}
}

// countedAs is what an address is counted by: itself, or its /64, which one customer has to himself.
func countedAs(a netip.Addr) netip.Addr {
	if a = plain(a); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// enter counts a new session of the client at addr and tells how many it has.
func (t *clients) enter(addr netip.Addr) (c *client, sessions int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := countedAs(addr)
	c = t.byKey[key]
	if c == nil {
		c = &client{key: key}
		t.byKey[key] = c
	}
	if c.idle != nil {
		t.idle.Remove(c.idle)
		c.idle = nil
	}
	c.sessions++
	return c, c.sessions
}

// leave counts the end of a session.
func (t *clients) leave(c *client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.sessions--; c.sessions > 0 {
		return
	}
	c.left = t.now()
	c.idle = t.idle.PushFront(c)
	for range 2 { // two out for one in: the list shrinks when there is less to do
		old, _ := t.idle.Back().Value.(*client)
		if t.idle.Len() <= t.max && c.left.Sub(old.left) <= idleTime || old == c {
			return
		}
		t.idle.Remove(old.idle)
		delete(t.byKey, old.key)
	}
}

// count counts once more what c does, and tells how often that is within its span.
func (t *clients) count(c *client, what counter) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &c.counts[what]
	w.turn(t.now(), spans[what])
	w.cur++
	return w.sum(t.now(), spans[what])
}

// counted tells how often c has done something.
func (t *clients) counted(c *client, what counter) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &c.counts[what]
	w.turn(t.now(), spans[what])
	return w.sum(t.now(), spans[what])
}

// reserve counts once more what c does, unless that would be more than most. The slot is for release.
func (t *clients) reserve(c *client, what counter, most int) (slot int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &c.counts[what]
	w.turn(t.now(), spans[what])
	if w.sum(t.now(), spans[what]) >= most {
		return 0, false
	}
	w.cur++
	return w.slot, true
}

// release takes back what was reserved in a slot.
func (t *clients) release(c *client, what counter, slot int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &c.counts[what]
	w.turn(t.now(), spans[what])
	switch {
	case slot == w.slot && w.cur > 0:
		w.cur--
	case slot == w.slot-1 && w.prev > 0:
		w.prev--
	}
}

// window counts what happens within a span that ends now: what happened in this span of the clock, and so much of the
// one before as is not over yet, as if it had been even.
type window struct {
	slot      int64
	cur, prev int32
}

func (w *window) turn(now time.Time, span time.Duration) {
	slot := now.UnixNano() / int64(span)
	switch slot - w.slot {
	case 0:
	case 1:
		w.prev, w.cur = w.cur, 0
	default:
		w.prev, w.cur = 0, 0
	}
	w.slot = slot
}

func (w *window) sum(now time.Time, span time.Duration) int {
	left := int64(span) - now.UnixNano()%int64(span)
	return int(w.cur) + int(int64(w.prev)*(left/int64(time.Millisecond))/int64(span/time.Millisecond))
}
