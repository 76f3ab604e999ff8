package policy

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postrider/internal/access"
	"postrider/internal/dns"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// Connect implements smtpd.Policy.
func (p *Policy) Connect(ctx context.Context, c *smtpd.Client) smtpd.Verdict {
	s := &session{}
	c.Name, c.Trusted, c.State = "", false, s
	if c.Mode == smtpd.Local || !c.Addr.IsValid() {
		return p.hereUser(c, s)
	}
	addr := plain(c.Addr)
	if contains(p.networks, addr) {
		c.Trusted, s.grant = true, "relay.networks"
	}
	client, sessions := p.clients.enter(addr)
	s.client = client
	if v := p.tooMany(c, client, addr, sessions); v.Status != nil {
		return v
	}
	var f facts
	if !c.Trusted && !private(addr) {
		f = p.stranger(ctx, addr)
		c.Name = f.name
	} else if names := p.o.Resolver.KnownNames(addr); len(names) > 0 {
		c.Name = names[0]
	}
	return p.connectRule(c, s, addr, f)
}

// Close implements smtpd.Policy.
func (p *Policy) Close(c *smtpd.Client) {
	if s, _ := c.State.(*session); s != nil && s.client != nil {
		p.clients.leave(s.client)
		s.client = nil
	}
}

// hereUser judges a client of this machine.
func (p *Policy) hereUser(c *smtpd.Client, s *session) smtpd.Verdict {
	if c.UID >= 0 {
		c.Trusted, s.grant = true, "uid"
		return smtpd.Verdict{}
	}
	if c.Mode == smtpd.Local {
		return smtpd.Verdict{Status: status.New("policy.connect", 421, status.Code{4, 7, 0}, "it cannot be found out who you are", nil), Close: true}
	}
	return smtpd.Verdict{}
}

// tooMany limits the sessions and connections of a client. A line of the access table counts before the configuration,
// and for friends only such a line counts.
func (p *Policy) tooMany(c *smtpd.Client, client *client, addr netip.Addr, sessions int) smtpd.Verdict {
	table := p.access.Get()
	made := p.clients.count(client, connections)
	busy, rate := p.conf.Smtpd.ClientSessions, p.conf.Smtpd.ClientConnections
	if c.Trusted {
		busy, rate = 0, 0
	}
	if l, ok := table.Sessions(addr); ok && !(l.Default && c.Trusted) {
		busy = l.N
	}
	if l, ok := table.Rate(addr); ok && !(l.Default && c.Trusted) {
		rate = l.N
	}
	switch {
	case busy > 0 && sessions > busy:
		return goAway("too many sessions from your host", "client_sessions")
	case rate > 0 && made > rate:
		return goAway("too many connections from your host", "client_connections")
	}
	return smtpd.Verdict{}
}

// goAway ends a session for now.
func goAway(text, why string) smtpd.Verdict {
	return smtpd.Verdict{Status: status.New("policy", 421, status.Code{4, 7, 0}, text+", try again later", nil), Close: true, Reason: why}
}

// connectRule applies the access table, and keeps what else speaks against a stranger.
func (p *Policy) connectRule(c *smtpd.Client, s *session, addr netip.Addr, f facts) smtpd.Verdict {
	table, byName := p.access.Get(), true
	r := table.Client(c.Name, netip.Addr{})
	if r.Action == access.None {
		r, byName = table.Client("", addr), false
	}
	why := accessWhy(r)
	switch r.Action {
	case access.Relay:
		// A name is what DNS says; it is enough to relay for, but not to be trusted as the networks are.
		c.Trusted = c.Trusted || !byName
		if s.grant == "" {
			s.grant = why
		}
		s.pass = true
	case access.OK:
		s.pass = true
	case access.Discard:
		return smtpd.Verdict{Discard: true, Reason: why}
	case access.Reject:
		c.Trusted = false
		return s.reject(r, why)
	default:
		p.relayClient(c, s, addr)
		s.found = p.against(c, addr, f)
		if r.Action == access.Quarantine {
			return smtpd.Verdict{Hold: r.Text, Reason: why}
		}
	}
	return smtpd.Verdict{}
}

