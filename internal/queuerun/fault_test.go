package queuerun

import (
	"context"
	"fmt"
	"maps"
	"math/rand"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// scenario queues a message with recipients at two next hops, in a mailbox and nowhere, one that has to wait at
// first, and a message with a single recipient.
func scenario(b *bench) {
	b.Config.Queue.Concurrency = 1
	b.submit("hello", "a@x.test", "b@x.test", "c@y.test", "d@local.test", "u@refused.test", "e@z.test")
	b.submit("other", "a@x.test")
	b.world.connect["mx.z.test"] = outage(status.Code{4, 4, 1}, "connection refused")
}

const theReport = "sender@here.test report"

// scenarioWant is what the scenario delivers in the end, and how often.
var scenarioWant = map[string]int{
	"a@x.test hello": 1, "b@x.test hello": 1, "c@y.test hello": 1, "d@local.test hello": 1, "e@z.test hello": 1,
	"a@x.test other": 1, theReport: 1,
}

// struck makes the run that something happens to; errors are expected.
func (b *bench) struck() {
	b.Run(context.Background(), Selection{})
}

// drain runs the queue with everything in order until it is empty.
func (b *bench) drain() {
	b.t.Helper()
	delete(b.world.connect, "mx.z.test")
	for range 4 {
		b.clock.add(10 * time.Minute)
		b.run(Selection{})
	}
	b.wantEmpty()
}

func scenarioOps(t *testing.T) int {
	disk := newDisk(newClock())
	b := newBench(t, disk)
	scenario(b)
	before := len(disk.Ops())
	b.struck()
	n := len(disk.Ops()) - before
	b.drain()
	b.want(scenarioWant)
	return n
}

func TestEachOperationFails(t *testing.T) {
	ops := scenarioOps(t)
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO, syscall.EDQUOT, syscall.EMFILE, fsys.ErrShort} {
		for _, times := range []int{1, 4} {
			t.Run(fmt.Sprintf("%v,%d", cause, times), func(t *testing.T) {
				for n := 1; n <= ops+8; n++ {
					faulty := fsys.NewFaulty(newDisk(newClock()))
					b := newBench(t, faulty)
					scenario(b)
					faulty.FailAt(n, times, cause, nil)
					b.struck()
					faulty.FailAt(0, 0, nil, nil)
					b.drain()
					want := maps.Clone(scenarioWant)
					if times > 1 && b.world.count(theReport) == 2 {
						want[theReport] = 2 // its commit failed, and so did taking it back
					}
					b.want(want)
					if t.Failed() {
						t.Fatalf("operation %d of %d", n, ops)
					}
				}
			})
		}
	}
}

func TestPowerIsCutAfterEachOperation(t *testing.T) {
	ops := scenarioOps(t)
	for _, how := range []struct {
		name  string
		how   fsys.Survival
		seeds int64
	}{{"strict", fsys.Strict, 1}, {"loose", fsys.Loose, 1}, {"zeros", fsys.Zeros, 1}, {"random", fsys.Random, 4}} {
		t.Run(how.name, func(t *testing.T) {
			for n := range ops + 1 {
				for seed := range how.seeds {
					cutPower(t, n, how.how, rand.New(rand.NewSource(seed)))
					if t.Failed() {
						t.Fatalf("power cut after operation %d of %d", n, ops)
					}
				}
			}
		})
	}
}

// cutPower cuts the power after n operations of a run. What was delivered in a transaction that others of the same
// message followed was recorded, and must not come again; what the power cut met may come once more; nothing may
// fail to come.
func cutPower(t *testing.T, n int, how fsys.Survival, rnd *rand.Rand) {
	disk := newDisk(newClock())
	b := newBench(t, disk)
	scenario(b)
	sure := map[string]int{}
	b.world.hook = func() {
		for key, n := range b.world.delivered {
			if strings.HasSuffix(key, " hello") {
				sure[key] = n
			}
		}
	}
	disk.CutAfter(n)
	b.struck()
	b.world.hook = nil
	once := maps.Clone(b.world.delivered)
	b.open(disk.Reboot(how, rnd))
	b.Config.Queue.Concurrency = 1
	b.drain()
	for key := range scenarioWant {
		got, most := b.world.count(key), 1
		if once[key] > 0 && sure[key] == 0 {
			most = 2
		}
		if got < 1 || got > most {
			t.Errorf("%q delivered %d times, want 1 to %d", key, got, most)
		}
	}
}
