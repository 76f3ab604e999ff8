package queuerun

import (
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/queue"
)

// forSender lets the sender of a recipient's mail choose another smarthost.
func (p *planner) forSender(d route.Decision, r *queue.Rcpt) (route.Decision, error) {
	if d.Kind != route.Relay {
		return d, nil
	}
	from := p.envelope(r.Sender).Sender
	seen, err := p.Router.Sender(from)
	if err != nil {
		return d, err
	}
	return p.Router.ForSender(d, from, seen), nil
}

// outward is a message as those away from this machine see it. What is in the queue stays as it was submitted. An error
// is temporary.
func (a *attempt) outward(g *group, m smtp.Message) (smtp.Message, error) {
	if !g.away {
		return m, nil
	}
	var err error
	if m.Sender, err = a.Router.Sender(m.Sender); err == nil {
		m.Body, err = a.Router.Message(m.Body)
	}
	return m, err
}