// relayClient lets a client relay that relay-domains has, by its name or its address. While that cannot be found out it may
// not.
func (p *Policy) relayClient(c *smtpd.Client, s *session, addr netip.Addr) {
	if s.grant != "" {
		return
	}
	relays, err := p.o.Router.RelaysFor("", addr)
	if relays {
		c.Trusted, s.grant = true, "relay-domains"
		return
	}
	if err == nil && c.Name != "" {
		relays, err = p.o.Router.RelaysFor(c.Name, addr)
	}
	if relays {
		s.grant = "relay-domains"
	}
	if err != nil {
		p.report("relay-domains", err)
	}
}

// accessWhy names a line of the access table, in one word for the log.
func accessWhy(r access.Rule) string { return "access(" + r.Key + ")" }

// reject refuses a client that the access table does not want: at once by a bare REJECT or a 421, and otherwise at RCPT,
// where it gets the reply that the table has for it.
func (s *session) reject(r access.Rule, why string) smtpd.Verdict {
	switch {
	case r.Status == nil:
		return smtpd.Verdict{Status: status.New("policy.connect", 554, status.Code{5, 7, 1}, "access denied", nil), Close: true, Reason: why}
	case r.Status.Reply() == 421 || r.Status.Reply() == 554:
		return smtpd.Verdict{Status: r.Status, Close: true, Reason: why}
	}
	s.found, s.grant = &refusal{r.Status, why, true}, ""
	return smtpd.Verdict{}
}

// against is what speaks against a stranger by its address; nil when nothing does.
func (p *Policy) against(c *smtpd.Client, addr netip.Addr, f facts) *refusal {
	if c.Trusted || private(addr) {
		return nil
	}
	if r := f.reverse(p.conf.Smtpd.ReverseName); r != nil {
		return r
	}
	return f.listed
}

// private tells whether an address is one of no public network: what DNS lists say of it means nothing, and public DNS
// knows no name for it (RFC 6303).
func private(a netip.Addr) bool { return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() }

// facts are what DNS says of a stranger's address.
type facts struct {
	name   string // verified
	names  naming
	listed *refusal // by DNS lists
}

// naming is how an address has a name.
type naming int

const (
	matched   naming = iota // a name that leads back to the address
	unmatched               // only names that do not
	nameless
	nameUnknown // just now
)

// reverse is what the rule reverse_name says.
func (f facts) reverse(rule string) *refusal {
	const op = "policy.reverse"
	switch {
	case rule == "any" || rule == "" || f.names == matched || rule == "some" && f.names == unmatched:
		return nil
	case f.names == nameUnknown:
		return &refusal{status: status.New(op, 450, status.Code{4, 7, 25}, "the name of your address cannot be looked up just now", nil), why: "reverse_name"}
	case f.names == nameless:
		return &refusal{status: status.New(op, 550, status.Code{5, 7, 25}, "your address has no name in DNS", nil), why: "reverse_name"}
	}
	return &refusal{status: status.New(op, 550, status.Code{5, 7, 25}, "the name of your address does not lead back to it", nil), why: "reverse_name"}
}

// factsTime is how long facts are good for.
const factsTime = 5 * time.Minute

// stranger finds out about a stranger's address. What nobody could tell is asked again the next time.
func (p *Policy) stranger(ctx context.Context, addr netip.Addr) facts {
	if f, ok := p.known.get(addr); ok {
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	type answer struct {
		listed *refusal
		whole  bool
	}
	lists := make(chan answer, 1) // side by side with the name: who makes its own DNS slow does not escape the lists
	go func() {
		listed, whole := p.askLists(ctx, addr)
		lists <- answer{listed, whole}
	}()
	var f facts
	f.name, f.names = p.verifiedName(ctx, addr)
	a := <-lists
	f.listed = a.listed
	if a.whole && f.names != nameUnknown {
		p.known.put(addr, f, factsTime)
	}
	return f
}

// maxVerified is how many names of an address are looked up.
const maxVerified = 3

// verifiedName is the name of addr that leads back to it; "" when none does.
func (p *Policy) verifiedName(ctx context.Context, addr netip.Addr) (string, naming) {
	names, err := p.o.Resolver.Names(ctx, addr)
	if err != nil {
		if errors.Is(err, dns.ErrNotFound) {
			return "", nameless
		}
		return "", nameUnknown
	}
	result := unmatched
	for _, name := range names[:min(len(names), maxVerified)] {
		addrs, err := p.o.Resolver.Addrs(ctx, name+".")
		switch {
		case slices.Contains(addrs, addr):
			return strings.ToLower(name), matched
		case err != nil && status.From(err).Class() == status.Temporary:
			result = nameUnknown
		}
	}
	return "", result
}
