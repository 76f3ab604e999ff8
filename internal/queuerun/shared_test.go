package queuerun

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
	"postrider/queue"
)

const deadKey = "mx:x.test"

// foundDown is a bench whose run has found the hosts of x.test down.
func foundDown(t *testing.T, fs fsys.FS) *bench {
	t.Helper()
	b := newBench(t, fs)
	b.world.connect["mx.x.test"] = outage(status.Code{4, 4, 1}, "cannot connect: connection refused")
	b.submit("first", "a@x.test")
	b.run(Selection{})
	return b
}

// anew makes a runner as another process would have.
func (b *bench) anew() {
	config := b.Config
	b.use(b.spool)
	b.Config = config
	b.world.dials = nil
	b.clock.add(time.Second)
}

func TestOthersHeedWhatARunFoundDead(t *testing.T) {
	b := foundDown(t, nil)
	first := b.message()
	if h, ok := b.spool.Host(deadKey); !ok || h.Relay != "mx.x.test (192.0.2.1:25)" || h.Text != "cannot connect: connection refused" {
		t.Errorf("noted: %+v", h)
	}
	for i := range 3 {
		b.anew()
		id := b.submit(fmt.Sprint(i), "a@x.test")
		if res := b.run(Selection{IDs: []queue.ID{id}}); res.Deferred != 1 || len(b.world.dials) != 0 {
			t.Errorf("%d deferred, connections: %q", res.Deferred, b.world.dials)
		}
	}
	want, _ := first.History.Last(0)
	for _, m := range b.messages() {
		got, _ := m.History.Last(0)
		if got.Text != want.Text || got.Code != want.Code || got.Reply != want.Reply || m.State != queue.Cur {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	}
}

func TestWhoInsistsIsNotPutOff(t *testing.T) {
	for _, tc := range []struct {
		name string
		sel  Selection
		want int // connections
	}{
		{"a queue run heeds", Selection{}, 0},
		{"all are flushed", Selection{All: true}, 1},
		{"a filter", Selection{Filters: []Filter{{Recipient, false, "x.test"}}}, 1},
		{"somebody waits for the outcome", Selection{Insist: true}, 1},
		{"held messages are not there", Selection{Held: true}, 0},
	} {
		b := foundDown(t, nil)
		b.anew()
		b.submit("second", "b@x.test")
		b.Config.Queue.HostConcurrency = 1 // two messages at once would both connect
		b.run(tc.sel)
		if len(b.world.dials) != tc.want {
			t.Errorf("%s: connections %q", tc.name, b.world.dials)
		}
		if h, _ := b.spool.Host(deadKey); h.Failures != 1+tc.want {
			t.Errorf("%s: %d failures are noted", tc.name, h.Failures)
		}
	}
}

func TestSessionTakesTheNoteBack(t *testing.T) {
	b := foundDown(t, nil)
	delete(b.world.connect, "mx.x.test")
	b.anew()
	b.run(Selection{All: true})
	if h, ok := b.spool.Host(deadKey); ok {
		t.Errorf("noted: %+v", h)
	}
	b.want(map[string]int{"a@x.test first": 1})
}

func TestOwnNoteDoesNotPutOffTheNextAttempt(t *testing.T) {
	b := foundDown(t, nil)
	for _, chance := range []float64{0, 0.5, 0.99} {
		b.anew()
		b.Random = func() float64 { return chance }
		b.clock.add(b.message().Due.Sub(b.clock.Now()) + time.Second)
		b.run(Selection{})
		if len(b.world.dials) != 1 {
			t.Errorf("connections %q", b.world.dials)
		}
	}
}

func TestOnlyWhatCannotBeReachedIsNoted(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(w *world)
		want    bool
	}{
		{"no connection", func(w *world) { w.connect["mx.x.test"] = outage(status.Code{4, 4, 1}, "connection refused") }, true},
		{"a connection that broke off", func(w *world) { w.connect["mx.x.test"] = refusal(421, status.Code{4, 4, 2}, "session ended") }, true},
		{"a greeting that asks for patience", func(w *world) { w.connect["mx.x.test"] = refusal(421, status.Code{4, 3, 2}, "busy") }, false},
		{"a login that is refused", func(w *world) { w.connect["mx.x.test"] = refusal(454, status.Code{4, 7, 0}, "log in") }, false},
		{"a domain that takes no mail", func(w *world) { w.hosts["x.test"] = nil }, false},
		{"a message that has to wait", func(w *world) { w.refuse["a@x.test"] = refusal(450, status.Code{4, 2, 0}, "greylisted") }, false},
		{"a message that has to wait for its sender's net", func(w *world) { w.refuse["a@x.test"] = refusal(450, status.Code{4, 4, 1}, "no") }, false},
		{"a message that is taken", func(*world) {}, false},
	} {
		b := newBench(t, nil)
		tc.prepare(b.world)
		b.submit("hello", "a@x.test")
		b.run(Selection{})
		if h, ok := b.spool.Host(deadKey); ok != tc.want {
			t.Errorf("%s: noted %v, %+v", tc.name, ok, h)
		}
	}
}

func TestNotesThatCannotBeTrueAreNotHeeded(t *testing.T) {
	for _, tc := range []struct {
		name  string
		until time.Duration
		code  status.Code
		want  int // connections
	}{
		{"a sound one", time.Minute, status.Code{4, 4, 1}, 0},
		{"one that is over", 0, status.Code{4, 4, 1}, 1},
		{"one for longer than any run would set", time.Hour, status.Code{4, 4, 1}, 1},
		{"one with another reason", time.Minute, status.Code{5, 4, 1}, 1},
		{"one without a reason", time.Minute, status.Code{}, 1},
	} {
		b := newBench(t, nil)
		b.spool.FailHost(queue.Host{Name: deadKey, Until: b.clock.Now().Add(tc.until), Code: tc.code, Text: "no\nway"})
		b.submit("hello", "a@x.test")
		b.run(Selection{})
		if len(b.world.dials) != tc.want {
			t.Errorf("%s: connections %q", tc.name, b.world.dials)
		}
	}
}

func TestNotesThatCannotBeMadeHarmNobody(t *testing.T) {
	faulty := fsys.NewFaulty(newDisk(newClock()))
	hosts := func(op fsys.Op) bool {
		return slices.Contains([]string{"/spool/hosts", "/spool/hosts/" + deadKey}, op.Path)
	}
	b := newBench(t, faulty)
	faulty.FailAt(1, 1000, syscall.ENOSPC, hosts)
	b.world.connect["mx.x.test"] = outage(status.Code{4, 4, 1}, "connection refused")
	b.submit("hello", "a@x.test")
	if res := b.run(Selection{}); res.Deferred != 1 {
		t.Errorf("%d deferred", res.Deferred)
	}
	delete(b.world.connect, "mx.x.test")
	b.clock.add(time.Second)
	b.run(Selection{All: true})
	b.want(map[string]int{"a@x.test hello": 1})
	b.wantEmpty()
	if !faulty.Struck() {
		t.Error("nothing failed")
	}
}

func TestRescanForgetsTheNotes(t *testing.T) {
	b := foundDown(t, nil)
	n, end := b.newRun(t.Context(), Selection{}, patience)
	defer end()
	n.hops.revive()
	if h, ok := b.spool.Host(deadKey); ok {
		t.Errorf("noted: %+v", h)
	}
}
