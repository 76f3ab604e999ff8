package route

import (
	"strings"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/status"
)

// Final decides about a recipient whose aliases are not looked up: a member of an expanded one, or one that the sender
// has escaped ("\alice", sendmail -n).
func (r *Router) Final(m Member) Decision {
	var d Decision
	r.final(m, &d)
	return d
}

func (r *Router) final(m Member, d *Decision) {
	switch m.Agent {
	case "", AgentMailbox:
		r.finalAddress(m, d)
	case AgentCommand, AgentFile, AgentMaildir:
		r.toAgent(m, d)
	case AgentNone:
		d.refuse(status.New("route.alias", 550, status.Code{5, 2, 4}, "the list names somebody who is no recipient", nil))
	default:
		d.refuse(status.New("route.alias", 451, status.Code{4, 3, 5}, "this version does not know how to deliver to "+status.Clean(m.Agent, 40), nil))
	}
}

func (r *Router) finalAddress(m Member, d *Decision) {
	a, err := address.Parse(m.Address)
	if d.Address = a; err != nil || a.IsNull() {
		d.refuse(status.New("route", 553, status.Code{5, 1, 3}, "not an address", err))
		return
	}
	if r.isLocal(a, d) {
		d.Agent = m.Agent
		r.local(d)
		return
	}
	d.step("%s is not local (hostname, domains)", a.Domain())
	r.relay(a, d) // a backslash says nothing to other machines
}

// toAgent decides for a command, a file or a Maildir. The delivery agent of the system finds out with whose rights; a user
// installation has its caller's.
func (r *Router) toAgent(m Member, d *Decision) {
	a, err := address.Parse(m.Via)
	if err != nil || a.IsNull() {
		d.refuse(status.New("route.alias", 451, status.Code{4, 3, 5}, "it is not known who has named a command or a file", err))
		return
	}
	d.Address, d.Agent, d.Member = a, m.Agent, m.Address
	if !r.conf.User {
		d.Kind = Local
		d.step("the delivery agent finds out with whose rights: those of the user, or of the owner of the file")
	} else if user, ok := r.caller(d); ok {
		d.Kind, d.User = Local, user
		d.step("in a user installation it has the rights of the caller")
	}
}

// Forward is what the .forward of a user says, given as the delivery agent spells it: "address", "\user", "|command",
// "/file", "/maildir/". Addresses without a domain are the user's own domain's; they may be aliases. What makes no sense is
// passed on as AgentNone.
func (r *Router) Forward(user address.Address, list []string) []Member {
	domain, via := r.ownDomain(user), r.named(user).String()
	members := make([]Member, len(list))
	for i, s := range list {
		m := Member{Address: s, Via: via}
		switch {
		case strings.HasPrefix(s, "|"):
			m.Agent = AgentCommand
		case strings.HasPrefix(s, "/") && strings.HasSuffix(s, "/"):
			m.Agent = AgentMaildir
		case strings.HasPrefix(s, "/"):
			m.Agent = AgentFile
		default:
			members[i] = r.forwardTo(s, domain, m)
			continue
		}
		m.Key = m.Agent + " " + via + " " + s // another user's is another command
		members[i] = m
	}
	return members
}

// forwardTo makes a member of an address or a user.
func (r *Router) forwardTo(s, domain string, m Member) Member {
	name, escaped := strings.CutPrefix(s, `\`)
	a, err := address.Parse(name)
	if err != nil || a.IsNull() {
		m.Agent, m.Address, m.Fault = AgentNone, status.Clean(s, 80), status.Clean(s, 80)+": not an address"
		return m
	}
	a = a.WithDomain(domain)
	m.Address = a.String()
	if escaped && r.isLocal(a, &Decision{}) {
		m.Agent, m.Key = AgentMailbox, AgentMailbox+" "+aliases.AddressKey(a, true)
		return m
	}
	d := r.route(a, r.aliases.Probe)
	m.Key = d.Key()
	return m
}
