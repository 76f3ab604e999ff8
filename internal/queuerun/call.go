package queuerun

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
)

// hostsTime is how long the hosts of a next hop are tried one after the other. Who hangs in all of them holds us no
// longer.
const hostsTime = 10 * time.Minute

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

// call is one transaction on its way to a host that hears it.
type call struct {
	*attempt
	slot  *slot
	next  route.NextHop
	agent bool // next is our delivery agent
	mail  smtp.Message
	began time.Time
}

// send runs the transaction over the slot's session, or a new one, and with the hosts that come after (RFC 5321
// section 5.1) as long as none has heard the text. failed says that no session could be had.
func (c *call) send() (ans answer, failed *status.Status) {
	for {
		fresh, failed := c.ready()
		if failed != nil {
			return ans, failed
		}
		l := c.slot.link
		res, err := l.Send(c.grace, c.mail)
		if errors.Is(err, smtp.ErrStale) && !fresh {
			c.drop()
			continue
		}
		ans = answerOf(l, res, len(c.mail.Rcpts), err)
		if !ans.open() || len(l.rest) == 0 || c.ctx.Err() != nil {
			return ans, nil
		}
		other, _ := c.connect(l.rest, l.auth)
		if other == nil {
			l.rest = nil // nor need the next message ask them
			return ans, nil
		}
		c.drop()
		c.slot.link = other
	}
}

// ready sees to it that the slot has a session, and tells whether it is fresh.
func (c *call) ready() (fresh bool, failed *status.Status) {
	if l := c.slot.link; l != nil && !l.Reusable() {
		c.drop()
	}
	if c.slot.link != nil {
		return false, nil
	}
	if c.slot.link, failed = c.dial(); failed != nil {
		return false, failed
	}
	if !c.agent {
		c.hops.others.reached(c.slot.hop.key)
	}
	return true, nil
}

func (c *call) drop() {
	c.slot.link.Close()
	c.slot.link = nil
}

// dial opens a session with the next hop.
func (c *call) dial() (*link, *status.Status) {
	hosts, err := c.Router.Hosts(c.ctx, c.next)
	if err != nil {
		return nil, status.From(err)
	}
	var auth *smtp.Credentials
	if c.next.Auth != nil {
		password, err := c.next.Auth.Password()
		if err != nil {
			return nil, temporary(status.From(err))
		}
		auth = &smtp.Credentials{User: c.next.Auth.User, Password: password}
	}
	return c.connect(hosts, auth)
}

// connect tries hosts in their order until one gives a session. The outcome is permanent only when every host's is.
// Otherwise it is that of the first which was there and would not have us, or the first: more tells less.
func (c *call) connect(hosts []route.Host, auth *smtp.Credentials) (*link, *status.Status) {
	why := status.New("queuerun.dial", 451, status.Code{4, 4, 4}, "the next hop has no host that can be tried", nil)
	for i, h := range hosts {
		if c.ctx.Err() != nil || c.Now().Sub(c.began) > hostsTime {
			break
		}
		t := c.target(h, auth)
		c.sayConnecting(c.mail, t)
		opened := c.Now()
		s, err := c.Dial(c.ctx, t, smtp.Options{Timeouts: c.timeouts(t), Dialogue: c.Dialogue, Now: c.Now})
		if err == nil {
			return &link{Session: s, opened: opened, rest: hosts[i+1:], auth: auth}, nil
		}
		if st := status.From(err); i == 0 || tellsMore(st, why) {
			why = whyNot(place(t), st)
		}
	}
	if c.agent && why.Class() == status.Temporary {
		why = status.New(why.Op(), 451, why.Code(), why.Text()+": local(8), the delivery agent, must run", why)
	}
	return nil, why
}

// timeouts are how long a peer may take. The agent runs the commands of users, each of whose members it tells of when its
// command has ended: who does not wait for that runs it again.
func (c *call) timeouts(t smtp.Target) (limits smtp.Timeouts) {
	if t.Agent {
		limits.Final = c.Config.Local.CommandTimeLimit + agentTime
		limits.Transaction = maxRcpts * limits.Final
	}
	return limits
}

// agentTime is what the delivery agent gets beside the time of a command: to wait for its turn, and to write a mailbox.
const agentTime = 15 * time.Minute

// tellsMore tells whether st is the better reason.
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
func (c *call) target(h route.Host, auth *smtp.Credentials) smtp.Target {
	t := smtp.Target{Name: h.Name, Network: "tcp", Address: h.Addr.String(), LMTP: c.next.LMTP, Agent: c.agent, Auth: auth, HeloName: c.Config.Hostname}
	if h.Socket != "" {
		t.Network, t.Address = "unix", h.Socket
	}
	switch c.next.TLS {
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
