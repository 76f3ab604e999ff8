package queuerun

import (
	"strings"

	"postrider/internal/address"
	"postrider/internal/route"
	"postrider/internal/status"
	"postrider/queue"
)

// group is recipients that go to one place, from one sender.
type group struct {
	key   string
	user  *route.User // local delivery into this user's mailbox
	next  route.NextHop
	away  bool   // not on this machine
	owner string // who owns the list that they are on, and is the sender; "": the message has its own
	rcpts []target
}

// target is a recipient by its number, with the address that stands for it at the next hop.
type target struct {
	rcpt    int
	address string
}

// planner groups the recipients of an attempt.
type planner struct {
	*attempt
	groups  []*group
	byKey   map[[2]string]*group // by key and owner
	keys    map[string]bool      // recipients that go anywhere, by route.Decision.Key
	aliases []alias
}

// plan routes the pending recipients and groups them. Whom routing refuses is settled, and all are when it is too late.
// Aliases are expanded: that is on record before plan returns. An error is the spool's.
func (a *attempt) plan() ([]*group, error) {
	p := planner{attempt: a, byKey: map[[2]string]*group{}, keys: map[string]bool{}}
	known := len(a.c.Envelope.Rcpts)
	for i := range known {
		p.add(i)
	}
	if err := p.expand(); err != nil {
		return nil, err
	}
	for i := known; i < len(a.c.Envelope.Rcpts); i++ {
		p.add(i)
	}
	return p.groups, nil
}

// add routes one recipient that is pending.
func (p *planner) add(i int) {
	r := &p.c.Envelope.Rcpts[i]
	switch {
	case p.c.History.Done(i) || p.tried(i):
		return
	case r.Sender == "" && p.tooLate():
		p.giveUp(i)
		return
	}
	d, err := p.forSender(p.route(r), r)
	if err != nil {
		p.settleFailure(i, status.From(err), source{})
		return
	}
	switch {
	case d.Kind == route.Refuse:
		p.settleFailure(i, d.Status, source{})
	case d.Member != "":
		p.settleFailure(i, status.New("queuerun.plan", 451, status.Code{4, 3, 5}, "delivery to commands and files is not available in this installation", nil), source{})
	case d.Kind == route.Expand:
		p.aliases = append(p.aliases, alias{i, d.Members})
	default:
		p.keys[d.Key()] = true
		g := p.group(d, r.Sender)
		g.rcpts = append(g.rcpts, target{i, d.Address.String()})
	}
}

// group is the group for a decision.
func (p *planner) group(d route.Decision, owner string) *group {
	g := p.destination(d)
	id := [2]string{g.key, owner}
	if have := p.byKey[id]; have != nil {
		return have
	}
	g.owner = owner
	p.groups, p.byKey[id] = append(p.groups, g), g
	return g
}

// route decides about a recipient. Members of an alias are none, and the sender may have escaped others.
func (a *attempt) route(r *queue.Rcpt) route.Decision {
	if r.Parent > 0 || r.NoAlias || a.c.Envelope.NoAlias {
		return a.Router.Final(route.Member{Address: r.Address, Agent: r.Agent, Via: r.Via})
	}
	addr, err := address.Parse(r.Address)
	if err != nil {
		st := status.New("queuerun.route", 553, status.Code{5, 1, 3}, "not an address", err)
		return route.Decision{Kind: route.Refuse, Status: st}
	}
	return a.Router.Route(addr)
}

// destination is the empty group for a decision.
func (a *attempt) destination(d route.Decision) *group {
	if d.Kind == route.Relay {
		return &group{key: d.Next.Key, next: d.Next, away: true}
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
