package queuerun

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"postrider/internal/status"
	"postrider/queue"
)

const (
	// lockTries and lockWait are for a lock that somebody has only to see whether it can be had.
	lockTries = 20
	lockWait  = 50 * time.Millisecond

	// Between two scans lies at least scanGap, and scanShare times as long as the last one took, up to scanRest: a
	// queue of a million messages has one due in every millisecond.
	scanGap   = time.Second
	scanShare = 10
	scanRest  = time.Minute
)

// cleanEvery is how often a daemon cleans the spool.
const cleanEvery = 24 * time.Hour

// DefaultInterval is how often a daemon reads the spool although nothing tells it to.
const DefaultInterval = 5 * time.Minute

// Daemon runs the queue until ctx ends: each message when it arrives, and again when it is due. It reads the whole
// spool at its start, every interval (0: DefaultInterval) and after Rescan. The error says why there can be no
// daemon; it wraps queue.ErrRunning when there is one already.
func (r *Runner) Daemon(ctx context.Context, interval time.Duration) error {
	r.setup()
	release, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if interval <= 0 {
		interval = DefaultInterval
	}
	n, end := r.newRun(ctx, Selection{}, 1<<62)
	defer end()
	arrivals, err := r.Spool.Watch(ctx)
	if err != nil {
		r.Log.Warning("", "cannot watch the spool, reading it now and then: "+err.Error())
		interval = min(interval, time.Minute)
	}
	r.Log.RunStart("daemon")
	d := &daemon{run: n, interval: interval, room: make(chan struct{}, 1)}
	n.work.more = d.roomAgain
	n.work.most = r.Config.Queue.Concurrency - r.Config.Queue.Concurrency/4
	wait := n.workers()
	d.loop(arrivals)
	wait()
	d.scans.Wait()
	n.result.Took = r.Now().Sub(n.started)
	r.Log.RunEnd(n.result.RunStats)
	return nil
}

// Rescan makes the daemon read the whole spool now, and try next hops again that were dead.
func (r *Runner) Rescan() {
	r.setup()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// lock makes this process the daemon of its spool.
func (r *Runner) lock(ctx context.Context) (release func() error, err error) {
	for range lockTries {
		release, err = r.Spool.LockRun()
		if !errors.Is(err, queue.ErrRunning) || ctx.Err() != nil {
			break
		}
		r.Sleep(ctx, lockWait)
	}
	if errors.Is(err, queue.ErrRunning) {
		return nil, status.Fail("queuerun.daemon", status.ExitTempFail, "cannot run as a daemon", err)
	}
	return release, err
}

func (r *Runner) recover() {
	found, err := r.Spool.Recover()
	if err != nil {
		r.Log.Warning("", "cannot clean the spool: "+err.Error())
	}
	if found != (queue.Recovered{}) {
		r.Log.Warning("", fmt.Sprintf("cleaned the spool: %d drafts and %d journals removed, %d foreign files moved to corrupt/",
			found.Drafts, found.Journals, found.Foreign))
	}
}

// daemon is when to read the spool.
type daemon struct {
	*run
	interval time.Duration
	scans    sync.WaitGroup
	room     chan struct{} // messages that there was no room for may be found again

	scanning bool
	missed   bool      // there is mail in the spool that no worker was given
	next     time.Time // when the first of the waiting messages is due; zero: unknown, or none
	full     time.Time // when the interval is over
	quiet    time.Time // no scan before
	cleaned  time.Time // when the spool was cleaned
}

// scanned is what a scan tells.
type scanned struct {
	next time.Time
	took time.Duration
}

// loop starts scans, and hands over what arrives meanwhile, until the context ends.
func (d *daemon) loop(arrivals <-chan queue.Entry) {
	done := make(chan scanned, 1)
	d.missed = true
	for {
		if d.wantsScan() {
			d.scan(done)
		}
		t := time.NewTimer(d.pause())
		select {
		case <-d.ctx.Done():
		case e, ok := <-arrivals:
			if !ok {
				arrivals = nil
			} else {
				d.arrived(e)
			}
		case <-d.room:
			d.missed = true
		case <-d.wake:
			d.hops.revive()
			d.missed, d.quiet = true, time.Time{}
		case s := <-done:
			d.scanning = false
			d.soonest(s.next)
			d.quiet = d.Now().Add(min(max(scanGap, scanShare*s.took), scanRest))
		case <-t.C:
		}
		t.Stop()
		if d.ctx.Err() != nil {
			return
		}
	}
}

// roomAgain says that there is room for messages which had to be left in the spool. It does not wait.
func (d *daemon) roomAgain() {
	select {
	case d.room <- struct{}{}:
	default:
	}
}

// arrived takes in what the spool's watch tells.
func (d *daemon) arrived(e queue.Entry) {
	switch {
	case e.Name == "":
		d.missed = true
	case e.State == queue.Cur:
		d.soonest(e.Due)
	case !d.work.offer(freshLane, item{Entry: e}):
		d.missed = true
	}
}

func (d *daemon) soonest(due time.Time) {
	if !due.IsZero() && (d.next.IsZero() || due.Before(d.next)) {
		d.next = due
	}
}

// wantsScan tells whether the spool is to be read now.
func (d *daemon) wantsScan() bool {
	now := d.Now()
	if d.scanning || now.Before(d.quiet) {
		return false
	}
	return d.missed || !now.Before(d.full) || !d.next.IsZero() && !now.Before(d.next)
}

// pause is how long there is nothing to do but to listen.
func (d *daemon) pause() time.Duration {
	if d.scanning {
		return d.interval
	}
	now, wake := d.Now(), d.full
	if !d.next.IsZero() && d.next.Before(wake) {
		wake = d.next
	}
	if d.missed {
		wake = now
	}
	if wake.Before(d.quiet) {
		wake = d.quiet
	}
	return min(max(wake.Sub(now), time.Millisecond), d.interval)
}

// scan reads the spool in the background.
func (d *daemon) scan(done chan<- scanned) {
	now := d.Now()
	d.scanning, d.missed, d.next = true, false, time.Time{}
	d.full = now.Add(d.interval)
	clean := now.Sub(d.cleaned) >= cleanEvery
	if clean {
		d.cleaned = now
	}
	d.scans.Go(func() {
		if clean {
			d.recover()
		}
		var mu sync.Mutex
		var s scanned
		err := d.run.scan(queue.New|queue.Cur, func(e queue.Entry) {
			if e.State != queue.Cur || d.due(e.Due) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if s.next.IsZero() || e.Due.Before(s.next) {
				s.next = e.Due
			}
		})
		if err != nil {
			d.Log.Warning("", "cannot read the spool: "+err.Error())
		}
		s.took = d.Now().Sub(now)
		done <- s
	})
}
