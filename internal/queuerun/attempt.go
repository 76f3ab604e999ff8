package queuerun

import (
	"errors"
	"time"

	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// attempt is one claimed message.
type attempt struct {
	*run
	item
	c       *queue.Claim
	began   time.Time // what all deferrals of one attempt have in common
	resumed bool      // it has waited for a next hop and goes on
	tries   int       // attempts before this one

	planner *planner
	header  *header        // of the message, once it was looked at
	settled bool           // it brought something for a recipient
	unsaved []queue.Record // what is not in the journal yet
	fates   map[int]int    // by recipient: which of unsaved is his outcome
	quiet   map[int]bool   // it is not for us to report his success
	owed    bool           // unsaved tells of what cannot be undone and nobody else knows: a delivery, a report
	refused bool           // the spool would not take that, for as long as we asked
	reports []item         // to be attempted in the same run, once this message is done with
}

// attempt claims a message and does what can be done for it now.
func (r *run) attempt(it item) {
	c, err := r.Spool.Claim(it.Entry)
	if err != nil {
		r.unclaimed(it, err)
		return
	}
	a := &attempt{run: r, item: it, c: c, began: it.began, resumed: !it.began.IsZero(), tries: c.History.Attempts()}
	a.fates, a.quiet = map[int]int{}, map[int]bool{}
	switch {
	case !a.resumed && r.sel.early() && a.deferredSince(r.started):
		c.Close()
		return
	case !a.resumed:
		a.began = r.Now().Truncate(time.Microsecond)
	case a.deferredSince(a.began):
		a.tries--
	}
	if it.State == queue.Held {
		a.unsaved = append(a.unsaved, queue.Record{Time: a.began, Kind: queue.Released, Rcpts: queue.WholeMessage})
	}
	if a.early() {
		a.putOff()
		return
	}
	a.perform()
}

// unclaimed deals with a message that could not be claimed.
func (r *run) unclaimed(it item, err error) {
	switch {
	case errors.Is(err, queue.ErrBusy), errors.Is(err, queue.ErrGone): // somebody else's now
	case errors.Is(err, queue.ErrCorrupt):
		r.Log.Corrupt(it.Name, "not a whole queue file")
	default:
		r.trouble(it.ID, "cannot claim the message", err)
	}
}

// deferredSince tells whether a recipient was deferred since t. A renamed file may come up again in the scan that met
// it, and the journal is what remembers that.
func (a *attempt) deferredSince(t time.Time) bool {
	events := a.c.History.Events()
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Kind == queue.Deferred {
			return !events[i].Time.Before(t.Truncate(time.Microsecond))
		}
	}
	return false
}

// perform offers the message to each next hop and settles what becomes of it. It ends the claim.
func (a *attempt) perform() {
	defer a.c.Close()
	a.planner = newPlanner(a)
	busy, err := a.serve()
	switch {
	case err != nil:
		a.abandon(err)
		return
	case busy != "":
		a.wait(busy)
		return
	}
	a.count(func(s *Result) { s.Messages++ })
	if err := a.finish(); err != nil {
		a.abandon(err)
	}
	a.work.prefer(a.reports)
}

// serve offers the message to each next hop, also to those of recipients who are found on the way. busy is one that had no
// session for us.
func (a *attempt) serve() (busy string, err error) {
	for {
		groups, err := a.planner.plan()
		if err != nil || len(groups) == 0 {
			return busy, err
		}
		for _, g := range groups {
			err := a.offer(g)
			if errors.Is(err, errBusyHop) {
				busy = g.key
			} else if err != nil {
				return "", err
			}
		}
	}
}

// wait lets the message wait by name for a busy next hop, so that no worker is held up. What there is to tell of other
// recipients is saved, and the message is in cur/ as one that was tried: should this process end, another finds it
// there after a while. The attempt then goes on with the recipients that are left.
func (a *attempt) wait(key string) {
	it := a.item
	if a.settled {
		err := a.save()
		if err == nil {
			err = a.c.Defer(a.Now().Add(a.Config.Queue.RetryMin))
		}
		if err != nil {
			a.abandon(err)
			return
		}
		it.Entry, it.began = a.c.Entry, a.began
	}
	a.c.Close()
	if a.work.park(a.ID) {
		a.hops.park(key, it)
	}
}

// abandon gives the attempt up in the middle, with what is known on disk if that can be.
func (a *attempt) abandon(err error) {
	if a.ctx.Err() == nil {
		a.trouble(a.ID, "attempt given up", err)
	}
	if err := a.save(); err != nil {
		a.trouble(a.ID, "cannot record the outcome, so recipients may get the message twice", err)
	}
}

