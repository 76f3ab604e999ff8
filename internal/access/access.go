// Package access reads the access table of a mail server: which clients, senders and recipients are refused, thrown
// away, quarantined, accepted or relayed for. The syntax is Sendmail's, /etc/mail/access as text.
//
// # The table
//
// A line is a key, blanks, and a value. Lines that are empty or begin with # are comments. Case means nothing in keys.
//
//	Connect:192.168            RELAY
//	Connect:2001:db8::/32      OK
//	From:spammer@example.com   REJECT
//	example.net                ERROR:5.7.1:550 not from there
//	To:old@                    550 gone away
//
// The tags Connect:, From: and To: say what is looked at: the client, the sender, the recipient. A key without a tag is
// for all three, and for the client, sender or recipient with a tag of its own the tagged line counts. ClientRate: and
// ClientConn: have a number for their value, the connections of a client within a minute and at once; without a key
// they are for all clients that no other line names. Tags of Sendmail's that have no meaning here are skipped and noted.
//
// Keys, the most specific first:
//
//	user@example.org                  one address; it is also that of user+detail@example.org
//	user+*@example.org                those with any detail only
//	user@                             that user at any domain; of recipients, at a domain of ours
//	host.example.org                  that domain and all below it, the longest first
//	.example.org                      all below it only
//	192.0.2.1  192.0.2  192.0.2.0/24  an address, leading numbers of one, a network
//	IPv6:2001:db8:1  2001:db8:1::/48  the same of IPv6, whose numbers end at colons
//	[192.0.2.1]                       an address, also that of a mailbox user@[192.0.2.1]
//
// A client's name is looked up before its address.
//
// Values:
//
//	OK                    accepted, whatever but another line speaks against it; nothing is relayed for it
//	RELAY                 OK, and relayed for
//	REJECT                refused
//	DISCARD               taken and thrown away
//	SKIP                  nothing is said: the search for this domain or address ends
//	550 text              refused with this reply; the text may begin with an enhanced code
//	ERROR:550 text        the same
//	ERROR:5.7.1:550 text  the same, with an enhanced code
//	QUARANTINE:text       accepted and held in the queue
//
// # Rules
//
// A line that makes no sense is an error and never skipped, and so is a key with two values: half a table would let
// through what it was written to stop. A table that has been read is not changed. Lookups walk the labels of a name and
// the lengths of networks that occur; neither depends on how many lines there are.
package access

import (
	"net/netip"
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
)

// Action is what a table says.
type Action int

// The actions. Reject may be temporary: its Status tells, when it has one.
const (
	None Action = iota
	OK
	Relay
	Reject
	Discard
	Quarantine
)

// Rule is the line of a table that was found. The zero value says nothing.
type Rule struct {
	Action Action
	Status *status.Status // of Reject, when the table gives a reply
	Text   string         // of Quarantine: why
	Key    string         // as it stands in the table, for logs
}

// Table is an access table. It may be used by several goroutines at once. The nil Table is empty.
type Table struct {
	tags   [tagRate]keys
	limits [tagCount - tagRate]networks[int]
	lines  int
	notes  []string
}

// Len is how many lines of the table mean something.
func (t *Table) Len() int { return t.lines }

// Notes tells of the lines that mean nothing here, or less than elsewhere, with their places.
func (t *Table) Notes() []string { return t.notes }

// keys are the lines with one tag.
type keys struct {
	names map[string]*Rule // "user@domain", "user@", "domain", ".domain"
	nets  networks[Rule]
}

func (k *keys) empty() bool { return len(k.names) == 0 && len(k.nets.byPrefix) == 0 }

// Client looks up a client by its name, "" when it has none, and then by its address.
func (t *Table) Client(name string, addr netip.Addr) Rule {
	if t == nil {
		return Rule{}
	}
	if name != "" {
		if r := t.domain(tagConnect, name); r.Action != None {
			return r
		}
	}
	return t.network(tagConnect, addr)
}

