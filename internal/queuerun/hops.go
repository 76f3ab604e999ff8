package queuerun

import (
	"context"
	"errors"
	"sync"
	"time"

	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
)

const (
	firstWindow = 2                      // sessions that a next hop has at first
	idleMax     = 3 * time.Second        // how long a session waits for the next message
	sessionMax  = 5 * time.Minute        // how long a session is used
	idleTotal   = 100                    // sessions that wait, over all next hops
	shortWait   = 100 * time.Millisecond // how long a claimed message waits for its busy next hop
	localWindow = 2                      // deliveries at once into one mailbox
	agentRest   = 10 * time.Second       // how long the delivery agent of this machine is dead
)

// errBusyHop says that a next hop has all the sessions that it may have.
var errBusyHop = errors.New("the next hop is busy")

// hops are the next hops that this process knows: how many sessions each has, which of them are idle, which
// messages wait for it, and whether it is dead.
type hops struct {
	now      func() time.Time
	limit    int           // sessions of one next hop
	patience time.Duration // how long a claimed message waits for a slot
	dead     time.Duration // how long a next hop is dead
	forGood  bool          // it is dead for as long as we live; dead is then for others
	others   *shared       // what other runs know
	unpark   func([]item)  // takes messages that waited by name

	mu   sync.Mutex
	by   map[string]*hop
	idle int
}

type hop struct {
	key     string
	active  int // slots given out
	window  int // slots that there are now
	limit   int // slots that there may be
	idle    []*link
	blocked []chan *link // claimed attempts that wait for a slot, oldest first
	parked  []item       // messages that wait by name
	asked   bool         // what the others know of it
	until   time.Time    // dead until; zero: for good
	why     *status.Status
}

// link is a session as it is kept for the next message.
type link struct {
	Session
	opened, idle time.Time
	rest         []route.Host // what is left to try of the next hop, and how to log in there
	auth         *smtp.Credentials
}

// slot is the right to have one session with a next hop. link is nil when there is none to go on with.
type slot struct {
	hop  *hop
	link *link
}

func (h *hops) get(key string, window, limit int) *hop {
	p := h.by[key]
	if p == nil {
		p = &hop{key: key, window: window, limit: limit}
		h.by[key] = p
	}
	return p
}

// deadAt tells why nothing is to be tried; nil when something may.
func (p *hop) deadAt(now time.Time) *status.Status {
	if p.why != nil && !p.until.IsZero() && !now.Before(p.until) {
		p.why = nil
	}
	return p.why
}

// enter asks for a slot at the next hop key. The error is the *status.Status of a dead hop, or errBusyHop when
// there is no slot soon (or others wait by name already), or ctx's.
func (h *hops) enter(ctx context.Context, key string, local bool) (*slot, error) {
	window, limit := firstWindow, h.limit
	if local {
		window, limit = localWindow, localWindow
	}
	h.mu.Lock()
	p := h.get(key, min(window, limit), limit)
	if !local && !p.asked && key != agentKey {
		p.asked = true
		p.until, p.why = h.others.dead(key)
	}
	if why := p.deadAt(h.now()); why != nil {
		h.mu.Unlock()
		return nil, why
	}
	if p.active < p.window {
		p.active++
		s := &slot{hop: p, link: h.takeIdle(p)}
		h.mu.Unlock()
		return s, nil
	}
	if len(p.parked) > 0 {
		h.mu.Unlock()
		return nil, errBusyHop
	}
	turn := make(chan *link, 1)
	p.blocked = append(p.blocked, turn)
	h.mu.Unlock()
	return h.await(ctx, p, turn)
}

