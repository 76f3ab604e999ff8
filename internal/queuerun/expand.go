package queuerun

import (
	"errors"
	"fmt"

	"postrider/internal/dsn"
	"postrider/internal/route"
	"postrider/internal/status"
	"postrider/queue"
)

// expansion is a recipient that others take the place of.
type expansion struct {
	rcpt    int
	members []route.Member
	from    source // the delivery agent that has read his .forward; nobody: an alias
}

// forwarded tells whether a .forward is behind it.
func (x *expansion) forwarded() bool { return x.from != source{} }

// maxForwarded is how many recipients a message may have with those of .forward files. An alias alone may have fewer.
const maxForwarded = 300_000

// alias is what becomes of a recipient that is one. Where an alias is a recipient by another name already, or has led to
// this one, that is its only member.
func (p *planner) alias(i int, d route.Decision) expansion {
	if first, known := p.who.known[d.Key()]; known && first != i {
		m := route.Member{Address: d.Address.WithDomain(p.Config.Hostname).String(), Key: d.Key()}
		return expansion{rcpt: i, members: []route.Member{m}}
	}
	p.learn(i, &d)
	return expansion{rcpt: i, members: d.Members}
}

// expand puts on record who takes the place of the recipients that were found. Nobody gets the message twice: who is a
// recipient already, by whatever name, gets it as that.
func (p *planner) expand() error {
	found := p.found
	if p.found = nil; len(found) == 0 {
		return nil
	}
	p.knowAll()
	var list []queue.Expansion
	n := len(p.c.Envelope.Rcpts)
	for i := range found {
		if found[i].forwarded() && n+len(found[i].members) > maxForwarded {
			p.tooMany(found[i])
			continue
		}
		x := p.expansion(&found[i], n)
		n += len(x.Members)
		list = append(list, x)
	}
	if len(list) == 0 {
		return nil
	}
	err := p.c.Expand(p.began, list...)
	if errors.Is(err, queue.ErrTooMany) {
		p.who.forget()
		for _, x := range list {
			p.tooMany(expansion{rcpt: x.Rcpt})
		}
		return nil
	}
	if err != nil {
		return err
	}
	for i := range list {
		p.expanded(&list[i])
	}
	return nil
}

func (p *planner) tooMany(x expansion) {
	p.settleFailure(x.rcpt, status.New("queuerun.expand", 451, status.Code{4, 5, 3}, queue.ErrTooMany.Error(), nil), source{})
}

// expansion is the record of one; its first member gets the number next.
func (p *planner) expansion(x *expansion, next int) queue.Expansion {
	rec := queue.Expansion{Rcpt: x.rcpt, Members: make([]queue.Rcpt, 0, len(x.members)), Relay: x.from.relay}
	others := 0
	for _, m := range x.members {
		m, same := p.place(x.rcpt, m, next+len(rec.Members))
		r := p.member(x, m)
		switch {
		case same < 0:
			others++
		case !leadsOn(m.Key):
			continue // it is served where it is
		default:
			r.Same, r.Notify = same+1, r.Notify&^queue.NotifySuccess
			p.who.named[same] = append(p.who.named[same], x.rcpt)
		}
		if m.Fault != "" {
			p.Log.Warning(string(p.ID), "an alias names somebody who is no recipient: "+m.Fault)
		}
		rec.Members = append(rec.Members, r)
	}
	rec.Text = "expanded to " + recipients(others)
	if x.forwarded() {
		rec.Text = "forwarded to " + recipients(len(x.members))
	}
	return rec
}

func recipients(n int) string {
	if n == 1 {
		return "1 recipient"
	}
	return fmt.Sprintf("%d recipients", n)
}

// member is a recipient that takes the place of another, with its terms (RFC 3461 section 5.2.7). A list with an owner
// is a new beginning: failures are the owner's affair, and the sender's terms end with the list. Otherwise the terms go
// on, but for success, of which an alias tells once for all; and so does the name by which the sender knows the
// recipient. Who forwards to one alone lets that one tell. A message without a sender has none after the list either: a
// report must not give rise to another.
func (p *planner) member(x *expansion, m route.Member) queue.Rcpt {
	r := queue.Rcpt{Address: m.Address, Agent: m.Agent, Via: m.Via, NoAlias: !x.forwarded()}
	from := &p.c.Envelope.Rcpts[x.rcpt]
	if m.Owner != "" && p.c.Envelope.Sender != "" {
		r.Sender = m.Owner
		return r
	}
	r.Sender, r.ORcpt, r.Notify = from.Sender, from.ORcpt, from.Notify
	if r.ORcpt == "" && r.Sender == "" {
		r.ORcpt = dsn.ORcpt(from.Address)
	}
	if len(x.members) == 1 && x.forwarded() {
		return r
	}
	if r.Notify &^= queue.NotifySuccess; r.Notify == 0 && from.Notify != 0 {
		r.Notify = queue.NotifyNever
	}
	return r
}

// expandedStatus is the outcome of a recipient that was expanded.
func expandedStatus(text string) *status.Status {
	return status.New("queuerun.expand", 250, status.Code{2, 0, 0}, text, nil)
}

// expanded tells of an expansion that is on record. Success is told of who takes a recipient's place alone, not of him.
func (p *planner) expanded(x *queue.Expansion) {
	r := &p.c.Envelope.Rcpts[x.Rcpt]
	how := "aliased: "
	if x.Relay != "" {
		how = ""
	}
	p.say("%s... %s%s\n", r.Address, how, x.Text)
	st := expandedStatus(x.Text)
	p.Log.Attempt(string(p.ID), r.Address, p.c.Envelope.Root(x.Rcpt), x.Relay, p.Now().Sub(p.c.Envelope.Arrival), st.Code(), outcomes[queue.Delivered], x.Text, "")
	if r.Notify&queue.NotifySuccess != 0 && len(x.Members) == 1 && x.Members[0].Notify&queue.NotifySuccess != 0 {
		p.hush(x.Rcpt)
	}
}

// lists are the recipients that were lists with an owner: delivery to the list is the end then, as far as the sender is
// concerned.
func (a *attempt) lists() map[int]bool {
	set := map[int]bool{}
	for _, r := range a.c.Envelope.Rcpts {
		if p := r.Parent - 1; p >= 0 && r.Sender != "" && p < len(a.c.Envelope.Rcpts) && a.c.Envelope.Rcpts[p].Sender != r.Sender {
			set[p] = true
		}
	}
	return set
}
