package queuerun

import (
	"postrider/internal/address"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// agentKey is the next hop that is our own delivery agent, local(8).
const agentKey = "local"

// forwarded notes that a user's .forward names others, unless the message has been with him already and was forwarded.
func (a *attempt) forwarded(t target, list []string, from source) {
	user, err := address.Parse(t.address)
	var looped bool
	if err == nil {
		looped, err = a.wasAt(user)
	}
	switch {
	case err != nil:
		a.settleFailure(t.rcpt, status.From(err), from)
	case looped:
		st := status.New("queuerun.forward", 554, status.Code{5, 4, 6}, "mail forwarding loop for "+status.Clean(t.address, status.MaxText), nil)
		a.settleFailure(t.rcpt, st, from)
	default:
		a.planner.found = append(a.planner.found, expansion{t.rcpt, a.Router.Forward(user, list), from})
	}
}

// alreadyThere settles mailboxes that the message is in by their users' names, and returns the others.
func (a *attempt) alreadyThere(rcpts []target) []target {
	if !rcpts[0].mailbox || len(a.c.Envelope.Rcpts) == 1 {
		return rcpts
	}
	a.planner.knowAll()
	var left []target
	for _, t := range rcpts {
		if first, ok := a.planner.sameMailbox(t); ok {
			st := status.New("queuerun.agent", 250, status.Code{2, 0, 0}, "it is in the mailbox already, as mail for "+a.c.Envelope.Rcpts[first].Address, nil)
			a.settle(t.rcpt, queue.Delivered, st, source{relay: localRelay})
			continue
		}
		left = append(left, t)
	}
	return left
}

// sameMailbox finds the user's own recipient whose mail is in the mailbox that t is.
func (p *planner) sameMailbox(t target) (int, bool) {
	d := p.Router.Final(route.Member{Address: t.address})
	first, ok := p.who.known[d.Key()]
	return first, ok && leadsOn(d.Key()) && p.last(first).Kind == queue.Delivered
}

// agentMessage adds what our delivery agent hears of a message.
func (a *attempt) agentMessage(m *smtp.Message, batch []target) {
	m.ID, m.Arrival = string(a.ID), a.c.Envelope.Arrival
	for i, t := range batch {
		r := &m.Rcpts[i]
		r.Number, r.Mailbox, r.Member = t.rcpt+1, t.mailbox, t.member
	}
}
