package queuerun

import (
	"strings"

	"postrider/internal/address"
	"postrider/internal/route"
	"postrider/internal/status"
	"postrider/queue"
)

// group is recipients that go to one place.
type group struct {
	key   string
	user  *route.User // local delivery into this user's mailbox
	next  route.NextHop
	rcpts []target
}

// target is a recipient by its number, with the address that stands for it at the next hop.
type target struct {
	rcpt    int
	address string
}

// plan routes the pending recipients and groups them. Whom routing refuses is settled, and all are when it is too late.
func (a *attempt) plan() []*group {
	var groups []*group
	byKey := map[string]*group{}
	tooLate := a.tooLate()
	for i, r := range a.c.Envelope.Rcpts {
		if a.c.History.Done(i) || a.tried(i) {
			continue
		}
		if tooLate {
			a.giveUp(i)
			continue
		}
		d := a.route(r.Address)
		if d.Kind == route.Refuse {
			a.settleFailure(i, d.Status, source{})
			continue
		}
		g := a.destination(d)
		if have := byKey[g.key]; have != nil {
			g = have
		} else {
			groups, byKey[g.key] = append(groups, g), g
		}
		g.rcpts = append(g.rcpts, target{i, d.Address.String()})
	}
	return groups
}

func (a *attempt) route(rcpt string) route.Decision {
	addr, err := address.Parse(rcpt)
	if err != nil {
		st := status.New("queuerun.route", 553, status.Code{5, 1, 3}, "not an address", err)
		return route.Decision{Kind: route.Refuse, Status: st}
	}
	return a.Router.Route(addr)
}

// destination is the empty group for a decision.
func (a *attempt) destination(d route.Decision) *group {
	if d.Kind == route.Relay {
		return &group{key: d.Next.Key, next: d.Next}
	}
	if socket, ok := strings.CutPrefix(a.Config.Local.Mailbox, "lmtp+unix:"); ok {
		key := a.Config.Local.Mailbox
		return &group{key: key, next: route.NextHop{Key: key, Socket: socket, LMTP: true, TLS: route.TLSNone}}
	}
	return &group{key: "local:" + d.User.Name, user: &d.User}
}

// tried tells whether the attempt, before it waited, was at a recipient already.
func (a *attempt) tried(rcpt int) bool {
	last, ok := a.c.History.Last(rcpt)
	return ok && a.resumed && last.Time.Equal(a.began)
}

// notify is what a recipient wants to hear.
func (a *attempt) notify(rcpt int) queue.Notify { return a.c.Envelope.Rcpts[rcpt].Notify }
