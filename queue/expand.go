package queue

import (
	"errors"
	"slices"
	"strconv"
	"time"
)

// Expansion is what became of a recipient that is an alias, or a user whose .forward names others: they took its place.
// They follow the recipients of the envelope, in Envelope.Rcpts of every later Claim and Message too. One that is Same as
// another is done by that, and only tells who leads to whom.
type Expansion struct {
	Rcpt    int    // its index
	Members []Rcpt // Parent is filled in
	Text    string // what it was, for listings
	Relay   string // who said so, as in a Record
}

// maxExpanded is how many bytes of a journal expansions may fill. The rest, of what is read of it, is for what becomes of
// all those recipients.
const maxExpanded = maxJournal / 2

// expandBlock is how much of an expansion is written at once.
var expandBlock = 256 << 10

// ErrTooMany says that there is no room for more recipients.
var ErrTooMany = errors.New("the message has too many recipients")

// memberRecord is the kind of a line that tells of one member. It counts from the Expanded record on that follows all
// members of one recipient, so that no part of an expansion is ever taken for the whole.
const memberRecord = "member"

// Expand records expansions and adds the members to c.Envelope.Rcpts. It is durable when Expand returns: nobody must
// get the message before, and nobody gets it twice, or not at all, because the alias has changed meanwhile. After an
// error nothing is known to be recorded: no transaction may begin on this claim. But after ErrTooMany nothing is recorded,
// and all may go on as before.
func (c *Claim) Expand(at time.Time, list ...Expansion) error {
	if err := c.openJournal(); err != nil {
		return failed("record", err)
	}
	members, size := measured(list)
	if c.journaled+size > maxExpanded {
		return ErrTooMany
	}
	var text []byte
	if c.torn {
		text = append(text, '\n')
	}
	rcpts := slices.Grow(c.Envelope.Rcpts, members)
	records := make([]Record, len(list))
	for i, x := range list {
		for _, m := range x.Members {
			m.Parent = x.Rcpt + 1
			text = appendMember(text, at, len(rcpts), &m)
			rcpts = append(rcpts, m)
			if len(text) >= expandBlock {
				if err := c.append(text); err != nil {
					return failed("record", err)
				}
				text = text[:0]
			}
		}
		records[i] = Record{Time: at, Kind: Expanded, Rcpts: One(x.Rcpt), Members: len(x.Members), Text: x.Text, Relay: x.Relay}
		text = appendRecord(text, &records[i])
	}
	if err := c.append(text); err != nil {
		return failed("record", err)
	}
	if err := c.syncJournal(); err != nil {
		return failed("record", err)
	}
	c.remember(nil)
	for i := range records {
		known := len(c.Envelope.Rcpts)
		c.Envelope.Rcpts = rcpts[:known+records[i].Members]
		c.History.expand(records[i], c.Envelope.Rcpts[known:], known)
	}
	return nil
}

// measured is how many members expansions have, and about how many bytes they need in a journal.
func measured(list []Expansion) (members int, size int64) {
	for _, x := range list {
		members += len(x.Members)
		for i := range x.Members {
			m := &x.Members[i]
			size += int64(120 + len(m.Address) + len(m.Sender) + len(m.ORcpt) + len(m.Via))
		}
	}
	return members, size + int64(200*len(list))
}

// expand adds a record of an expansion, with its members, the first of whom has the number known.
func (h *History) expand(r Record, members []Rcpt, known int) {
	h.add(r)
	h.grow(known + len(members))
	for i := range members {
		if members[i].Same > 0 {
			h.last[known+i] = len(h.events)
		}
	}
}

// appendMember writes a member as one line of a journal: the number that it gets, and what an envelope has of a
// recipient.
func appendMember(b []byte, at time.Time, index int, m *Rcpt) []byte {
	start, n := len(b), strconv.Itoa(index+1)
	b = append(appendTime(append(b, noSum...), at), " "+memberRecord+" "...)
	b = append(append(append(b, n...), '-'), n...)
	b = appendParam(b, "parent", strconv.Itoa(m.Parent))
	b = appendParam(b, "rcpt", m.Address)
	b = appendParam(b, "agent", m.Agent)
	b = appendParam(b, "sender", m.Sender)
	b = appendParam(b, "notify", m.Notify.String())
	b = appendParam(b, "orcpt", m.ORcpt)
	b = appendParam(b, "noalias", yes(m.NoAlias))
	b = appendParam(b, "via", m.Via)
	if m.Same > 0 {
		b = appendParam(b, "same", strconv.Itoa(m.Same))
	}
	return sealLine(b, start)
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
		case "via":
			m.Via = value
		case "same":
			m.Same, _ = strconv.Atoi(value)
		}
	})
	return m, ok && m.Address != "" && m.Parent > 0 && m.Same >= 0
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
	if x.known += len(x.pending); x.members == nil {
		x.members = x.pending
	} else {
		x.members = append(x.members, x.pending...)
	}
	x.pending = nil
	return true
}