// await waits for turn, which brings a slot, and a session if there is one.
func (h *hops) await(ctx context.Context, p *hop, turn chan *link) (*slot, error) {
	t := time.NewTimer(h.patience)
	defer t.Stop()
	var err error
	select {
	case l := <-turn:
		return h.granted(p, l)
	case <-t.C:
		err = errBusyHop
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.mu.Lock()
	for i, c := range p.blocked {
		if c == turn {
			p.blocked = append(p.blocked[:i], p.blocked[i+1:]...)
			h.mu.Unlock()
			return nil, err
		}
	}
	h.mu.Unlock()
	return h.granted(p, <-turn) // it came at the same instant
}

func (h *hops) granted(p *hop, l *link) (*slot, error) {
	h.mu.Lock()
	why := p.deadAt(h.now())
	h.mu.Unlock()
	if why != nil {
		h.leave(&slot{p, l}, false)
		return nil, why
	}
	return &slot{p, l}, nil
}

// takeIdle takes the session that was used last.
func (h *hops) takeIdle(p *hop) *link {
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	l := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	h.idle--
	return l
}

// leave gives a slot back, and its session if that can go on. good tells that a transaction went well, which
// earns the next hop one more slot.
func (h *hops) leave(s *slot, good bool) {
	p, l := s.hop, s.link
	var spent *link
	h.mu.Lock()
	now := h.now()
	if l != nil && (!l.Reusable() || now.Sub(l.opened) > sessionMax) {
		spent, l = l, nil
	}
	if good && p.window < p.limit {
		p.window++
	}
	p.active--
	for len(p.blocked) > 0 && p.active < p.window {
		p.active++
		p.blocked[0] <- l
		p.blocked, l = p.blocked[1:], nil
	}
	if l != nil && h.idle < idleTotal {
		l.idle = now
		p.idle = append(p.idle, l)
		h.idle++
		l = nil
	}
	free := p.unparkable()
	h.mu.Unlock()
	h.unpark(free)
	for _, l := range []*link{spent, l} {
		if l != nil {
			l.Close()
		}
	}
}

// unparkable takes as many waiting messages as there are slots free.
func (p *hop) unparkable() []item {
	n := min(max(p.window-p.active, 0), len(p.parked))
	if p.why != nil {
		n = len(p.parked)
	}
	free := p.parked[:n:n]
	p.parked = p.parked[n:]
	return free
}

// park lets a message wait by name until the next hop has a slot.
func (h *hops) park(key string, it item) {
	h.mu.Lock()
	p := h.get(key, min(firstWindow, h.limit), h.limit)
	p.parked = append(p.parked, it)
	free := p.unparkable()
	h.mu.Unlock()
	h.unpark(free)
}

// fail makes a next hop dead. began is when the attempt began that found it so: the time counts from there, so that
// the next attempt of the same message finds the next hop alive, but half of it is always left.
func (h *hops) fail(p *hop, why *status.Status, began time.Time) {
	h.mu.Lock()
	now := h.now()
	until := began.Add(h.dead)
	if least := now.Add(h.dead / 2); until.Before(least) {
		until = least
	}
	if p.key == agentKey { // nothing is easier to try again
		until = now.Add(agentRest)
	}
	first := p.deadAt(now) == nil
	p.why, p.until, p.window = why, until, min(firstWindow, p.limit)
	if h.forGood {
		p.until = time.Time{}
	}
	h.mu.Unlock()
	if first && p.key != agentKey { // of the sessions that were tried at once
		h.others.failed(p.key, until, why)
	}
}

// revive forgets that next hops are dead, here and in the spool.
func (h *hops) revive() {
	h.mu.Lock()
	for _, p := range h.by {
		p.why = nil
	}
	h.mu.Unlock()
	h.others.forget()
}

// sweep closes sessions that have waited for long enough, forgets next hops of which there is nothing to know, and
// lets messages go on that wait for a next hop which nobody uses: those before them had left the spool meanwhile.
func (h *hops) sweep(now time.Time) {
	var closing []*link
	var free []item
	h.mu.Lock()
	for key, p := range h.by {
		if p.active == 0 {
			free = append(free, p.unparkable()...)
		}
		keep := p.idle[:0]
		for _, l := range p.idle {
			if now.Sub(l.idle) > idleMax {
				closing = append(closing, l)
			} else {
				keep = append(keep, l)
			}
		}
		clear(p.idle[len(keep):])
		p.idle = keep
		if p.active+len(p.idle)+len(p.blocked)+len(p.parked) == 0 && p.deadAt(now) == nil {
			delete(h.by, key)
		}
	}
	h.idle -= len(closing)
	h.mu.Unlock()
	h.unpark(free)
	for _, l := range closing {
		l.Close()
	}
}

// close ends all idle sessions.
func (h *hops) close() { h.sweep(h.now().Add(time.Hour)) }
