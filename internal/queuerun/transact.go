package queuerun

import (
	"errors"
	"time"

	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// maxRcpts is how many recipients a transaction has: what every host takes (RFC 5321 section 4.5.3.1.8).
const maxRcpts = 100

// offer makes the transactions with one group's next hop. An error is the spool's or the context's, or errBusyHop when
// the group has to wait; every other outcome is settled.
func (a *attempt) offer(g *group) error {
	s, err := a.hops.enter(a.ctx, g.key, g.user != nil)
	if why := (*status.Status)(nil); errors.As(err, &why) {
		return a.settleAll(g.rcpts, why)
	}
	if err != nil {
		return err
	}
	good := false
	defer func() { a.hops.leave(s, good) }()
	if g.user != nil {
		return a.allHere(g)
	}
	for left := a.alreadyThere(g.rcpts); len(left) > 0; {
		if err := a.mayBegin(); err != nil {
			return err
		}
		if left, err = a.transact(s, g, left); err != nil {
			return err
		}
		good = s.link != nil && s.link.Reusable()
	}
	return nil
}

// unsavedMost is how many outcomes are gathered before they go into the journal: a whole list may have to wait.
const unsavedMost = 1000

// settleAll gives one outcome to many. An error is the spool's.
func (a *attempt) settleAll(rcpts []target, st *status.Status) error {
	for _, t := range rcpts {
		a.settleFailure(t.rcpt, st, source{})
		if len(a.unsaved) >= unsavedMost {
			if err := a.save(); err != nil {
				return err
			}
		}
	}
	return nil
}

// transact makes one transaction over s and settles its recipients. It returns those that are left to do.
func (a *attempt) transact(s *slot, g *group, left []target) ([]target, error) {
	batch := left[:min(len(left), maxRcpts)]
	mail, err := a.outward(g, a.message(g, batch))
	if err != nil {
		return nil, a.settleAll(left, status.From(err))
	}
	c := call{attempt: a, slot: s, next: g.next, agent: g.agent, mail: mail, began: a.Now()}
	ans, failed := c.send()
	switch {
	case failed != nil && a.ctx.Err() != nil:
		return nil, a.ctx.Err()
	case failed != nil:
		a.hops.fail(s.hop, failed, a.began)
		return nil, a.settleAll(left, failed)
	}
	if g.agent {
		ans.from = source{relay: localRelay}
	}
	var again []target
	for i, t := range batch {
		switch {
		case ans.Members != nil && ans.Members[i] != nil:
			a.forwarded(t, ans.Members[i], ans.from)
		case tooMany(ans.Rcpts[i]):
			again = append(again, t)
		default:
			a.answered(t.rcpt, ans.Rcpts[i], ans, g.next.LMTP)
		}
	}
	if len(again) == len(batch) { // then it is not for their number
		for i, t := range batch {
			a.answered(t.rcpt, ans.Rcpts[i], ans, g.next.LMTP)
		}
		again = nil
	}
	if a.grace.Err() != nil {
		return nil, a.grace.Err()
	}
	if err := a.planner.expand(); err != nil {
		return nil, err
	}
	return append(again, left[len(batch):]...), nil
}

// tooMany tells whether a recipient was refused for the number of recipients only (RFC 5321 section 4.5.3.1.10).
func tooMany(st *status.Status) bool {
	return st.Reply() == 452 && st.Code() == status.Code{4, 5, 3}
}

// answered settles a recipient by the outcome of its transaction. What was broken off by us has no outcome.
func (a *attempt) answered(rcpt int, st *status.Status, ans answer, lmtp bool) {
	success := a.notify(rcpt)&queue.NotifySuccess != 0
	switch {
	case st.Class() == status.Success && !lmtp && (success && !ans.DSN || a.traced(rcpt, ans)):
		a.settle(rcpt, queue.Relayed, st, ans.from)
	case st.Class() == status.Success:
		a.settle(rcpt, queue.Delivered, st, ans.from)
		if success && ans.DSN {
			a.hush(rcpt)
		}
	case st.Class() == status.Permanent || a.grace.Err() == nil:
		a.settleFailure(rcpt, st, ans.from)
	}
}

// message is the transaction for a batch of recipients. The envelope's UTF8 may be there for one recipient's sake: a
// message needs SMTPUTF8 itself only when its header does.
func (a *attempt) message(g *group, batch []target) smtp.Message {
	e := a.envelope(g.owner)
	m := smtp.Message{
		Sender: e.Sender, Header: g.header, Body: a.c.Body(), EightBit: a.c.Traits.EightBit, BodyType: e.Body, UTF8: e.UTF8 && a.c.Traits.EightBitHeader,
		Ret: e.Ret, EnvID: e.EnvID, Auth: e.Auth, By: e.By, ByNotify: e.ByNotify, ByTrace: e.ByTrace,
		Rcpts: make([]smtp.Rcpt, len(batch)),
	}
	for i, t := range batch {
		r := &e.Rcpts[t.rcpt]
		m.Rcpts[i] = smtp.Rcpt{Address: t.address, ORcpt: r.ORcpt, Notify: r.Notify.String()}
	}
	if g.agent {
		a.agentMessage(&m, batch)
	}
	return m
}

// envelope is the envelope for the members of a list with an owner, or for all others. What the sender asked for with the
// message ends where the list begins (RFC 3461 section 5.2.7).
func (a *attempt) envelope(owner string) queue.Envelope {
	e := a.c.Envelope
	if owner != "" {
		e.Sender, e.Ret, e.EnvID, e.Auth = owner, "", "", ""
		e.By, e.ByNotify, e.ByTrace = time.Time{}, false, false
	}
	return e
}