// settle notes a recipient's outcome.
func (a *attempt) settle(rcpt int, kind queue.Kind, st *status.Status, from source) {
	last, tried := a.c.History.Last(rcpt)
	if kind == queue.Deferred && expired(a.Config.Queue, a.began, birth(&a.c.Envelope), last, tried) {
		kind = queue.Expired
	}
	rec := queue.Record{Time: a.began, Kind: kind, Rcpts: queue.One(rcpt), Reply: st.Reply(), Code: st.Code(), Relay: from.relay, Text: st.Text()}
	if from.remote() && st.Op() != smtp.OpReply { // these are not the host's words
		rec.Relay, rec.Text = "", status.Clean(from.relay+": "+st.Text(), status.MaxText)
	}
	a.fates[rcpt], a.settled = len(a.unsaved), true
	a.unsaved = append(a.unsaved, rec)
	a.owed = a.owed || kind == queue.Delivered || kind == queue.Relayed
	a.tell(rcpt, kind, st, from)
}

// settleFailure is settle for what did not succeed.
func (a *attempt) settleFailure(rcpt int, st *status.Status, from source) {
	kind := queue.Deferred
	if st.Class() == status.Permanent {
		kind = queue.Failed
	}
	a.settle(rcpt, kind, st, from)
}

// hush notes that whoever took a recipient over owes the report of its success.
func (a *attempt) hush(rcpt int) {
	a.quiet[rcpt] = true
	a.unsaved = append(a.unsaved, queue.Record{Time: a.began, Kind: queue.Reported, Rcpts: queue.One(rcpt)})
}

// last is the newest outcome of a recipient; its Kind is 0 when there is none.
func (a *attempt) last(rcpt int) queue.Record {
	if n, ok := a.fates[rcpt]; ok {
		return a.unsaved[n]
	}
	r, _ := a.c.History.Last(rcpt)
	return r
}

// allFinal tells whether nothing is left to try.
func (a *attempt) allFinal() bool {
	for i := range a.c.Envelope.Rcpts {
		if k := a.last(i).Kind; k == 0 || k == queue.Deferred {
			return false
		}
	}
	return true
}

// finish reports what is to be reported and takes the message out of the spool, or defers it.
func (a *attempt) finish() error {
	if err := a.report(); err != nil {
		return errors.Join(err, a.postpone(a.Config.Queue.RetryMin))
	}
	if a.allFinal() {
		return a.remove()
	}
	return a.postpone(0)
}

// postpone saves and defers, for as long as the schedule says when wait is 0. A deferral that cannot be recorded is
// one without a reason.
func (a *attempt) postpone(wait time.Duration) error {
	saved := a.save()
	if a.owed {
		return saved // as it lies there it would be delivered again, and soon enough
	}
	due := a.began.Add(wait)
	if wait == 0 {
		due = a.inTime(nextDue(a.Config.Queue, a.began, birth(&a.c.Envelope), a.tries, a.Random()))
	}
	return errors.Join(saved, a.c.Defer(due))
}

// mayBegin is what stands before each transaction: the run goes on, and nothing that must not be lost is unsaved.
func (a *attempt) mayBegin() error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	for i := range a.unsaved {
		if a.unsaved[i].Kind != queue.Deferred {
			return a.save()
		}
	}
	return nil
}

// save brings what is known into the journal.
func (a *attempt) save(more ...queue.Record) error {
	records := append(a.unsaved, more...)
	if len(records) == 0 {
		return nil
	}
	if err := a.insist(func() error { return a.c.Record(records...) }); err != nil {
		return err
	}
	a.unsaved, a.owed = a.unsaved[:0], false
	clear(a.fates)
	return nil
}

// remove takes the message out of the spool. When that fails the outcome goes into the journal, so that nobody
// delivers the message again.
func (a *attempt) remove() error {
	var left error
	err := a.insist(func() error {
		if left = a.c.Remove(); left == nil || len(a.unsaved) == 0 {
			return nil
		}
		return a.c.Record(a.unsaved...)
	})
	if err == nil {
		a.unsaved, a.owed = nil, false
		clear(a.fates)
	}
	if left == nil {
		a.Log.Removed(string(a.ID))
	}
	return errors.Join(left, err)
}

// insist repeats an operation of the spool that failed, more and more slowly, when giving up would deliver the
// message twice: as long as the run is patient, and once more when it has to end.
func (a *attempt) insist(op func() error) error {
	err := op()
	wait := time.Second
	for waited := time.Duration(0); err != nil && a.owed && !a.refused && waited < a.patience; waited += wait {
		if waited == 0 {
			a.Log.Warning(string(a.ID), "cannot record what was done, trying again: "+err.Error())
		}
		ended := a.ctx.Err() != nil
		a.Sleep(a.ctx, wait)
		wait = min(2*wait, time.Minute)
		if err = op(); ended {
			break
		}
	}
	a.refused = err != nil
	return err
}
