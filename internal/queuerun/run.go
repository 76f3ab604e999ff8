package queuerun

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"postrider/internal/maillog"
	"postrider/internal/status"
	"postrider/queue"
)

const (
	grace     = 10 * time.Second // how long transactions go on after the end of the context
	patience  = time.Minute      // how long a single run asks the spool to take a record
	sweepTime = time.Second
	restMax   = 20_000 // messages that are left alone

	// cleanShare of the single runs clean the spool. Where there is a daemon it does; where there is none they are
	// the only ones, and each need not.
	cleanShare = 1.0 / 16
)

// Result is what a run did.
type Result struct {
	maillog.RunStats
	// Missing are messages asked for by ID that are not in the spool, or not any more.
	Missing []queue.ID
	// Exit is the exit status that expresses the first recipient that failed for good; 0 when none did. Those of a list
	// with an owner are the owner's affair.
	Exit int
}

// run is one run, or the life of a daemon.
type run struct {
	*Runner
	ctx      context.Context // when it ends nothing is begun
	grace    context.Context // when it ends everything is broken off
	sel      Selection
	started  time.Time
	patience time.Duration
	work     *work
	hops     *hops

	mu     sync.Mutex
	result Result
	rest   map[queue.ID]time.Time // messages that the spool gave trouble with, and until when they are left alone
}

// Run makes one queue run over the messages that are selected. It ends when each was attempted once, or when ctx
// does, and after the reports that it gave rise to. The error is the spool's: it could not be read.
func (r *Runner) Run(ctx context.Context, sel Selection) (Result, error) {
	r.setup()
	n, end := r.newRun(ctx, sel, patience)
	n.hops.forGood = true
	defer end()
	quiet := len(sel.IDs) > 0
	if !quiet {
		r.Log.RunStart("")
		if r.Random() < cleanShare {
			r.recover()
		}
	}
	wait := n.workers()
	err := n.feed()
	n.work.close()
	wait()
	n.result.Took = r.Now().Sub(n.started)
	if !quiet {
		r.Log.RunEnd(n.result.RunStats)
	}
	return n.result, err
}

// newRun prepares a run. end must be called.
func (r *Runner) newRun(ctx context.Context, sel Selection, patience time.Duration) (n *run, end func()) {
	g, cancel := graceful(ctx, grace)
	n = &run{Runner: r, ctx: ctx, grace: g, sel: sel, started: r.Now(), patience: patience, work: newWork(), rest: map[queue.ID]time.Time{}}
	total, dead := max(r.Config.Queue.Concurrency, 1), firstWait(r.Config.Queue)
	n.hops = &hops{
		now: r.Now, dead: dead, by: map[string]*hop{},
		limit:    min(max(r.Config.Queue.HostConcurrency, 1), max(total-total/5, 1)),
		others:   &shared{spool: r.Spool, now: r.Now, most: dead, heed: !sel.insists()},
		patience: shortWait, unpark: n.work.prefer,
	}
	sweeping, stopSweep := context.WithCancel(context.WithoutCancel(ctx))
	go n.sweep(sweeping)
	stopWork := context.AfterFunc(ctx, n.work.stop)
	return n, func() {
		stopWork()
		stopSweep()
		n.hops.close()
		cancel()
	}
}

func (n *run) sweep(ctx context.Context) {
	t := time.NewTicker(sweepTime)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			n.hops.sweep(n.Now())
		}
	}
}

// workers starts the workers; wait waits until all have ended.
func (n *run) workers() (wait func()) {
	count := max(n.Config.Queue.Concurrency, 1)
	if n.Dialogue != nil {
		count = 1
	}
	var all sync.WaitGroup
	for range count {
		all.Go(n.worker)
	}
	return all.Wait
}

func (n *run) worker() {
	for {
		it, ok := n.work.get()
		if !ok {
			return
		}
		if !n.resting(it.ID) {
			n.attempt(it)
		}
		n.work.done(it)
	}
}

// feed gives the workers what is selected.
func (n *run) feed() error {
	if len(n.sel.IDs) == 1 {
		return n.feedOne(n.sel.IDs[0])
	}
	var mu sync.Mutex
	missing := slices.Clone(n.sel.IDs)
	err := n.scan(n.sel.states(), func(e queue.Entry) {
		if len(n.sel.IDs) == 0 {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		missing = slices.DeleteFunc(missing, func(id queue.ID) bool { return id == e.ID })
	})
	n.count(func(s *Result) { s.Missing = missing })
	return err
}

// feedOne looks one message up instead of reading on when it is found.
func (n *run) feedOne(id queue.ID) error {
	e, err := n.Spool.Find(id)
	switch {
	case errors.Is(err, queue.ErrGone) || err == nil && e.State&n.sel.states() == 0:
		n.count(func(s *Result) { s.Missing = append(s.Missing, id) })
		return nil
	case err == nil && n.wanted(e):
		n.work.put(laneOf(e), item{Entry: e})
	}
	return err
}

func laneOf(e queue.Entry) int {
	if e.State == queue.New {
		return freshLane
	}
	return dueLane
}

// scan reads the directories, side by side, and gives the workers what is selected. It keeps nothing. seen is
// called, by several goroutines, with each message that is there.
func (n *run) scan(states queue.State, seen func(queue.Entry)) error {
	var all sync.WaitGroup
	var errs [3]error
	for i, state := range []queue.State{queue.New, queue.Cur, queue.Held} {
		if states&state != 0 {
			all.Go(func() { errs[i] = n.scanOne(state, seen) })
		}
	}
	all.Wait()
	return errors.Join(errs[:]...)
}

// errStopped ends a scan.
var errStopped = errors.New("stopped")

func (n *run) scanOne(state queue.State, seen func(queue.Entry)) error {
	err := n.Spool.Scan(state, func(e queue.Entry) error {
		seen(e)
		if n.wanted(e) && !n.work.put(laneOf(e), item{Entry: e}) {
			return errStopped
		}
		return nil
	})
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

func (n *run) due(t time.Time) bool { return isDue(n.Config.Queue, n.Now(), t) }

// wanted tells whether a message is selected.
func (n *run) wanted(e queue.Entry) bool {
	if !n.sel.byName(e, n.due) {
		return false
	}
	if !n.sel.reads() {
		return true
	}
	m, err := n.Spool.Read(e)
	if err != nil {
		return errors.Is(err, queue.ErrCorrupt) // claiming it puts it aside
	}
	return n.sel.byEnvelope(m)
}

// count changes the result.
func (n *run) count(change func(*Result)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.result)
}

// trouble logs that the spool failed for a message, which is then left alone for a while.
func (n *run) trouble(id queue.ID, what string, err error) {
	n.Log.Warning(string(id), what+": "+status.From(err).Error())
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.Now()
	if len(n.rest) >= restMax {
		clear(n.rest)
	}
	n.rest[id] = now.Add(n.Config.Queue.RetryMin)
}

func (n *run) resting(id queue.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.rest) == 0 {
		return false
	}
	until, ok := n.rest[id]
	if ok && !n.Now().Before(until) {
		delete(n.rest, id)
		return false
	}
	return ok
}

// graceful is a context that ends some time after ctx.
func graceful(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	g, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(grace, cancel)
		context.AfterFunc(g, func() { t.Stop() })
	})
	return g, func() { stop(); cancel() }
}
