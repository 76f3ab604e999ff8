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

func (g *syncGroup) sync(dir string) error {
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
	want := d.started + 1
	d.waiting++
	for d.done < want {
		if d.running {
			d.cond.Wait()
			continue
		}
		g.run(d, dir)
	}
	err := d.failed[want]
	if d.waiting--; d.waiting == 0 {
		clear(d.failed)
	}
	return err
}

// run does one sync with the lock released meanwhile.
func (g *syncGroup) run(d *dirSync, dir string) {
	d.running = true
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