// Sender looks up a sender, which is not the null one.
func (t *Table) Sender(a address.Address) Rule {
	return t.mailbox(tagFrom, a, true)
}

// Recipient looks up a recipient. local tells whether its domain is ours.
func (t *Table) Recipient(a address.Address, local bool) Rule {
	return t.mailbox(tagTo, a, local)
}

func (t *Table) mailbox(tag tag, a address.Address, anywhere bool) Rule {
	if t == nil || t.tags[tag].empty() && t.tags[untagged].empty() {
		return Rule{}
	}
	key := a.Key(true)
	at := len(key)
	if a.Domain() != "" {
		at = strings.LastIndexByte(key, '@')
	}
	// Quotes keep no detail from being one: mail for "user+ x" gets to user as well.
	if base, _, ok := strings.Cut(a.Unquoted(), "+"); ok && base != "" {
		domain := key[at:]
		for _, local := range []string{key[:at], localKey(base + "+*")} {
			if r := t.user(tag, local+domain, len(local), anywhere); r != nil {
				return *r
			}
		}
		base = localKey(base)
		key, at = base+domain, len(base)
	}
	if r := t.user(tag, key, at, anywhere); r != nil {
		return *r
	}
	if a.Domain() == "" {
		return Rule{}
	}
	if ip, ok := a.Literal(); ok {
		return t.network(tag, ip)
	}
	return t.domain(tag, key[at+1:])
}

// localKey is a localpart of this meaning as keys have it, in quotes only when there must be.
func localKey(meaning string) string {
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(meaning) + `"`
	a, err := address.Parse(quoted)
	if err != nil { // not reached: it is a part of an address
		return strings.ToLower(quoted)
	}
	return a.Key(true)
}

// user looks up a whole address and then its localpart, which is at long.
func (t *Table) user(tag tag, key string, at int, anywhere bool) *Rule {
	if at < len(key) {
		if r := t.exact(tag, key); r != nil {
			return r
		}
		if !anywhere {
			return nil
		}
		return t.exact(tag, key[:at+1])
	}
	return t.exact(tag, key+"@")
}

// exact looks up one key, with the tag and then without.
func (t *Table) exact(tag tag, key string) *Rule {
	if r := t.tags[tag].names[key]; r != nil {
		return r
	}
	return t.tags[untagged].names[key]
}

// domain looks up a domain in lower case and then those above it.
func (t *Table) domain(tag tag, name string) Rule {
	r := t.exact(tag, name)
	for i := 0; r == nil && i < len(name); i++ {
		if name[i] != '.' {
			continue
		}
		if r = t.exact(tag, name[i:]); r == nil {
			r = t.exact(tag, name[i+1:])
		}
	}
	return found(r)
}

// network looks up the networks of an address, the smallest first.
func (t *Table) network(tag tag, addr netip.Addr) Rule {
	r, bits := t.tags[tag].nets.find(addr)
	if other, b := t.tags[untagged].nets.find(addr); r == nil || other != nil && b > bits {
		r = other
	}
	return found(r)
}

// found is the rule that r stands for: none for SKIP.
func found(r *Rule) Rule {
	if r == nil || r.Action == None {
		return Rule{}
	}
	return *r
}

// Limit is how often something is allowed.
type Limit struct {
	N       int  // 0: as often as one likes
	Default bool // it is that of all clients that no line names
}

// Rate is how many connections a client may make within a minute, as ClientRate: has it.
func (t *Table) Rate(addr netip.Addr) (Limit, bool) { return t.limit(tagRate, addr) }

// Sessions is how many sessions a client may have at once, as ClientConn: has it.
func (t *Table) Sessions(addr netip.Addr) (Limit, bool) { return t.limit(tagConn, addr) }

func (t *Table) limit(tag tag, addr netip.Addr) (Limit, bool) {
	if t == nil {
		return Limit{}, false
	}
	if n, bits := t.limits[tag-tagRate].find(addr); n != nil {
		return Limit{N: *n, Default: bits == 0}, true
	}
	return Limit{}, false
}
