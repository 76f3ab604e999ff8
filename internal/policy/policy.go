// Package policy decides what the server does for whom: an implementation of smtpd.Policy from the configuration, the
// access table, DNS and the users of this machine.
//
// # Who a client is
//
// A friend is a client in relay.networks, one that the access table or relay-domains relays for, a user of this machine by
// the kernel's word, or whoever has logged in. All others are strangers. A client is counted by its IPv4 address or its /64 network
// of IPv6; friends by their network are counted but not limited.
//
// # What is decided when
//
//	connection  too many sessions or connections (421), the access table's Connect:; what else speaks against a stranger,
//	            by its name in DNS or by DNS lists, is found out and kept
//	HELO        a stranger may not say that it is us
//	MAIL        login where it is required, rate, From:, which login may use a sender
//	RCPT        rate, To:, what was kept, HELO, relaying, whether the recipient exists
//
// What speaks against a stranger is kept until RCPT for two reasons: it may still log in, and postmaster must be there
// for everybody (RFC 5321 section 4.5.1), just for those who are refused.
//
// # Rules
//
//   - Whatever is not allowed is refused: a recipient is taken only when its domain is ours or in virtusertable, is one of
//     relay.domains or relay-domains, has RELAY in the access table, or the client is a friend.
//   - Only the domain of a recipient as it was parsed decides. A localpart with % or ! or @ in it is a user's name.
//   - A sender proves nothing: no sender makes a friend.
//   - What cannot be found out is a temporary refusal, but for DNS lists: one that does not answer says nothing.
//   - Strangers pay for waits: nobody asks DNS for a friend. All questions about a client take dnsTime at most.
//   - What is kept about clients is bounded, and so is the work for each step.
package policy

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"postrider/internal/access"
	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/route"
	"postrider/internal/smtpd"
	"postrider/internal/status"
	"postrider/internal/table"
)

// dnsTime is how long the questions of one step to DNS may take in all.
const dnsTime = 5 * time.Second

// Options are what a Policy needs beside the configuration.
type Options struct {
	Resolver dns.Resolver
	Router   *route.Router // knows whether a recipient of ours exists
	Aliases  Aliases       // for VRFY and EXPN; nil: there are none
	Passwd   string        // the users' full names; "": /etc/passwd
	Queue    Queue         // for ETRN, as is Run; nil: there is no ETRN

	// Run starts a queue run for the recipients in a domain, and those in all domains below when it begins with "@". It
	// does not wait for the end.
	Run func(domain string) error

	// Report is told, not too often, of what goes wrong and is no client's fault: a table that has become unreadable, a
	// DNS list that does not answer. nil: nobody is.
	Report func(error)

	Dial  Dialer              // for questions to next hops; nil: a net.Dialer
	Now   func() time.Time    // nil: time.Now
	Addrs func() []netip.Addr // the addresses of this machine; nil: those of its interfaces
	Old   *Policy             // whose counts of clients go on, as the configuration is read again; nil: none
}

// Policy is an smtpd.Policy.
type Policy struct {
	conf config.Config
	o    Options

	hostname string // in ASCII
	networks []netip.Prefix
	domains  domains
	own      ownAddrs
	lists    []dnsZone
	access   *table.File[*access.Table]
	logins   *table.File[senders] // nil: senders are not bound to logins
	people   *table.File[*people]
	notes    []string // of the router's tables
	here     string   // the domain of our bare names

	clients *clients
	known   *cache[netip.Addr, facts]
	reports *cache[string, struct{}] // what was reported within a minute
	asked   *cache[string, *status.Status]
	asking  chan struct{} // has a place for each question to a next hop at once
}

var _ smtpd.Policy = (*Policy)(nil)

// session is what a Policy keeps of a session, in smtpd.Client.State.
type session struct {
	client *client // its counts; nil for a user of this machine
	grant  string  // why the client may relay; "" when it may not, unless it logs in
	pass   bool    // the access table accepts the client, whatever its address and HELO are like
	found  *refusal
	helo   heloCheck

	attempt attempt // to log in, that goes on
}

// refusal is what a stranger will be refused for.
type refusal struct {
	status *status.Status
	why    string
	table  bool // by the access table
}

func (r *refusal) verdict() smtpd.Verdict { return smtpd.Verdict{Status: r.status, Reason: r.why} }

// New makes a Policy of a configuration that has been checked. The error tells what is wrong with a table. A table of
// routing that is wrong is none when there is no old Policy, which would have a better one: what it decides waits.
func New(conf config.Config, o Options) (*Policy, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if o.Addrs == nil {
		o.Addrs = interfaces
	}
	if o.Passwd == "" {
		o.Passwd = "/etc/passwd"
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer)
	}
	p := &Policy{conf: conf, o: o, own: ownAddrs{list: o.Addrs, now: o.Now}, clients: newClients(o.Now, maxClients)}
	if o.Old != nil {
		p.clients = o.Old.clients
		p.o.Old = nil // it may be forgotten
	}
	p.asked, p.asking = newCache[string, *status.Status](o.Now, maxAsked), make(chan struct{}, maxAsking)
	p.known = newCache[netip.Addr, facts](o.Now, maxFacts)
	p.reports = newCache[string, struct{}](o.Now, maxReports)
	if err := p.settings(); err != nil {
		return nil, err
	}
	if err := p.tables(o.Old == nil); err != nil {
		return nil, err
	}
	return p, nil
}

// settings reads what the configuration holds in text.
func (p *Policy) settings() (err error) {
	if p.networks, err = config.Prefixes(p.conf.Relay.Networks); err != nil {
		return fmt.Errorf("relay.networks: %w", err)
	}
	p.hostname, _ = address.ASCIIDomain(p.conf.Hostname)
	if p.domains, err = newDomains(p.conf); err != nil {
		return err
	}
	p.here = p.conf.Hostname
	if name, err := address.ASCIIDomain(p.conf.Origin); err == nil && p.domains.local[name] {
		p.here = p.conf.Origin
	}
	if p.lists, err = dnsZones(p.conf.Smtpd.DNSLists); err != nil {
		return fmt.Errorf("smtpd.dns_lists: %w", err)
	}
	return nil
}

// tables opens the tables in files; at the start those of routing may be wrong.
func (p *Policy) tables(start bool) (err error) {
	s := p.conf.Smtpd
	if p.o.Router != nil {
		for _, t := range p.o.Router.Tables() {
			if t.Err != nil && !start {
				return t.Err
			}
			p.notes = append(p.notes, t.Notes...)
		}
	}
	p.access, err = table.OpenFile(s.Access, access.Parse, table.FileOptions{Missing: true, Report: p.o.Report, Now: p.o.Now})
	if err == nil {
		p.people, err = table.OpenFile(p.o.Passwd, parsePeople, table.FileOptions{Missing: true, Report: p.o.Report, Now: p.o.Now})
	}
	if err == nil && s.SenderLogins != "" {
		p.logins, err = table.OpenFile(s.SenderLogins, parseSenders, table.FileOptions{Report: p.o.Report, Now: p.o.Now})
	}
	return err
}

// Notes tells of lines of the access table, and of the tables of routing, that mean nothing here, or less than they seem
// to.
func (p *Policy) Notes() []string { return slices.Concat(p.access.Get().Notes(), p.notes) }

// report tells of a fault, once a minute.
func (p *Policy) report(what string, err error) {
	if _, again := p.reports.get(what); !again {
		p.reports.put(what, struct{}{}, time.Minute)
		p.o.Report(fmt.Errorf("%s: %w", what, err))
	}
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
