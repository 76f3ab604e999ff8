package queuerun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postrider/internal/local"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// maxRcpts is how many recipients a transaction has: what every host takes (RFC 5321 section 4.5.3.1.8).
const maxRcpts = 100

// hostsTime is how long the hosts of a next hop are tried one after the other. Who hangs in all of them holds us no
// longer.
const hostsTime = 10 * time.Minute

// offer makes the transactions with one group's next hop. An error is the spool's or the context's, or errBusyHop when
// the group has to wait; every other outcome is settled.
func (a *attempt) offer(g *group) error {
	s, err := a.hops.enter(a.ctx, g.key, g.user != nil)
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
		a.settleFailure(t.rcpt, st, source{})
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
			a.settle(t.rcpt, queue.Delivered, st, source{relay: localRelay})
		case a.grace.Err() != nil:
			return a.grace.Err()
		default:
			a.settleFailure(t.rcpt, st, source{relay: localRelay})
		}
	}
	return nil
}

// transact makes one transaction over s and settles its recipients. It returns those that are left to do.
func (a *attempt) transact(s *slot, g *group, left []target) ([]target, error) {
	batch := left[:min(len(left), maxRcpts)]
	ans, failed := a.send(s, g.next, a.message(batch))
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
		if tooMany(ans.Rcpts[i]) {
			again = append(again, t)
		} else {
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
	case st.Class() == status.Success && success && !ans.DSN && !lmtp:
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
func (a *attempt) message(batch []target) smtp.Message {
	e := &a.c.Envelope
	m := smtp.Message{
		Sender: e.Sender, Body: a.c.Body(), EightBit: a.c.Traits.EightBit, BodyType: e.Body, UTF8: e.UTF8 && a.c.Traits.EightBitHeader,
		Ret: e.Ret, EnvID: e.EnvID, Rcpts: make([]smtp.Rcpt, len(batch)),
	}
	for i, t := range batch {
		r := &e.Rcpts[t.rcpt]
		m.Rcpts[i] = smtp.Rcpt{Address: t.address, ORcpt: r.ORcpt, Notify: r.Notify.String()}
	}
	return m
}

// answer is what a transaction brought, with an outcome for every recipient, and who gave it.
type answer struct {
	smtp.Result
	from source
}

func answerOf(l *link, res smtp.Result, n int, err error) answer {
	for len(res.Rcpts) < n {
		st := status.From(err)
		if st == nil || st.Class() != status.Temporary {
			st = status.New("queuerun.send", 451, status.Code{4, 3, 0}, "the session gave no outcome", err)
		}
		res.Rcpts = append(res.Rcpts, st)
	}
	return answer{res, source{l.Relay(), l.TLS()}}
}

// open tells whether another host may do better: this one had a reason of its own not to hear of the message now.
func (a answer) open() bool {
	return !a.Begun && !slices.ContainsFunc(a.Rcpts, func(s *status.Status) bool { return s.Class() != status.Temporary })
}

// send runs a transaction over the slot's session, or a new one, and with the hosts that come after (RFC 5321 section
// 5.1) as long as none has heard the text. failed says that no session could be had.
func (a *attempt) send(s *slot, next route.NextHop, m smtp.Message) (ans answer, failed *status.Status) {
	began := a.Now()
	for {
		fresh, failed := a.ready(s, next, m, began)
		if failed != nil {
			return ans, failed
		}
		res, err := s.link.Send(a.grace, m)
		if errors.Is(err, smtp.ErrStale) && !fresh {
			a.drop(s)
			continue
		}
		ans = answerOf(s.link, res, len(m.Rcpts), err)
		if !ans.open() || len(s.link.rest) == 0 || a.ctx.Err() != nil {
			return ans, nil
		}
		other, _ := a.connect(next, s.link.rest, s.link.auth, m, began)
		if other == nil {
			s.link.rest = nil // nor need the next message ask them
			return ans, nil
		}
		a.drop(s)
		s.link = other
	}
}

// ready sees to it that the slot has a session, and tells whether it is fresh.
func (a *attempt) ready(s *slot, next route.NextHop, m smtp.Message, began time.Time) (fresh bool, failed *status.Status) {
	if s.link != nil && !s.link.Reusable() {
		a.drop(s)
	}
	if s.link != nil {
		return false, nil
	}
	if s.link, failed = a.dial(next, m, began); failed != nil {
		return false, failed
	}
	a.hops.others.reached(s.hop.key)
	return true, nil
}

func (a *attempt) drop(s *slot) {
	s.link.Close()
	s.link = nil
}

// dial opens a session with a next hop.
func (a *attempt) dial(next route.NextHop, m smtp.Message, began time.Time) (*link, *status.Status) {
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
	return a.connect(next, hosts, auth, m, began)
}

// connect tries hosts in their order until one gives a session. The outcome is permanent only when every host's is.
// Otherwise it is that of the first which was there and would not have us, or the first: more tells less.
func (a *attempt) connect(next route.NextHop, hosts []route.Host, auth *smtp.Credentials, m smtp.Message, began time.Time) (*link, *status.Status) {
	why := status.New("queuerun.dial", 451, status.Code{4, 4, 4}, "the next hop has no host that can be tried", nil)
	for i, h := range hosts {
		if a.ctx.Err() != nil || a.Now().Sub(began) > hostsTime {
			break
		}
		t := a.target(next, h, auth)
		a.sayConnecting(m, t)
		opened := a.Now()
		s, err := a.Dial(a.ctx, t, smtp.Options{Dialogue: a.Dialogue})
		if err == nil {
			return &link{Session: s, opened: opened, rest: hosts[i+1:], auth: auth}, nil
		}
		if st := status.From(err); i == 0 || tellsMore(st, why) {
			why = whyNot(place(t), st)
		}
	}
	return nil, why
}

func tellsMore(st, than *status.Status) bool {
	switch {
	case st.Class() == status.Permanent:
		return false
	case than.Class() == status.Permanent:
		return true
	}
	return unreachable(than.Code()) && !unreachable(st.Code())
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
