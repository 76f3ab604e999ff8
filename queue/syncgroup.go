package queue

import (
	"sync"

	"postrider/internal/fsys"
)

// syncGroup shares directory syncs: whoever asks while one is under way waits for the next, and all who wait
// share that one. A sync that had begun before a caller's rename may have missed it and does not count.
type syncGroup struct {
	fs fsys.FS
	mu sync.Mutex
	by map[string]*dirSync
}

type dirSync struct {
	cond    *sync.Cond
	running bool
	started uint64 // syncs begun
	done    uint64 // syncs ended
	failed  map[uint64]error
	waiting int
}

// sync makes the names in dir durable that are there now.
func (g *syncGroup) sync(dir string) error {
	r := g.ask(dir)
	return r.wait()
}

// syncRequest is what one caller asked for: a sync of dir that begins after he has. It must be waited for, once.
type syncRequest struct {
	g    *syncGroup
	d    *dirSync
	dir  string
	want uint64
}

func (g *syncGroup) ask(dir string) syncRequest {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil {
		g.by = map[string]*dirSync{}
	}
	d := g.by[dir]
	if d == nil {
		d = &dirSync{cond: sync.NewCond(&g.mu), failed: map[uint64]error{}}
		g.by[dir] = d
	}
	d.waiting++
	return syncRequest{g, d, dir, d.started + 1}
}

// begin has the sync made while the caller does something else. Nothing is begun while another is under way: that one's
// end is early enough.
func (r *syncRequest) begin() {
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	if !r.d.running {
		r.d.running = true
		go func() {
			r.g.mu.Lock()
			defer r.g.mu.Unlock()
			r.g.run(r.d, r.dir)
		}()
	}
}

// wait is until the sync has been made, by whomever.
func (r *syncRequest) wait() error {
	g, d := r.g, r.d
	g.mu.Lock()
	defer g.mu.Unlock()
	for d.done < r.want {
		if d.running {
			d.cond.Wait()
			continue
		}
		d.running = true
		g.run(d, r.dir)
	}
	err := d.failed[r.want]
	if d.waiting--; d.waiting == 0 {
		clear(d.failed)
	}
	return err
}

// run does one sync with the lock released meanwhile. d.running is taken.
func (g *syncGroup) run(d *dirSync, dir string) {
	d.started++
	n := d.started
	g.mu.Unlock()
	err := g.fs.SyncDir(dir)
	g.mu.Lock()
	d.running = false
	d.done = n
	if err != nil {
		d.failed[n] = err
	}
	d.cond.Broadcast()
}
