package queue

import (
	"strconv"
	"time"
)

// Expansion is what became of a recipient that is an alias: others took its place. They follow the recipients of the
// envelope, in Envelope.Rcpts of every later Claim and Message too.
type Expansion struct {
	Rcpt    int    // its index
	Members []Rcpt // without those that the message has already; Parent is filled in
	Text    string // what it was, for listings
}

// memberRecord is the kind of a line that tells of one member. It counts from the Expanded record on that follows all
// members of one recipient, so that no part of an expansion is ever taken for the whole.
const memberRecord = "member"

// Expand records expansions and adds the members to c.Envelope.Rcpts. It is durable when Expand returns: nobody must
// get the message before, and nobody gets it twice, or not at all, because the alias has changed meanwhile. After an
// error nothing is known to be recorded: no transaction may begin on this claim.
func (c *Claim) Expand(at time.Time, list ...Expansion) error {
	if err := c.openJournal(); err != nil {
		return failed("record", err)
	}
	var text []byte
	if c.torn {
		text = append(text, '\n')
	}
	var members []Rcpt
	records := make([]Record, len(list))
	for i, x := range list {
		for _, m := range x.Members {
			m.Parent = x.Rcpt + 1
			text = appendMember(text, at, len(c.Envelope.Rcpts)+len(members), &m)
			members = append(members, m)
		}
		records[i] = Record{Time: at, Kind: Expanded, Rcpts: One(x.Rcpt), Members: len(x.Members), Text: x.Text}
		text = appendRecord(text, &records[i])
	}
	if err := c.append(text); err != nil {
		return failed("record", err)
	}
	if err := c.syncJournal(); err != nil {
		return failed("record", err)
	}
	c.remember(records)
	c.Envelope.Rcpts = append(c.Envelope.Rcpts, members...)
	c.History.grow(len(c.Envelope.Rcpts))
	return nil
}

// appendMember writes a member as one line of a journal: the number that it gets, and what an envelope has of a
// recipient.
func appendMember(b []byte, at time.Time, index int, m *Rcpt) []byte {
	n := strconv.Itoa(index + 1)
	line := append(appendTime(nil, at), " "+memberRecord+" "...)
	line = append(append(append(line, n...), '-'), n...)
	line = appendParam(line, "parent", strconv.Itoa(m.Parent))
	line = appendParam(line, "rcpt", m.Address)
	line = appendParam(line, "agent", m.Agent)
	line = appendParam(line, "sender", m.Sender)
	line = appendParam(line, "notify", m.Notify.String())
	line = appendParam(line, "orcpt", m.ORcpt)
	line = appendParam(line, "noalias", yes(m.NoAlias))
	return appendChecked(b, line)
}

// parseMember reads what appendMember writes behind the number.
func parseMember(rest string) (m Rcpt, ok bool) {
	ok = params(rest, func(key, value string) {
		switch key {
		case "parent":
			m.Parent, _ = strconv.Atoi(value)
		case "rcpt":
			m.Address = value
		case "agent":
			m.Agent = value
		case "sender":
			m.Sender = value
		case "notify":
			m.Notify, _ = ParseNotify(value)
		case "orcpt":
			m.ORcpt = value
		case "noalias":
			m.NoAlias = value == "yes"
		}
	})
	return m, ok && m.Address != "" && m.Parent > 0
}

// expansions reads the members of a journal.
type expansions struct {
	known   int    // recipients of the envelope and of expansions that are whole
	members []Rcpt // of those
	pending []Rcpt // of one that is not, yet
}

// member takes a member in. One with the first free number begins anew: those before it are of an expansion that did
// not become durable.
func (x *expansions) member(index int, m Rcpt) {
	switch index {
	case x.known:
		x.pending = append(x.pending[:0:0], m)
	case x.known + len(x.pending):
		x.pending = append(x.pending, m)
	}
}

// whole tells whether all members that a record tells of are there, and takes them for recipients then.
func (x *expansions) whole(r *Record) bool {
	if r.Members == 0 {
		x.pending = nil
	}
	for _, m := range x.pending {
		if r.Members != len(x.pending) || m.Parent != r.Rcpts.First+1 {
			return false
		}
	}
	if r.Members != len(x.pending) || r.Rcpts.First < 0 || r.Rcpts.First >= x.known || r.Rcpts.First != r.Rcpts.Last {
		return false
	}
	x.members, x.known = append(x.members, x.pending...), x.known+len(x.pending)
	x.pending = nil
	return true
}
