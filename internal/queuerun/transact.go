package queuerun

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postrider/internal/local"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// maxRcpts is how many recipients a transaction has: what every host takes (RFC 5321 section 4.5.3.1.8).
const maxRcpts = 100

// longWait is how long an attempt that has begun waits for a busy next hop.
const longWait = 24 * time.Hour

// offer makes the transactions with one group's next hop. An error is the spool's or the context's, or errBusyHop when
// nothing was begun and the message has to wait; every other outcome is settled.
func (a *attempt) offer(g *group) error {
	patience := shortWait
	if a.begun() {
		patience = longWait
	}
	s, err := a.hops.enter(a.ctx, g.key, patience, g.user != nil)
	if why := (*status.Status)(nil); errors.As(err, &why) {
		a.settleAll(g.rcpts, why)
		return nil
	}
	if err != nil {
		return err
	}
	good := false
	defer func() { a.hops.leave(s, good) }()
	if g.user != nil {
		return a.intoMailbox(g)
	}
	for left := g.rcpts; len(left) > 0; {
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

func (a *attempt) settleAll(rcpts []target, st *status.Status) {
	for _, t := range rcpts {
		a.settleFailure(t.rcpt, st, "", "")
	}
}

// intoMailbox delivers to a user of this machine. Several recipients may lead there.
func (a *attempt) intoMailbox(g *group) error {
	u := local.User{Name: g.user.Name, Home: g.user.Home, UID: g.user.UID}
	for _, t := range g.rcpts {
		if err := a.mayBegin(); err != nil {
			return err
		}
		st := a.Deliver(a.grace, a.Config.Local.Mailbox, u, local.Delivery{
			ID: string(a.ID), N: t.rcpt, Sender: a.c.Envelope.Sender, Rcpt: t.address,
			Arrival: a.c.Envelope.Arrival, Date: a.Now(), Body: a.c.Body(),
		})
		switch {
		case st.Class() == status.Success:
			a.settle(t.rcpt, queue.Delivered, st, "local", "")
		case a.grace.Err() != nil:
			return a.grace.Err()
		default:
			a.settleFailure(t.rcpt, st, "local", "")
		}
	}
	return nil
}

// transact makes one transaction over s and settles its recipients. It returns those that are left to do.
func (a *attempt) transact(s *slot, g *group, left []target) ([]target, error) {
	batch := left[:min(len(left), maxRcpts)]
	res, failed := a.send(s, g.next, a.message(batch))
	switch {
	case failed != nil && a.ctx.Err() != nil:
		return nil, a.ctx.Err()
	case failed != nil:
		a.hops.fail(s.hop, failed, a.began)
		a.settleAll(left, failed)
		return nil, nil
	}
	var again []target
	for i, t := range batch {
		if st := res.Rcpts[i]; tooMany(st) {
			again = append(again, t)
		} else {
			a.answered(t.rcpt, st, s.link, g.next.LMTP, res.DSN)
		}
	}
	if len(again) == len(batch) { // then it is not for their number
		for i, t := range batch {
			a.answered(t.rcpt, res.Rcpts[i], s.link, g.next.LMTP, res.DSN)
		}
		again = nil
	}
	if a.grace.Err() != nil {
		return nil, a.grace.Err()
	}
	return append(again, left[len(batch):]...), nil
}

// tooMany tells whether a recipient was refused for the number of recipients only (RFC 5321 section 4.5.3.1.10).
func tooMany(st *status.Status) bool {
	return st.Reply() == 452 && st.Code() == status.Code{4, 5, 3}
}

// answered settles a recipient by the outcome of its transaction. What was broken off by us has no outcome.
func (a *attempt) answered(rcpt int, st *status.Status, l *link, lmtp, dsn bool) {
	success := a.notify(rcpt)&queue.NotifySuccess != 0
	switch {
	case st.Class() == status.Success && success && !dsn && !lmtp:
		a.settle(rcpt, queue.Relayed, st, l.Relay(), l.TLS())
	case st.Class() == status.Success:
		a.settle(rcpt, queue.Delivered, st, l.Relay(), l.TLS())
		if success && dsn {
			a.hush(rcpt)
		}
	case st.Class() == status.Permanent || a.grace.Err() == nil:
		a.settleFailure(rcpt, st, l.Relay(), l.TLS())
	}
}

// message is the transaction for a batch of recipients.
func (a *attempt) message(batch []target) smtp.Message {
	e := &a.c.Envelope
	m := smtp.Message{
		Sender: e.Sender, Body: a.c.Body(), EightBit: a.c.Traits.EightBit, BodyType: e.Body, UTF8: e.UTF8,
		Ret: e.Ret, EnvID: e.EnvID, Rcpts: make([]smtp.Rcpt, len(batch)),
	}
	for i, t := range batch {
		r := &e.Rcpts[t.rcpt]
		m.Rcpts[i] = smtp.Rcpt{Address: t.address, ORcpt: r.ORcpt, Notify: r.Notify.String()}
	}
	return m
}

// send runs a transaction over the slot's session, or a new one. failed says that no session could be had.
func (a *attempt) send(s *slot, next route.NextHop, m smtp.Message) (res smtp.Result, failed *status.Status) {
	if s.link != nil && !s.link.Reusable() {
		a.drop(s)
	}
	for {
		fresh := s.link == nil
		if fresh {
			if s.link, failed = a.dial(next, m); failed != nil {
				return res, failed
			}
			a.hops.others.reached(s.hop.key)
		}
		res, err := s.link.Send(a.grace, m)
		if err == nil || !errors.Is(err, smtp.ErrStale) {
			return complete(res, len(m.Rcpts), err), nil
		}
		a.drop(s)
		if fresh {
			return res, status.From(err)
		}
	}
}

// complete sees to it that every recipient has an outcome.
func complete(res smtp.Result, n int, err error) smtp.Result {
	for len(res.Rcpts) < n {
		st := status.From(err)
		if st == nil || st.Class() != status.Temporary {
			st = status.New("queuerun.send", 451, status.Code{4, 3, 0}, "the session gave no outcome", err)
		}
		res.Rcpts = append(res.Rcpts, st)
	}
	return res
}

func (a *attempt) drop(s *slot) {
	s.link.Close()
	s.link = nil
}

// dial tries the hosts of a next hop in their order until one gives a session. The outcome is permanent only
// when every host's is.
func (a *attempt) dial(next route.NextHop, m smtp.Message) (*link, *status.Status) {
	hosts, err := a.Router.Hosts(a.ctx, next)
	if err != nil {
		return nil, status.From(err)
	}
	var auth *smtp.Credentials
	if next.Auth != nil {
		password, err := next.Auth.Password()
		if err != nil {
			return nil, temporary(status.From(err))
		}
		auth = &smtp.Credentials{User: next.Auth.User, Password: password}
	}
	why := status.New("queuerun.dial", 451, status.Code{4, 4, 4}, "the next hop has no host", nil)
	for i, h := range hosts {
		t := a.target(next, h, auth)
		a.sayConnecting(m, t)
		opened := a.Now()
		s, err := a.Dial(a.ctx, t, smtp.Options{Dialogue: a.Dialogue})
		if err == nil {
			return &link{Session: s, opened: opened}, nil
		}
		if st := status.From(err); i == 0 || st.Class() == status.Temporary || why.Class() == status.Permanent {
			why = whyNot(place(t), st)
		}
		if a.ctx.Err() != nil {
			break
		}
	}
	return nil, why
}

// temporary keeps trouble with our own configuration from returning mail.
func temporary(st *status.Status) *status.Status {
	if st.Class() == status.Temporary {
		return st
	}
	return status.New(st.Op(), 451, status.Code{4, 3, 5}, st.Text(), st)
}

// target is what to dial for one host.
func (a *attempt) target(next route.NextHop, h route.Host, auth *smtp.Credentials) smtp.Target {
	t := smtp.Target{Name: h.Name, Network: "tcp", Address: h.Addr.String(), LMTP: next.LMTP, Auth: auth, HeloName: a.Config.Hostname}
	if h.Socket != "" {
		t.Network, t.Address = "unix", h.Socket
	}
	switch next.TLS {
	case route.TLSMay:
		t.TLS = smtp.May
	case route.TLSEncrypt:
		t.TLS, t.Verify = smtp.Encrypt, true
	case route.TLSImplicit:
		t.TLS, t.Verify = smtp.Implicit, true
	}
	return t
}

// place names a host that no session could be had with.
func place(t smtp.Target) string {
	if t.Network == "unix" || t.Name == "" {
		return t.Address
	}
	return fmt.Sprintf("%s (%s)", t.Name, t.Address)
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
