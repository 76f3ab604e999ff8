package queuerun

import (
	"sync"
	"time"

	"postrider/queue"
)

const (
	laneSize  = 256    // messages that a scan is ahead of the workers
	parkedMax = 20_000 // messages that wait for busy next hops, by name
)

// item is a message to attempt.
type item struct {
	queue.Entry
	ours  bool      // a report that this run has made
	began time.Time // when the attempt began that is to go on; zero: a new one is to begin
}

// The lanes of work: messages that were never attempted, and the others.
const (
	freshLane = iota
	dueLane
	lanes
)

// work hands messages to the workers. Those that waited for their next hop come first; then the lanes take turns, so
// that neither new mail nor old waits for the other. It keeps a bounded number of messages, and knows those that wait
// for their next hop: a scan that finds them again brings nothing new.
type work struct {
	mu      sync.Mutex
	changed sync.Cond
	ready   []item
	lane    [lanes][]item
	turn    int
	waiting map[queue.ID]bool // messages that wait for their next hop
	room    int               // how many may
	busy    int               // workers that have an item
	retries int               // those of them that have one which was attempted before
	most    int               // how many these may be, so that hosts which are down hold up no new mail; 0: all
	closed  bool              // nothing will be put into a lane any more
	stopped bool              // nothing will be handed out any more

	// With more, a message for which there is no room is left to be found in the spool again, and more is called, once,
	// when there is room. Without it, nothing else is handed out until there is: whoever makes a single run finds no
	// message twice.
	more func()
	left bool
}

func newWork() *work {
	w := &work{waiting: map[queue.ID]bool{}, room: parkedMax}
	w.changed.L = &w.mu
	return w
}

// put waits until there is room in a lane. It is false when the work has stopped.
func (w *work) put(lane int, it item) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.lane[lane]) >= laneSize && !w.stopped {
		w.changed.Wait()
	}
	return w.add(lane, it)
}

// offer is put without waiting.
func (w *work) offer(lane int, it item) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting[it.ID] || len(w.lane[lane]) < laneSize && w.add(lane, it)
}

func (w *work) add(lane int, it item) bool {
	if w.stopped {
		return false
	}
	if !w.waiting[it.ID] {
		w.lane[lane] = append(w.lane[lane], it)
		w.changed.Broadcast()
	}
	return true
}

// prefer hands out items before all others. They wait for no next hop any more.
func (w *work) prefer(items []item) {
	if len(items) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, it := range items {
		delete(w.waiting, it.ID)
	}
	w.ready = append(w.ready, items...)
	w.changed.Broadcast()
	if w.left && len(w.waiting) <= w.room/2 {
		w.left = false
		w.more()
	}
}

// park notes a message that is going to wait for its next hop. It is false when it waits already, or when there is no
// room for it.
func (w *work) park(id queue.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting[id] {
		return false
	}
	if w.left = w.left || w.more != nil && len(w.waiting) >= w.room; w.left {
		return false
	}
	w.waiting[id] = true
	return true
}

// get waits for an item. It is false when there is none and none will come. Whoever has an item must call done.
func (w *work) get() (item, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.stopped {
		if it, ok := w.next(); ok {
			w.busy++
			if it.State != queue.New {
				w.retries++
			}
			return it, true
		}
		if w.closed && w.busy+len(w.waiting)+len(w.lane[freshLane])+len(w.lane[dueLane]) == 0 {
			break
		}
		w.changed.Wait()
	}
	return item{}, false
}

func (w *work) next() (it item, ok bool) {
	if len(w.ready) > 0 {
		it, w.ready = w.ready[0], w.ready[1:]
		return it, true
	}
	if w.more == nil && len(w.waiting) >= w.room {
		return it, false
	}
	for range lanes {
		w.turn = (w.turn + 1) % lanes
		if w.turn == dueLane && w.most > 0 && w.retries >= w.most {
			continue
		}
		if l := w.lane[w.turn]; len(l) > 0 {
			if len(l) == laneSize/2 { // whoever waits for room
				w.changed.Broadcast()
			}
			it, w.lane[w.turn] = l[0], l[1:]
			return it, true
		}
	}
	return it, false
}

func (w *work) done(it item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	if it.State != queue.New {
		w.retries--
	}
	if w.busy == 0 || w.most > 0 {
		w.changed.Broadcast()
	}
}

// close tells that the lanes get nothing more.
func (w *work) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.changed.Broadcast()
}

// stop hands out nothing more.
func (w *work) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.changed.Broadcast()
}
