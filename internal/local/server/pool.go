package server

import (
	"sync"
	"time"
)

const (
	// keepIdle is how long a child without work is kept: mail often comes in bursts.
	keepIdle = 10 * time.Second
	// idlePerSlot bounds how many are kept, by how many may work. A user can have two, with the group mail and without.
	idlePerSlot = 10
)

// pool keeps the children that are idle, for the next delivery to their user.
type pool struct {
	args []string // of a child
	most int      // idle ones

	mu     sync.Mutex
	idle   map[string][]*worker
	order  []*worker // the idle ones, the longest idle first
	timer  *time.Timer
	closed bool
}

func newPool(args []string, most int) *pool {
	return &pool{args: args, most: most, idle: map[string][]*worker{}}
}

// get takes an idle child of a user, or starts one.
func (p *pool) get(id identity) (w *worker, fresh bool, err error) {
	key := id.key()
	p.mu.Lock()
	for len(p.idle[key]) > 0 {
		list := p.idle[key]
		w := list[len(list)-1]
		p.forget(w)
		if w.alive() {
			p.mu.Unlock()
			return w, false, nil
		}
		w.conn.Close()
	}
	p.mu.Unlock()
	w, err = start(id, p.args)
	return w, true, err
}

// forget takes w out of the idle ones.
func (p *pool) forget(w *worker) {
	p.order = without(p.order, w)
	if list := without(p.idle[w.key], w); len(list) > 0 {
		p.idle[w.key] = list
	} else {
		delete(p.idle, w.key)
	}
}

func without(list []*worker, w *worker) []*worker {
	for i, x := range list {
		if x == w {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}

// put gives a child back, for others to use. When there are enough it is this one that goes: if it were the one that has
// been idle longest, and mail came for more users in turn, none would ever be there when it is wanted.
func (p *pool) put(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.order) >= p.most {
		w.stop()
		return
	}
	w.idle = time.Now()
	p.idle[w.key] = append(p.idle[w.key], w)
	p.order = append(p.order, w)
	if p.timer == nil {
		p.timer = time.AfterFunc(keepIdle, p.reap)
	}
}

func (p *pool) drop(w *worker) {
	p.forget(w)
	w.stop()
}

// reap ends the children that have been idle for long.
func (p *pool) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.order) > 0 && time.Since(p.order[0].idle) >= keepIdle {
		p.drop(p.order[0])
	}
	if p.timer = nil; len(p.order) > 0 {
		p.timer = time.AfterFunc(keepIdle-time.Since(p.order[0].idle), p.reap)
	}
}

// close ends all that are idle, and those that come back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for len(p.order) > 0 {
		p.drop(p.order[0])
	}
	if p.timer != nil {
		p.timer.Stop()
	}
}
