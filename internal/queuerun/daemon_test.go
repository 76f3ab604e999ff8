package queuerun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postrider/internal/status"
	"postrider/queue"
)

// daemon starts a daemon on a real spool; stop ends it.
func (b *bench) daemon() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Daemon(ctx, time.Hour) }()
	return func() {
		b.t.Helper()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				b.t.Error(err)
			}
		case <-time.After(5 * time.Second):
			b.t.Error("the daemon does not end")
		}
	}
}

// realBench has a spool on the real file system and the real clock.
func realBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, nil)
	spool, err := queue.Open(t.TempDir(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.use(spool)
	b.clock.now = time.Now()
	b.Now, b.Sleep = time.Now, nil
	return b
}

func (b *bench) eventually(what string, cond func() bool) {
	b.t.Helper()
	for end := time.Now().Add(5 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not seen: %s", what)
		}
	}
}

func TestDaemonDeliversWhatIsThereAndWhatArrives(t *testing.T) {
	b := realBench(t)
	b.submit("early", "a@x.test")
	stop := b.daemon()
	b.eventually("early", func() bool { return b.world.count("a@x.test early") == 1 })
	for i := range 300 { // more than a lane holds
		b.submit(fmt.Sprint(i), "a@x.test")
	}
	b.eventually("the others", func() bool { n, err := b.spool.Count(queue.New | queue.Cur); return n == 0 && err == nil })
	stop()
	for i := range 300 {
		if n := b.world.count(fmt.Sprint("a@x.test ", i)); n != 1 {
			t.Errorf("message %d delivered %d times", i, n)
		}
	}
}

func TestDaemonTriesAgainWhenItIsDue(t *testing.T) {
	b := realBench(t)
	b.Config.Queue.RetryMin = time.Second
	n := 0
	b.world.hook = func() {
		if n++; n == 1 {
			b.world.refuse["a@x.test"] = refusal(450, status.Code{4, 2, 0}, "later")
		} else {
			delete(b.world.refuse, "a@x.test")
		}
	}
	stop := b.daemon()
	b.submit("hello", "a@x.test")
	b.eventually("the second attempt", func() bool { return b.world.count("a@x.test hello") == 1 })
	stop()
	b.wantEmpty()
}

func TestRescanTriesDeadHopsAgain(t *testing.T) {
	b := realBench(t)
	b.world.connect["mx.x.test"] = outage(status.Code{4, 4, 1}, "connection refused")
	stop := b.daemon()
	id := b.submit("hello", "a@x.test")
	b.eventually("a deferral", func() bool { e, err := b.spool.Find(id); return err == nil && e.State == queue.Cur })
	b.world.mu.Lock()
	delete(b.world.connect, "mx.x.test")
	b.world.mu.Unlock()
	b.eventually("the delivery", func() bool {
		if e, err := b.spool.Find(id); err == nil && e.Due.After(time.Now()) {
			if c, err := b.spool.Claim(e); err == nil {
				c.Release() // due now, but its next hop is dead until the rescan
			}
		}
		b.Rescan()
		return b.world.count("a@x.test hello") == 1
	})
	stop()
}

func TestOneDaemonPerSpool(t *testing.T) {
	b := realBench(t)
	stop := b.daemon()
	b.eventually("the lock", b.spool.Running)
	err := (&Runner{Spool: b.spool, Config: settings(), Router: b.world, Sleep: func(context.Context, time.Duration) {}}).Daemon(context.Background(), 0)
	if !errors.Is(err, queue.ErrRunning) || status.From(err).Exit() != status.ExitTempFail {
		t.Errorf("%v", err)
	}
	stop()
	if b.spool.Running() {
		t.Error("the lock is still held")
	}
}

func TestSomebodyCleansTheSpool(t *testing.T) {
	b := realBench(t)
	debris := filepath.Join(b.spool.Root(), "tmp", "0123456789ABCAAAA")
	gone := func() bool { _, err := os.Stat(debris); return errors.Is(err, fs.ErrNotExist) }
	litter := func() {
		t.Helper()
		old := time.Now().Add(-48 * time.Hour)
		if err := errors.Join(os.WriteFile(debris, nil, 0o600), os.Chtimes(debris, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	litter()
	b.Random = func() float64 { return 0.5 }
	if b.run(Selection{}); gone() {
		t.Error("each run cleans")
	}
	b.Random = func() float64 { return 0 }
	if b.run(Selection{IDs: []queue.ID{"0123456789ABCAAAA"}}); gone() {
		t.Error("a run for one message cleans")
	}
	if b.run(Selection{}); !gone() {
		t.Error("no run cleans")
	}
	litter()
	stop := b.daemon()
	b.eventually("cleaning by the daemon", gone)
	stop()
}

func TestScansKeepTheirDistance(t *testing.T) {
	clk := newClock()
	d := &daemon{run: &run{Runner: &Runner{Now: clk.Now}}, interval: time.Hour, full: clk.Now().Add(time.Hour)}
	now := clk.Now()
	for _, tc := range []struct {
		name  string
		set   func()
		scan  bool
		pause time.Duration
	}{
		{"nothing is due", func() {}, false, time.Hour},
		{"something will be", func() { d.soonest(now.Add(time.Minute)) }, false, time.Minute},
		{"something earlier will be", func() { d.soonest(now.Add(time.Second)); d.soonest(now.Add(2 * time.Minute)) }, false, time.Second},
		{"something is", func() { d.soonest(now) }, true, time.Millisecond},
		{"but a scan has just been", func() { d.quiet = now.Add(3 * time.Second) }, false, 3 * time.Second},
		{"something was missed, a scan is under way", func() { d.quiet, d.missed, d.scanning = now, true, true }, false, time.Hour},
		{"and is over", func() { d.scanning = false }, true, time.Millisecond},
	} {
		tc.set()
		if d.wantsScan() != tc.scan || d.pause() != tc.pause {
			t.Errorf("%s: scan %v, pause %v", tc.name, d.wantsScan(), d.pause())
		}
	}
}
