package queuerun

import (
	"fmt"

	"postrider/internal/dsn"
	"postrider/internal/route"
	"postrider/internal/status"
	"postrider/queue"
)

// alias is a recipient that others take the place of.
type alias struct {
	rcpt    int
	members []route.Member
}

// expand puts on record who takes the place of the aliases that were found. Nobody gets the message twice: who is a
// recipient already, by whatever name, is left out.
func (p *planner) expand() error {
	if len(p.aliases) == 0 {
		return nil
	}
	p.knowOthers()
	list := make([]queue.Expansion, len(p.aliases))
	for i, al := range p.aliases {
		list[i] = p.expansion(al)
	}
	if err := p.c.Expand(p.began, list...); err != nil {
		return err
	}
	p.fates = append(p.fates, make([]fate, len(p.c.Envelope.Rcpts)-len(p.fates))...)
	for _, x := range list {
		p.tellExpanded(x)
	}
	return nil
}

// knowOthers adds the recipients that were tried before to those that are known.
func (p *planner) knowOthers() {
	for i := range p.c.Envelope.Rcpts {
		last, ok := p.c.History.Last(i)
		if !ok || last.Kind == queue.Expanded {
			continue
		}
		d := p.route(&p.c.Envelope.Rcpts[i])
		p.keys[d.Key()] = true
	}
}

func (p *planner) expansion(al alias) queue.Expansion {
	x := queue.Expansion{Rcpt: al.rcpt, Members: make([]queue.Rcpt, 0, len(al.members))}
	for _, m := range al.members {
		if m.Key != "" && p.keys[m.Key] {
			continue
		}
		p.keys[m.Key] = true
		if m.Fault != "" {
			p.Log.Warning(string(p.ID), "an alias names somebody who is no recipient: "+m.Fault)
		}
		x.Members = append(x.Members, p.member(al.rcpt, m))
	}
	x.Text = fmt.Sprintf("expanded to %d recipients", len(x.Members))
	if len(x.Members) == 1 {
		x.Text = "expanded to 1 recipient"
	}
	return x
}

// member is a recipient that takes the place of another, with its terms (RFC 3461 section 5.2.7). A list with an owner
// is a new beginning: failures are the owner's affair, and the sender's terms end with the list. Otherwise the terms go
// on, but for success, of which an alias tells once for all; and so does the name by which the sender knows the
// recipient. A message without a sender has none after the list either: a report must not give rise to another.
func (p *planner) member(parent int, m route.Member) queue.Rcpt {
	r := queue.Rcpt{Address: m.Address, Agent: m.Agent, NoAlias: true}
	if m.Owner != "" && p.c.Envelope.Sender != "" {
		r.Sender = m.Owner
		return r
	}
	from := &p.c.Envelope.Rcpts[parent]
	if r.ORcpt = from.ORcpt; r.ORcpt == "" {
		r.ORcpt = dsn.ORcpt(from.Address)
	}
	if r.Notify = from.Notify &^ queue.NotifySuccess; r.Notify == 0 && from.Notify != 0 {
		r.Notify = queue.NotifyNever
	}
	return r
}

// expandedStatus is the outcome of a recipient that was expanded.
func expandedStatus(text string) *status.Status {
	return status.New("queuerun.expand", 250, status.Code{2, 0, 0}, text, nil)
}

func (p *planner) tellExpanded(x queue.Expansion) {
	address := p.c.Envelope.Rcpts[x.Rcpt].Address
	p.say("%s... aliased: %s\n", address, x.Text)
	st := expandedStatus(x.Text)
	p.Log.Attempt(string(p.ID), address, "", "", p.Now().Sub(p.c.Envelope.Arrival), st.Code(), outcomes[queue.Delivered], x.Text, "")
}

// isList tells whether a recipient that was expanded is a list with an owner: delivery to the list is the end then, as
// far as the sender is concerned.
func (a *attempt) isList(rcpt int) bool {
	for _, r := range a.c.Envelope.Rcpts {
		if r.Parent == rcpt+1 && r.Sender != "" {
			return true
		}
	}
	return false
}
