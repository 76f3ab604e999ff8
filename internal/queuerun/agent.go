package queuerun

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"postrider/internal/address"
	"postrider/internal/local"
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
		looped, err = a.wasAt(t)
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

// deliveredTo is what goes before the message for a recipient whom a .forward names, so that a loop over other machines is
// seen: a field for each who has forwarded it.
func (a *attempt) deliveredTo(i int) string {
	var fields strings.Builder
	for ; i >= 0; i = a.c.Envelope.Rcpts[i].Parent - 1 {
		if via := a.c.Envelope.Forwarder(i); via != "" {
			fmt.Fprintf(&fields, "Delivered-To: %s\r\n", status.Clean(via, status.MaxText))
		}
	}
	if fields.Len() > 0 && a.headless() {
		fields.WriteString("\r\n")
	}
	return fields.String()
}

// wasAt tells whether the message has been with a user before: a Delivered-To field names him.
func (a *attempt) wasAt(t target) (bool, error) {
	h, err := a.scanned()
	if err != nil {
		return false, err
	}
	user := a.Router.Final(route.Member{Address: t.address})
	for _, s := range h.deliveredTo {
		d := a.Router.Final(route.Member{Address: s})
		if strings.EqualFold(s, t.address) || d.Key() != "" && d.Key() == user.Key() {
			return true, nil
		}
	}
	return len(h.deliveredTo) == maxDeliveredTo, nil
}

// headless tells whether the message has no header, and not even the empty line that ends one.
func (a *attempt) headless() bool {
	h, err := a.scanned()
	return err == nil && h.headless
}

// header is what a message tells of where it was.
type header struct {
	deliveredTo []string
	headless    bool
}

// maxDeliveredTo is how many Delivered-To fields are looked at. A message with so many goes in circles, whoever is named.
const maxDeliveredTo = 100

// scanned is the message's header. It is read once.
func (a *attempt) scanned() (*header, error) {
	if a.header == nil {
		h, err := scanHeader(a.c.Body())
		if err != nil {
			return nil, fmt.Errorf("cannot read the message: %w", err)
		}
		a.header = &h
	}
	return a.header, nil
}

// scanHeader reads up to the end of the header, in bounded memory.
func scanHeader(body io.Reader) (h header, err error) {
	r := bufio.NewReaderSize(body, 4<<10)
	for first, whole := true, true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return h, err
		}
		if whole {
			name, value, field := bytes.Cut(line, []byte(":"))
			folded := !first && len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
			if field = field && len(name) > 0 && !bytes.ContainsAny(bytes.TrimRight(name, " \t"), " \t"); !field && !folded {
				h.headless = first && len(bytes.TrimRight(line, "\r\n")) > 0
				return h, nil
			}
			if !folded && bytes.EqualFold(bytes.TrimRight(name, " \t"), []byte("Delivered-To")) {
				h.deliveredTo = append(h.deliveredTo, string(bytes.TrimSpace(value)))
			}
		}
		if err == io.EOF || len(h.deliveredTo) == maxDeliveredTo {
			return h, nil
		}
		whole = err == nil
	}
}

// here delivers to one recipient in this process, whose rights are the user's. An error is the context's.
func (a *attempt) here(g *group, t target) error {
	u := local.User{Name: g.user.Name, Home: g.user.Home, UID: g.user.UID}
	d := local.Delivery{
		ID: string(a.ID), N: t.rcpt, Sender: a.envelope(g.owner).Sender, Rcpt: t.address, Original: a.c.Envelope.Root(t.rcpt),
		Arrival: a.c.Envelope.Arrival, Date: a.Now(), Body: a.c.Body(),
	}
	from := source{relay: localRelay}
	var st *status.Status
	switch {
	case t.member != "":
		by := local.FromAlias
		if a.c.Envelope.Forwarder(t.rcpt) != "" {
			by = local.FromUser
		}
		st = a.Member(a.grace, t.member, by, u, d)
	case t.mailbox:
		st = a.Deliver(a.grace, a.Config.Local.Mailbox, u, d)
	default:
		f, err := a.Forward(u, extension(t.address, u.Name))
		for _, note := range f.Notes {
			a.Log.ForwardIgnored(string(a.ID), u.Name, note)
		}
		switch {
		case err != nil:
			st = status.From(err)
		case len(f.Members) > 0 && !(len(f.Members) == 1 && f.Members[0] == u.Mailbox()):
			a.forwarded(t, f.Members, from)
			return nil
		default:
			st = a.Deliver(a.grace, a.Config.Local.Mailbox, u, d)
		}
	}
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
