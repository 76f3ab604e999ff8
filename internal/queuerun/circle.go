package queuerun

import (
	"strings"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/route"
)

// Who leads to whom must never be a circle, or nobody in it would get the message: each would be a recipient already. It
// may be one of names, as when alice forwards to bob, and bob to alice: whoever would close it is taken for his mailbox
// instead. All that is needed to see that is on record, as .forward files are read one after the other, in several attempts
// maybe, and may change meanwhile.

// acquaintance is what is known of the recipients of a message.
type acquaintance struct {
	known map[string]int // the first recipient of each key (route.Decision.Key)
	named map[int][]int  // by a recipient: others that have led to it when it was one already
	seen  []bool         // recipients that are among the known, or have no key
	all   bool           // all are
}

func (w *acquaintance) forget() {
	clear(w.known)
	clear(w.named)
	w.seen, w.all = nil, false
}

// see notes that recipient i need not be looked at again; false when it was.
func (w *acquaintance) see(i int) bool {
	if more := i + 1 - len(w.seen); more > 0 {
		w.seen = append(w.seen, make([]bool, more)...)
	}
	was := w.seen[i]
	w.seen[i] = true
	return !was
}

// leadsOn tells whether a recipient of a key may lead to others: an alias, or a user of this machine.
func leadsOn(key string) bool {
	return strings.HasPrefix(key, "local ") || strings.HasPrefix(key, "alias ")
}

// learn notes a recipient by the decision about it.
func (p *planner) learn(i int, d *route.Decision) {
	p.who.see(i)
	key := d.Key()
	if via := p.c.Envelope.Forwarder(i); via != "" && d.Member != "" {
		key = d.Agent + " " + via + " " + d.Member // as route.Router.Forward has it
	}
	if _, ok := p.who.known[key]; !ok && key != "" {
		p.who.known[key] = i
	}
}

// knowAll adds the recipients that this attempt need not route, as they are done.
func (p *planner) knowAll() {
	if p.who.all {
		return
	}
	p.who.all = true
	for i := range p.c.Envelope.Rcpts {
		r := &p.c.Envelope.Rcpts[i]
		if r.Same > 0 {
			p.who.named[r.Same-1] = append(p.who.named[r.Same-1], r.Parent-1)
			continue
		}
		if p.who.see(i) {
			d := p.identify(i)
			p.learn(i, &d)
		}
	}
}

// identify is the decision about a recipient, as far as its key goes. A list that was expanded is not read again.
func (p *planner) identify(i int) route.Decision {
	r := &p.c.Envelope.Rcpts[i]
	if a, err := address.Parse(r.Address); err == nil && r.Agent == "" && !r.NoAlias && !p.c.Envelope.NoAlias {
		return p.Router.Check(a)
	}
	return p.route(i)
}

// place finds out whether a member that recipient i leads to is the same as another, which it returns, or new (-1): then it
// is known from here on under the number next. What would close a circle becomes a mailbox.
func (p *planner) place(i int, m route.Member, next int) (route.Member, int) {
	same, ok := p.who.known[m.Key]
	if ok && leadsOn(m.Key) && p.leads(same, i) {
		m = p.endOf(i, m)
		same, ok = p.who.known[m.Key]
	}
	switch {
	case m.Key == "":
	case ok:
		return m, same
	default:
		p.who.known[m.Key] = next
	}
	return m, -1
}

// leads tells whether recipient x has led to y, or is y.
func (p *planner) leads(x, y int) bool {
	seen := map[int]bool{}
	for todo := []int{y}; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if i == x {
			return true
		}
		if i < 0 || i >= len(p.c.Envelope.Rcpts) || seen[i] {
			continue
		}
		seen[i] = true
		todo = append(append(todo, p.c.Envelope.Rcpts[i].Parent-1), p.who.named[i]...)
	}
	return false
}

// endOf is who gets the message where m, whom recipient i leads to, would close a circle: the mailbox of m if that is a
// user, or else of the last one who has forwarded it.
func (p *planner) endOf(i int, m route.Member) route.Member {
	user := p.userOf(m)
	if user == "" {
		user = m.Via
	}
	for ; user == "" && i >= 0; i = p.c.Envelope.Rcpts[i].Parent - 1 {
		user = p.c.Envelope.Forwarder(i)
	}
	a, err := address.Parse(user)
	if user == "" || err != nil {
		m.Agent, m.Key, m.Fault = route.AgentNone, "", "aliases lead in a circle: "+m.Address
		return m
	}
	m.Address, m.Agent, m.Key = user, route.AgentMailbox, route.AgentMailbox+" "+aliases.AddressKey(a, true)
	return m
}

// userOf is the user of this machine whom a member comes to; "" when it comes to none.
func (p *planner) userOf(m route.Member) string {
	a, err := address.Parse(m.Address)
	if err != nil {
		return ""
	}
	d := p.Router.Check(a)
	if m.Via == "" {
		d = p.Router.Final(m)
	}
	if d.Kind != route.Local || d.Member != "" {
		return ""
	}
	return d.Address.WithDomain(p.Config.Hostname).String()
}
