package queuerun

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"postrider/internal/smtp"
	"postrider/internal/status"
)

func newHops(clk *clock, limit int) (h *hops, freed *[]item) {
	freed = new([]item)
	var mu sync.Mutex
	unpark := func(i []item) {
		mu.Lock()
		defer mu.Unlock()
		*freed = append(*freed, i...)
	}
	return &hops{now: clk.Now, limit: limit, forGood: true, by: map[string]*hop{}, unpark: unpark}, freed
}

func enter(t *testing.T, h *hops) *slot {
	t.Helper()
	s, err := h.enter(context.Background(), "x", false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWindowGrowsWithSuccess(t *testing.T) {
	h, _ := newHops(newClock(), 4)
	for want := firstWindow; want < 6; want++ {
		var slots []*slot
		for {
			s, err := h.enter(context.Background(), "x", false)
			if err != nil {
				break
			}
			slots = append(slots, s)
		}
		if len(slots) != min(want, 4) {
			t.Errorf("%d slots, want %d", len(slots), min(want, 4))
		}
		for i, s := range slots {
			h.leave(s, i == 0)
		}
	}
}

func TestParkedMessagesGoOnAsSlotsBecomeFree(t *testing.T) {
	h, freed := newHops(newClock(), 2)
	a, b := enter(t, h), enter(t, h)
	for range 3 {
		if _, err := h.enter(context.Background(), "x", false); !errors.Is(err, errBusyHop) {
			t.Fatal(err)
		}
		h.park("x", item{})
	}
	if len(*freed) != 0 {
		t.Errorf("%d went on although there was no slot", len(*freed))
	}
	h.leave(a, true)
	if len(*freed) != 1 {
		t.Errorf("%d went on for one slot", len(*freed))
	}
	h.fail(b.hop, outage(status.Code{4, 4, 1}, "down"), h.now())
	h.leave(b, false)
	if len(*freed) != 3 {
		t.Errorf("%d went on when the next hop died", len(*freed))
	}
}

func TestSweepRescuesParkedMessages(t *testing.T) {
	clk := newClock()
	h, freed := newHops(clk, 1)
	h.park("x", item{})
	h.get("y", 1, 1).parked = []item{{}} // as when the message before it had left the spool
	h.sweep(clk.Now())
	if len(*freed) != 2 {
		t.Errorf("%d went on", len(*freed))
	}
}

func TestDeadHopLivesAgain(t *testing.T) {
	clk := newClock()
	h, _ := newHops(clk, 2)
	h.dead, h.forGood = time.Minute, false
	for _, tc := range []struct{ took, dead time.Duration }{
		{0, time.Minute},
		{20 * time.Second, 40 * time.Second},
		{time.Hour, 30 * time.Second},
	} {
		s := enter(t, h)
		began := clk.Now()
		clk.add(tc.took)
		h.fail(s.hop, outage(status.Code{4, 4, 1}, "down"), began)
		h.leave(s, false)
		clk.add(tc.dead - time.Second)
		if _, err := h.enter(context.Background(), "x", false); err == nil || err.Error() != "down" {
			t.Errorf("when it took %v: %v", tc.took, err)
		}
		clk.add(time.Second)
		h.leave(enter(t, h), false)
	}
}

func TestIdleSessions(t *testing.T) {
	clk, w := newClock(), newWorld()
	h, _ := newHops(clk, 2)
	open := func(s *slot) *peer {
		session, _ := w.dial(context.Background(), smtp.Target{Name: "x"}, smtp.Options{})
		s.link = &link{Session: session, opened: clk.Now()}
		return session.(*peer)
	}
	s := enter(t, h)
	p := open(s)
	h.leave(s, true)
	if s = enter(t, h); s.link == nil || s.link.Session != p {
		t.Error("the session was not kept")
	}
	h.leave(s, true)
	clk.add(idleMax + time.Second)
	h.sweep(clk.Now())
	if w.active["x"] != 0 || len(h.by) != 0 || h.idle != 0 {
		t.Error("an idle session was kept too long")
	}
	s = enter(t, h)
	open(s).broken = true
	h.leave(s, true)
	if w.active["x"] != 0 {
		t.Error("a broken session was kept")
	}
	s = enter(t, h)
	open(s)
	clk.add(sessionMax + time.Second)
	h.leave(s, true)
	if w.active["x"] != 0 {
		t.Error("an old session was kept")
	}
}

func TestAttemptWaitsForItsTurn(t *testing.T) {
	h, _ := newHops(newClock(), 1)
	h.patience = time.Hour
	s := enter(t, h)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		next, err := h.enter(context.Background(), "x", false)
		if err != nil {
			t.Error(err)
			return
		}
		h.leave(next, true)
	})
	for h.blocked("x") == 0 {
		time.Sleep(time.Millisecond)
	}
	h.leave(s, true)
	waiting.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	s = enter(t, h)
	cancel()
	if _, err := h.enter(ctx, "x", false); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	h.leave(s, true)
	if p := h.by["x"]; p.active != 0 || len(p.blocked) != 0 {
		t.Errorf("%+v", p)
	}
}

func (h *hops) blocked(key string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.by[key].blocked)
}

func TestHostConcurrencyIsKept(t *testing.T) {
	b := newBench(t, nil)
	b.Config.Queue.Concurrency, b.Config.Queue.HostConcurrency = 10, 3
	var all sync.WaitGroup
	gate := make(chan bool)
	b.world.send = func(p *peer, m smtp.Message) (smtp.Result, error) {
		if p.name == "mx.slow.test" {
			<-gate
		}
		return p.accept(m), nil
	}
	for i := range 40 {
		b.submit(fmt.Sprint(i), "a@slow.test")
	}
	for i := range 10 {
		b.submit(fmt.Sprint("quick", i), "a@quick.test")
	}
	all.Go(func() { b.run(Selection{}) })
	for i := range 10 { // the quick host is served although the slow one has a backlog
		for b.world.count(fmt.Sprint("a@quick.test quick", i)) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	close(gate)
	all.Wait()
	if n := b.world.most["mx.slow.test"]; n > 3 {
		t.Errorf("%d sessions", n)
	}
	for i := range 40 {
		if n := b.world.count(fmt.Sprint("a@slow.test ", i)); n != 1 {
			t.Errorf("message %d delivered %d times", i, n)
		}
	}
	b.wantEmpty()
}

func TestGraceEndsAfterTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	g, stop := graceful(ctx, 10*time.Millisecond)
	defer stop()
	cancel()
	if g.Err() != nil {
		t.Error("it ended at once")
	}
	select {
	case <-g.Done():
	case <-time.After(5 * time.Second):
		t.Error("it does not end")
	}
}
