package policy

import (
	"net/netip"
	"sync"
	"testing"
	"time"
)

func at(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}) }

func TestClientsAreForgottenWhenThereAreTooMany(t *testing.T) {
	clock := time.Unix(1e9, 0)
	table := newClients(func() time.Time { return clock }, 10)
	busy, _ := table.enter(at(9999))
	table.count(busy, messages)
	for n := range 100 {
		c, _ := table.enter(at(n))
		table.count(c, messages)
		table.leave(c)
	}
	if len(table.byKey) != 11 || table.idle.Len() != 10 {
		t.Errorf("%d clients, %d of them idle", len(table.byKey), table.idle.Len())
	}
	if c, n := table.enter(at(9999)); c != busy || n != 2 || table.counted(c, messages) != 1 {
		t.Error("one with a session was forgotten")
	}
	if c, _ := table.enter(at(99)); table.counted(c, messages) != 1 {
		t.Error("the last one was forgotten")
	}
	clock = clock.Add(2 * idleTime)
	for n := range 5 {
		c, _ := table.enter(at(1000 + n))
		table.leave(c)
	}
	if table.idle.Len() != 5 {
		t.Errorf("%d idle clients, though all but five have done nothing for long", table.idle.Len())
	}
}

func TestWindow(t *testing.T) {
	start := time.Unix(0, 0).Add(1000 * time.Minute)
	var w window
	for i, c := range []struct {
		at   time.Duration
		want int
	}{
		{0, 1}, {30 * time.Second, 2}, {60 * time.Second, 3}, {90 * time.Second, 3}, {119 * time.Second, 3}, // two of the first minute fade away
		{120 * time.Second, 4}, {5 * time.Minute, 1}, {0, 1},
	} {
		now := start.Add(c.at)
		w.turn(now, time.Minute)
		w.cur++
		if got := w.sum(now, time.Minute); got != c.want {
			t.Errorf("%d: after %v: %d, want %d", i, c.at, got, c.want)
		}
	}
}

func TestCache(t *testing.T) {
	clock := time.Unix(1e9, 0)
	c := newCache[int, string](func() time.Time { return clock }, 3)
	for i := range 5 {
		c.put(i, "v", time.Minute)
	}
	c.put(4, "w", time.Minute)
	if _, ok := c.get(1); ok || len(c.byKey) != 3 || c.order.Len() != 3 {
		t.Errorf("%d values", len(c.byKey))
	}
	if v, ok := c.get(4); !ok || v != "w" {
		t.Error(v, ok)
	}
	clock = clock.Add(time.Minute)
	if _, ok := c.get(4); ok || len(c.byKey) != 2 {
		t.Error("kept too long")
	}
}

func TestCountsOfManySessionsAtOnce(t *testing.T) {
	table := newClients(time.Now, 4)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 1000 {
				c, _ := table.enter(at(n % (g + 2)))
				table.count(c, counter(n%int(counterCount)))
				table.leave(c)
			}
		})
	}
	all.Wait()
	if len(table.byKey) != table.idle.Len() || len(table.byKey) > 4 {
		t.Errorf("%d clients, %d idle", len(table.byKey), table.idle.Len())
	}
	for _, c := range table.byKey {
		if c.sessions != 0 {
			t.Errorf("%d sessions are left", c.sessions)
		}
	}
}
