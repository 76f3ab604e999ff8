package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"postrider/internal/access"
	"postrider/internal/address"
	"postrider/internal/route"
	"postrider/internal/smtpd"
	"postrider/internal/status"
	"postrider/queue"
)

// Queue is what waits. *queue.Spool is one.
type Queue interface {
	Scan(states queue.State, fn func(queue.Entry) error) error
	Read(queue.Entry) (*queue.Message, error)
}

// How many runs by ETRN a client may start within a minute, and how far messages are counted for the reply.
const (
	turnsOfStrangers = 3
	turnsOfFriends   = 30
	maxCounted       = 5000
	countTime        = 2 * time.Second
)

func turned(reply int, code status.Code, text string) *status.Status {
	return status.New("policy.turn", reply, code, text, nil)
}

// Turn implements smtpd.Policy (RFC 1985). Strangers may turn, if at all, domains that we relay for; friends also any
// other for which there is mail.
func (p *Policy) Turn(ctx context.Context, c *smtpd.Client, domain string) *status.Status {
	name, below := strings.CutPrefix(domain, "@")
	switch {
	case p.o.Run == nil || p.o.Queue == nil || !p.mayAsk(c, p.conf.Smtpd.Etrn):
		return turned(459, status.Code{4, 7, 1}, domain+": you may not start queue runs")
	case p.tooOften(c, turns, turnsOfStrangers, turnsOfFriends):
		return turned(458, status.Code{4, 7, 1}, domain+": too many queue runs, try again later")
	}
	ours := p.domains.turns(name, below) || p.accessRelays(name) || p.tableRelays(name)
	if !ours && !p.friendly(c) {
		return turned(459, status.Code{4, 7, 1}, domain+": no mail is queued here for it")
	}
	n, all, err := p.waiting(ctx, name, below)
	switch {
	case err != nil:
		return status.New("policy.turn", 458, status.Code{4, 3, 0}, domain+": the queue cannot be read", err)
	case n == 0 && all && !ours:
		return turned(459, status.Code{4, 7, 1}, domain+": no mail is queued here for it")
	case n == 0 && all:
		return turned(251, status.Code{2, 0, 0}, "no messages waiting for "+domain)
	}
	if err := p.o.Run(domain); err != nil {
		return status.New("policy.turn", 458, status.Code{4, 3, 0}, domain+": no queue run could be started", err)
	}
	switch {
	case all:
		return turned(253, status.Code{2, 0, 0}, fmt.Sprintf("%d pending messages for %s started", n, domain))
	case n > 0:
		return turned(252, status.Code{2, 0, 0}, "pending messages for "+domain+" started")
	}
	return turned(250, status.Code{2, 0, 0}, "queue run for "+domain+" started")
}

// accessRelays tells whether the access table relays for a domain.
func (p *Policy) accessRelays(name string) bool {
	a, err := address.Parse("postmaster@" + name)
	return err == nil && p.access.Get().Recipient(a, false).Action == access.Relay
}

var errEnough = errors.New("enough")

// tableRelays tells whether relay-domains has a domain.
func (p *Policy) tableRelays(name string) bool {
	place, err := p.o.Router.Place(name)
	return err == nil && place == route.RelayPlace
}

// waiting counts the messages that wait for a domain; all is false when there was no time to look at all of them.
func (p *Policy) waiting(ctx context.Context, name string, below bool) (n int, all bool, err error) {
	end, seen := p.o.Now().Add(countTime), 0
	err = p.o.Queue.Scan(queue.New|queue.Cur, func(e queue.Entry) error {
		if seen++; seen > maxCounted || ctx.Err() != nil || p.o.Now().After(end) {
			return errEnough
		}
		if m, err := p.o.Queue.Read(e); err == nil && waitsFor(m, name, below) { // others have left
			n++
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return n, false, nil
	}
	return n, err == nil, err
}

// waitsFor tells whether one of a message's recipients is in a domain.
func waitsFor(m *queue.Message, name string, below bool) bool {
	for i, r := range m.Envelope.Rcpts {
		if m.History.Done(i) {
			continue
		}
		a, err := address.Parse(r.Address)
		if err != nil || a.Domain() == "" {
			continue
		}
		if d, err := address.ASCIIDomain(a.Domain()); err == nil && (d == name || below && strings.HasSuffix(d, "."+name)) {
			return true
		}
	}
	return false
}
