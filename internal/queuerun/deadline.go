package queuerun

import (
	"errors"
	"time"

	"postrider/internal/status"
	"postrider/queue"
)

// birth is when a message's life begins: when it came, or when its sender wants it sent (RFC 4865).
func birth(e *queue.Envelope) time.Time {
	if e.Release.After(e.Arrival) {
		return e.Release
	}
	return e.Arrival
}

// early tells whether the sender wants no attempt yet.
func (a *attempt) early() bool { return a.c.Envelope.Release.After(a.Now()) }

// putOff ends an attempt that came too early. Like any other message this one is looked at again after RetryMax at the
// latest: a time further off would be taken for one that a wrong clock has set.
func (a *attempt) putOff() {
	defer a.c.Close()
	q, now := a.Config.Queue, a.Now()
	if a.State == queue.Cur && !isDue(q, now, a.Due) {
		return // it waits as it should
	}
	due := now.Add(q.RetryMax)
	if release := a.c.Envelope.Release; release.Before(due) {
		due = wholeSecond(release)
	}
	if err := errors.Join(a.save(), a.c.Defer(due)); err != nil {
		a.trouble(a.ID, "cannot put the message off", err)
	}
}

// wholeSecond is t or the second after it: file names tell whole seconds, and the one before would come too early.
func wholeSecond(t time.Time) time.Time {
	if s := t.Truncate(time.Second); s.Before(t) {
		return s.Add(time.Second)
	}
	return t
}

// inTime is due, or the deadline if that comes first: what is to be done then is not to wait.
func (a *attempt) inTime(due time.Time) time.Time {
	by := a.c.Envelope.By
	if !by.IsZero() && by.After(a.began) && by.Before(due) {
		return wholeSecond(by)
	}
	return due
}

// tooLate tells whether a message may not be delivered any more (mode R of RFC 2852).
func (a *attempt) tooLate() bool {
	e := &a.c.Envelope
	return !e.By.IsZero() && !e.ByNotify && !a.Now().Before(e.By)
}

// giveUp settles a recipient whom the message did not reach in time.
func (a *attempt) giveUp(rcpt int) {
	text := "delivery time expired"
	if last, ok := a.c.History.Last(rcpt); ok {
		text += "; at last: " + last.Text
	}
	text = status.Clean(text, status.MaxText)
	a.settle(rcpt, queue.Expired, status.New("queuerun.deadline", 554, status.Code{5, 4, 7}, text, nil), source{})
}

// overdue tells whether the sender is to hear now that the deadline has passed and that the message is still tried
// (mode N of RFC 2852). Any delay report since the deadline has told him.
func (a *attempt) overdue() bool {
	e := &a.c.Envelope
	if e.By.IsZero() || !e.ByNotify || a.began.Before(e.By) {
		return false
	}
	events := a.c.History.Events()
	for i := len(events) - 1; i >= 0 && !events[i].Time.Before(e.By); i-- {
		if events[i].Kind == queue.Warned {
			return false
		}
	}
	return true
}

// traced tells whether the sender of a message with a deadline hears that it was passed on: when he has asked for
// that, or when whoever took it knows nothing of the deadline (RFC 2852 section 4.1.4.2).
func (a *attempt) traced(rcpt int, ans answer) bool {
	e := &a.c.Envelope
	if e.By.IsZero() || e.Sender == "" || e.Rcpts[rcpt].Sender != "" || a.notify(rcpt) == queue.NotifyNever {
		return false
	}
	return e.ByTrace || e.ByNotify && !ans.By
}
