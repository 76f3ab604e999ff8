package server

import (
	"testing"
	"time"
)

// idleWorker is a child that was never started.
func idleWorker(t *testing.T, key string) *worker {
	t.Helper()
	a, _ := pair(t)
	ended := make(chan struct{})
	close(ended)
	return &worker{key: key, conn: a, ended: ended}
}

func TestThePoolKeepsAFew(t *testing.T) {
	p := newPool(nil, 2)
	one, two, three := idleWorker(t, "1"), idleWorker(t, "2"), idleWorker(t, "3")
	for _, w := range []*worker{one, two, three} {
		p.put(w)
	}
	if len(p.order) != 2 || p.order[0] != one || p.order[1] != two || len(p.idle["3"]) != 0 {
		t.Errorf("%v", p.order)
	}
	if err := three.conn.SetDeadline(time.Time{}); err == nil {
		t.Error("the one too many was not ended")
	}
	one.idle = one.idle.Add(-2 * keepIdle)
	p.reap()
	if len(p.order) != 1 || p.order[0] != two || p.timer == nil {
		t.Errorf("after a while: %v", p.order)
	}
	p.close()
	if len(p.order)+len(p.idle) != 0 {
		t.Error("some are left")
	}
	p.put(idleWorker(t, "4"))
	if len(p.order) != 0 {
		t.Error("a closed pool keeps one")
	}
}

// A child that has died while it was idle is not used.
func TestThePoolForgetsTheDead(t *testing.T) {
	w := newWorld(t, nil, "alice")
	for range 3 {
		if got := w.send(letter, "<alice>"); got[0] != "250 2.0.0 delivered to mailbox" {
			t.Fatal(got)
		}
		for _, x := range w.server.pool.order {
			x.cmd.Process.Kill()
			<-x.ended
		}
	}
}
