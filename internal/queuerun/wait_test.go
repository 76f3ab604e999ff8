package queuerun

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

func TestWaitingMessagesAreKept(t *testing.T) {
	w := newWork()
	a, b, c := item{Entry: queue.Entry{ID: "a"}}, item{Entry: queue.Entry{ID: "b"}}, item{Entry: queue.Entry{ID: "c"}}
	if !w.park("a") || w.park("a") {
		t.Error("a message waits twice, or not at all")
	}
	if !w.put(freshLane, a) || !w.offer(freshLane, a) || len(w.lane[freshLane]) != 0 {
		t.Error("a waiting message is handed out")
	}
	w.room = 2
	w.park("b")
	w.put(freshLane, c)
	if it, ok := w.next(); ok {
		t.Errorf("%v was handed out although there is no room for another", it)
	}
	w.prefer([]item{a})
	for _, want := range []queue.ID{"a", "c"} {
		if it, ok := w.next(); !ok || it.ID != want {
			t.Errorf("%v, want %s", it, want)
		}
	}
	w.prefer([]item{b})
	if w.next(); len(w.waiting) != 0 {
		t.Errorf("waiting: %v", w.waiting)
	}
}

func TestMessagesWithoutRoomAreLeftInTheSpool(t *testing.T) {
	w := newWork()
	again := 0
	w.room, w.more = 4, func() { again++ }
	items := make([]item, 6)
	for i := range items {
		items[i].ID = queue.ID(fmt.Sprint(i))
		if got, want := w.park(items[i].ID), i < 4; got != want {
			t.Errorf("message %d waits: %v", i, got)
		}
	}
	w.put(freshLane, item{Entry: queue.Entry{ID: "x"}})
	if it, ok := w.next(); !ok || it.ID != "x" {
		t.Error("others do not go on")
	}
	w.prefer(items[:1])
	if again != 0 || w.park("y") {
		t.Error("room for one is room enough")
	}
	if w.prefer(items[1:2]); again != 1 || !w.park("y") {
		t.Errorf("asked for more %d times", again)
	}
	w.prefer(items[2:4])
	if again != 1 {
		t.Errorf("asked for more %d times", again)
	}
}

func TestRetriesLeaveSomeWorkersToNewMail(t *testing.T) {
	w := newWork()
	w.most = 2
	for _, id := range []queue.ID{"a", "b", "c", "d"} {
		w.put(dueLane, item{Entry: queue.Entry{ID: id, State: queue.Cur}})
	}
	first, _ := w.get()
	w.get()
	w.put(freshLane, item{Entry: queue.Entry{ID: "new", State: queue.New}})
	if it, ok := w.get(); !ok || it.ID != "new" {
		t.Errorf("%v instead of new mail", it)
	}
	if it, ok := w.next(); ok {
		t.Errorf("%v takes the last worker", it)
	}
	w.done(first)
	if it, ok := w.get(); !ok || it.ID != "c" {
		t.Errorf("%v after one has ended", it)
	}
}

// gated makes a host wait for the gate before it takes anything.
func (b *bench) gated(name string) (open func()) {
	gate := make(chan bool)
	b.world.send = func(p *peer, m smtp.Message) (smtp.Result, error) {
		if p.name == name {
			<-gate
		}
		return p.accept(m), nil
	}
	return func() { close(gate) }
}

func TestBusyNextHopHoldsUpOnlyItsRecipients(t *testing.T) {
	b := newBench(t, nil)
	b.Config.Queue.Concurrency, b.Config.Queue.HostConcurrency = 4, 2
	open := b.gated("mx.slow.test")
	for i := range 20 {
		b.submit(fmt.Sprint(i), "a@slow.test", "b@quick.test", "c@slow.test")
	}
	b.submit("last", "a@other.test")
	var all sync.WaitGroup
	all.Go(func() { b.run(Selection{All: true}) })
	b.eventually("all but the two that are at the slow host first", func() bool {
		n := b.world.count("a@other.test last")
		for i := range 20 {
			n += b.world.count(fmt.Sprint("b@quick.test ", i))
		}
		return n >= 19
	})
	open()
	all.Wait()
	want := map[string]int{"a@other.test last": 1}
	for i := range 20 {
		for _, rcpt := range []string{"a@slow.test", "b@quick.test", "c@slow.test"} {
			want[fmt.Sprint(rcpt, " ", i)] = 1
		}
	}
	b.want(want)
	b.wantEmpty()
}

func TestAttemptGoesOnWhereItWaited(t *testing.T) {
	b := newBench(t, nil)
	b.Config.Queue.HostConcurrency = 1
	b.world.refuse["b@quick.test"] = refusal(450, status.Code{4, 2, 0}, "later")
	b.world.refuse["u@quick.test"] = refusal(550, status.Code{5, 1, 1}, "no")
	id := b.submit("hello", "a@slow.test", "b@quick.test", "u@quick.test", "c@quick.test")
	b.setup()
	n, end := b.newRun(context.Background(), Selection{All: true}, patience)
	defer end()
	n.hops.patience = 0
	busy, err := n.hops.enter(n.ctx, "mx:slow.test", false)
	if err != nil {
		t.Fatal(err)
	}
	n.feed()
	next := func() {
		t.Helper()
		it, ok := n.work.get()
		if !ok {
			t.Fatal("no message is left")
		}
		n.attempt(it)
		n.work.done(it)
	}
	next()
	b.want(map[string]int{"c@quick.test hello": 1})
	m := b.message() // nothing is reported before the attempt is over
	if m.Busy || !n.work.waiting[id] || !m.History.Done(2) || !m.History.Done(3) || n.result.Messages != 0 {
		t.Errorf("%+v, waiting: %v", m, n.work.waiting)
	}
	b.clock.add(time.Minute)
	n.hops.leave(busy, true)
	next()
	if n.result.Messages != 1 || n.result.Deferred != 1 || len(b.world.sent) != 2 {
		t.Errorf("%+v, %d transactions", n.result, len(b.world.sent))
	}
	next() // the report
	b.want(map[string]int{"a@slow.test hello": 1, "c@quick.test hello": 1, "sender@here.test report": 1})
	m = b.message()
	if m.State != queue.Cur || m.History.Attempts() != 1 || !m.Due.Equal(b.clock.Now().Add(4*time.Minute)) {
		t.Errorf("%d attempts, due %v: %+v", m.History.Attempts(), m.Due, m.History.Events())
	}
}
