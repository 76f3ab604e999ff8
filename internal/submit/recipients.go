package submit

import (
	"errors"
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/queue"
)

const (
	// maxRcpts bounds what a queue run has to hold of one message.
	maxRcpts = 100_000
	// maxBadText is how much of a bad address is reported.
	maxBadText = 256
)

var errEmpty = errors.New("empty address")

// recipients gathers the forward-paths of a message, each mailbox once, in the order in which they were given.
type recipients struct {
	origin  string
	isLocal func(domain string) bool
	seen    map[string]struct{}
	list    []queue.Rcpt
	bad     []BadRcpt
	utf8    bool
}

func newRecipients(origin string, isLocal func(string) bool) recipients {
	if isLocal == nil {
		isLocal = func(string) bool { return false }
	}
	return recipients{origin: origin, isLocal: isLocal, seen: map[string]struct{}{}}
}

// addOperands takes the operands of the command line. One that is bad is an error.
func (r *recipients) addOperands(words []string) error {
	for _, w := range words {
		list := parseList(w)
		if strings.TrimSpace(w) == "" {
			list.err = errEmpty
		}
		if list.err != nil {
			r.addBad("", w, list.err)
			continue
		}
		if err := r.add("", list); err != nil {
			return err
		}
	}
	if len(r.bad) > 0 {
		b := r.bad[0]
		return status.Fail("submit.rcpt", status.ExitUsage, `bad recipient address "`+b.Text+`"`, b.Err)
	}
	return nil
}

// add takes the mailboxes of a list that stands in a header field; "" is an operand.
func (r *recipients) add(field string, list addressList) error {
	for _, m := range list.boxes {
		if len(r.list)+len(r.bad) >= maxRcpts {
			return status.New("submit.rcpt", 552, status.Code{5, 5, 3}, "too many recipients", nil)
		}
		text := list.text[m.Start:m.End]
		a, err := complete(m.Address, r.origin)
		if m.Err != nil {
			err = m.Err
		}
		if err != nil {
			r.addBad(field, text, err)
			continue
		}
		r.addMailbox(a, text[0] == '\\')
	}
	return nil
}

// addMailbox takes a mailbox unless it is there already. Localparts differ by their case, except in domains whose
// mailboxes are ours and do not. One that is escaped, "\alice", is not looked up in the aliases.
func (r *recipients) addMailbox(a address.Address, escaped bool) {
	key := a.Key(r.isLocal(a.Domain()))
	if _, ok := r.seen[key]; ok {
		return
	}
	r.seen[key] = struct{}{}
	r.list = append(r.list, queue.Rcpt{Address: a.String(), NoAlias: escaped})
	r.utf8 = r.utf8 || a.NeedsUTF8()
}

func (r *recipients) addBad(field, text string, err error) {
	r.bad = append(r.bad, BadRcpt{field, status.Clean(text, maxBadText), err})
}

// appendBad makes the bad addresses recipients that no delivery can take for an address: a bad piece of a list may
// well be an address by itself ("bob <x>" has bob), and then gets a bracket that makes it none.
func (r *recipients) appendBad() {
	for _, b := range r.bad {
		text := b.Text
		if _, err := address.Parse(text); err == nil || text == "" {
			text = "<" + text
		}
		r.list = append(r.list, queue.Rcpt{Address: text})
	}
}

// check tells whether the header gave recipients, when there were no operands.
func (r *recipients) check() error {
	switch {
	case len(r.list) > 0:
		return nil
	case len(r.bad) > 0:
		return refuse("No valid recipient addresses found in message header")
	}
	return refuse("No recipient addresses found in message header")
}

// refuse is the status of a submission without recipients.
func refuse(text string) error { return status.Fail("submit.rcpt", status.ExitUsage, text, nil) }

// complete gives a bare address the origin for its domain.
func complete(a address.Address, origin string) (address.Address, error) {
	if a = a.WithDomain(origin); a.Domain() == "" && !a.IsNull() {
		return a, errors.New("cannot be completed with the origin")
	}
	return a, nil
}
