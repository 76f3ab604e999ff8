package queuerun

import (
	"strings"

	"postrider/internal/address"
	"postrider/internal/route"
	"postrider/internal/status"
	"postrider/queue"
)

// group is recipients that go to one place, from one sender, with one header.
type group struct {
	key    string
	user   *route.User // local delivery by this process, as this user
	next   route.NextHop
	agent  bool   // next is the delivery agent
	away   bool   // next is not on this machine
	owner  string // who owns the list that they are on, and is the sender; "": the message has its own
	header string // fields that go before the message
	rcpts  []target
}

// target is a recipient by its number, with the address that stands for it at the next hop.
type target struct {
	rcpt    int
	address string
	mailbox bool   // the user's mailbox is meant, whatever his .forward says
	member  string // what address stands for: a command, a file or a Maildir; "": the user
}

// groupID tells groups apart.
type groupID struct {
	key, owner, header string
	late               bool // after all others
}

// planner groups the recipients of an attempt. It knows who they are and who has led to whom, and goes on with those that
// take the place of others.
type planner struct {
	*attempt
	next   int // those from here on are not planned yet
	groups []*group
	byID   map[groupID]*group
	found  []expansion // to be put on record
	who    acquaintance
}

func newPlanner(a *attempt) *planner {
	return &planner{attempt: a, who: acquaintance{known: map[string]int{}, named: map[int][]int{}}}
}

// plan routes the pending recipients that are not planned yet and groups them. Whom routing refuses is settled, and all are
// when it is too late. Others that take the place of recipients are on record before plan returns. An error is the spool's.
func (p *planner) plan() ([]*group, error) {
	p.groups, p.byID = nil, map[groupID]*group{}
	for {
		for ; p.next < len(p.c.Envelope.Rcpts); p.next++ {
			p.add(p.next)
		}
		if len(p.found) == 0 {
			return p.inOrder(), nil
		}
		if err := p.expand(); err != nil {
			return nil, err
		}
	}
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
	d, err := p.forSender(p.route(i), r)
	if err != nil {
		p.settleFailure(i, status.From(err), source{})
		return
	}
	switch d.Kind {
	case route.Refuse:
		p.settleFailure(i, d.Status, source{})
	case route.Expand:
		p.found = append(p.found, p.alias(i, d))
	default:
		p.learn(i, &d)
		g := p.group(i, d)
		if g.agent || g.user != nil {
			d.Address = d.Address.WithDomain(p.Config.Hostname)
		}
		g.rcpts = append(g.rcpts, target{i, d.Address.String(), d.Agent == route.AgentMailbox, d.Member})
	}
}

// group is the group for a decision about a recipient.
func (p *planner) group(i int, d route.Decision) *group {
	g := p.destination(d)
	g.owner = p.c.Envelope.Rcpts[i].Sender
	if g.away {
		g.header = p.deliveredTo(i)
	}
	id := groupID{g.key, g.owner, g.header, d.Agent == route.AgentMailbox}
	if have := p.byID[id]; have != nil {
		return have
	}
	fresh := &g
	p.groups, p.byID[id] = append(p.groups, fresh), fresh
	return fresh
}

// inOrder are the groups in the order in which they are offered: mailboxes come last, as the message may get there by
// their users' names.
func (p *planner) inOrder() []*group {
	var first, last []*group
	for _, g := range p.groups {
		if g.rcpts[0].mailbox {
			last = append(last, g)
		} else {
			first = append(first, g)
		}
	}
	return append(first, last...)
}

// route decides about a recipient. Members of an alias are none, and the sender may have escaped others.
func (a *attempt) route(i int) route.Decision {
	r := &a.c.Envelope.Rcpts[i]
	if r.NoAlias || r.Agent != "" || a.c.Envelope.NoAlias {
		m := route.Member{Address: r.Address, Agent: r.Agent, Via: r.Via}
		switch {
		case r.Parent == 0 && r.NoAlias:
			m.Agent = route.AgentMailbox
		case m.Via == "": // a journal from before it was kept
			m.Via = a.c.Envelope.Parent(i)
		}
		return a.Router.Final(m)
	}
	addr, err := address.Parse(r.Address)
	if err != nil {
		st := status.New("queuerun.route", 553, status.Code{5, 1, 3}, "not an address", err)
		return route.Decision{Kind: route.Refuse, Status: st}
	}
	return a.Router.Route(addr)
}

// destination is the empty group for a decision.
func (a *attempt) destination(d route.Decision) group {
	if d.Kind == route.Relay {
		return group{key: d.Next.Key, next: d.Next, away: true}
	}
	socket, lmtp := strings.CutPrefix(a.Config.Local.Mailbox, "lmtp+unix:")
	switch {
	case lmtp && d.Member == "":
		key := a.Config.Local.Mailbox
		return group{key: key, next: route.NextHop{Key: key, Socket: socket, LMTP: true, TLS: route.TLSNone}}
	case a.Ours(d):
		return group{key: "local:" + d.User.Name, user: &d.User}
	}
	return group{key: agentKey, agent: true, next: route.NextHop{Key: agentKey, Socket: a.Config.Local.Socket, LMTP: true, TLS: route.TLSNone}}
}

// tried tells whether the attempt, before it waited, was at a recipient already.
func (a *attempt) tried(rcpt int) bool {
	last, ok := a.c.History.Last(rcpt)
	return ok && a.resumed && last.Time.Equal(a.began)
}

// notify is what a recipient wants to hear.
func (a *attempt) notify(rcpt int) queue.Notify { return a.c.Envelope.Rcpts[rcpt].Notify }
