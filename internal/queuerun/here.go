package queuerun

import (
	"strings"

	"postrider/internal/address"
	"postrider/internal/local"
	"postrider/internal/status"
	"postrider/queue"
)

// allHere delivers to a user in this process. Several recipients may lead there.
func (a *attempt) allHere(g *group) error {
	for _, t := range a.alreadyThere(g.rcpts) {
		if err := a.mayBegin(); err != nil {
			return err
		}
		if err := a.here(g, t); err != nil {
			return err
		}
	}
	return nil
}

// here delivers to one recipient in this process, whose rights are the user's. An error is the context's.
func (a *attempt) here(g *group, t target) error {
	u, from := local.User{Name: g.user.Name, Home: g.user.Home, UID: g.user.UID}, source{relay: localRelay}
	if t.member == "" && !t.mailbox {
		switch list, err := a.readForward(u, extension(t.address, u.Name)); {
		case err != nil:
			a.settleFailure(t.rcpt, status.From(err), from)
			return nil
		case list != nil:
			a.forwarded(t, list, from)
			return nil
		}
	}
	st := a.deliverHere(g, t, u)
	switch {
	case st.Class() == status.Success:
		a.settle(t.rcpt, queue.Delivered, st, from)
	case a.grace.Err() != nil:
		return a.grace.Err()
	default:
		a.settleFailure(t.rcpt, st, from)
	}
	return nil
}

// readForward is what a user's .forward says; nil when his mail goes into his mailbox.
func (a *attempt) readForward(u local.User, extension string) ([]string, error) {
	f, err := a.Forward(u, extension)
	for _, note := range f.Notes {
		a.Log.ForwardIgnored(string(a.ID), u.Name, note)
	}
	if err != nil || len(f.Members) == 1 && f.Members[0] == u.Mailbox() {
		return nil, err
	}
	return f.Members, nil
}

// deliverHere is the outcome of a delivery into a mailbox, or to what a user or an alias stands for.
func (a *attempt) deliverHere(g *group, t target, u local.User) *status.Status {
	d := local.Delivery{
		ID: string(a.ID), N: t.rcpt, Sender: a.envelope(g.owner).Sender, Rcpt: t.address, Original: a.c.Envelope.Root(t.rcpt),
		Arrival: a.c.Envelope.Arrival, Date: a.Now(), Body: a.c.Body(),
	}
	switch {
	case t.member == "":
		return a.Deliver(a.grace, a.Config.Local.Mailbox, u, d)
	case a.c.Envelope.Forwarder(t.rcpt) != "":
		return a.Member(a.grace, t.member, local.FromUser, u, d)
	}
	return a.Member(a.grace, t.member, local.FromAlias, u, d)
}

// extension is what an address has behind a user's name and a plus.
func extension(addr, user string) string {
	a, err := address.Parse(addr)
	if err != nil {
		return ""
	}
	if s := a.Unquoted(); len(s) > len(user)+1 && s[len(user)] == '+' && strings.EqualFold(s[:len(user)], user) {
		return s[len(user)+1:]
	}
	return ""
}
