// Package route decides where mail for a recipient goes: into a mailbox of this machine, to a next hop, or
// back.
//
// Route decides from the configuration and the user database alone; it asks no name server, so that it can
// run at submission. Hosts then finds the addresses of a next hop, when there is mail to send.
//
// Rules:
//   - The tables of postrider-tables(5) come first: domaintable and virtusertable may make another recipient of one, and
//     mailertable names next hops. While one of them cannot be used, all mail waits.
//   - An address is local when it has no domain, when its domain is hostname, localhost, one of domains or in
//     local-host-names, or when its domain is an address literal of this machine. origin alone does not make a domain local:
//     on a machine that has a smarthost, it usually is the domain of the smarthost's users.
//   - Everything else goes to the smarthost, when there is one, and else to the domain's mail exchangers. A sender may
//     have a smarthost of its own.
//   - A local name is looked up in the aliases first (see package aliases). An alias that comes to one recipient
//     is as if the message had been sent to that one; otherwise the Decision is Expand.
//   - A local user's name is compared exactly first, then without regard to case, then without its +detail.
//   - Who is not in passwd(5) is asked for by getent(1), where nsswitch.conf(5) has other sources. Nobody is unknown before each
//     of these was seen to work.
//   - postmaster and MAILER-DAEMON stand for root. Mail for root goes where an alias or local.root says; without
//     them, to the user root or, in a user installation, to the caller. local.root also gets mail for root at
//     origin.
//   - What is wrong with the configuration or with this machine is temporary: it returns no mail.
package route

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/status"
)

// Kind is what a Decision decides.
type Kind int

// The kinds of decisions. A Refuse may be temporary: its Status tells.
const (
	Local  Kind = iota + 1 // on this machine: to Decision.User, or as Decision.Agent says
	Relay                  // to Decision.Next
	Refuse                 // not at all, or not now: Decision.Status
	Expand                 // to Decision.Members instead
)

// Decision says where mail for one recipient goes, and why.
type Decision struct {
	Kind    Kind
	Address address.Address // the recipient, or the address that stands for it (an alias, local.root)
	User    User
	Agent   string // of Local: AgentMailbox, whatever the user's .forward says; or what Member is, which Address stands for
	Member  string // "|command", "/file", "/maildir/"; then User is the zero User, but in a user installation
	Next    NextHop
	Status  *status.Status
	Members []Member
	Steps   []Step
	Default bool // Next is where all mail goes that no table says more of: see ForSender
}

// Step is one consideration on the way to a Decision, in plain words.
type Step struct{ Text string }

// Router routes by one configuration. It may be used by several goroutines at once.
type Router struct {
	conf    config.Config
	dns     dns.Resolver
	users   Users
	aliases *aliases.Database
	tables  tables
	shuffle func(n int, swap func(i, j int)) // puts exchangers of equal preference in random order
	machine func() []netip.Addr              // the addresses of this machine

	lookupTime time.Duration
	report     func(error)
}

// New makes a Router. resolver may be nil when Hosts is not called.
func New(conf config.Config, resolver dns.Resolver, users Users) *Router {
	r := &Router{conf: conf, dns: resolver, users: users, shuffle: rand.Shuffle, machine: interfaces, lookupTime: lookupTime}
	r.aliases = r.openAliases()
	r.tables = openTables(conf, func(err error) {
		if r.report != nil {
			r.report(err)
		}
	})
	return r
}

// Report makes the router tell of tables that have become unusable, each once. It must not be called while the router is
// at work.
func (r *Router) Report(report func(error)) { r.report = report }

// interfaces are the addresses of this machine's network interfaces; none when they cannot be found out.
func interfaces() []netip.Addr {
	list, _ := net.InterfaceAddrs()
	var addrs []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr().Unmap())
		}
	}
	return addrs
}

// Route decides where mail for a goes.
func (r *Router) Route(a address.Address) Decision { return r.route(a, r.aliases.Expand) }

func (r *Router) route(a address.Address, expand expander) Decision {
	d := Decision{Address: a}
	if a.IsNull() {
		d.refuse(status.New("route", 553, status.Code{5, 1, 3}, "the null address is no recipient", nil))
		return d
	}
	if err := r.tables.ready(); err != nil {
		d.refuse(status.From(err))
		return d
	}
	if r.rewrite(&d); d.Kind != 0 {
		return d
	}
	switch a := d.Address; {
	case r.isLocal(a, &d):
		if !r.alias(a, expand, &d) {
			r.local(&d)
		}
	default:
		r.remote(a, expand, &d)
	}
	return d
}

// isLocal reports whether a is an address of this machine, with the step that says why.
func (r *Router) isLocal(a address.Address, d *Decision) bool {
	domain := a.Domain()
	if domain == "" {
		d.step("%s has no domain: it is local", a)
		return true
	}
	if ip, ok := a.Literal(); ok {
		if r.ownAddr(ip) {
			d.step("%s is an address of this machine: it is local", domain)
			return true
		}
		return false
	}
	why := r.whyLocal(domain)
	if why != "" {
		d.step("%s is %s: it is local", domain, why)
	}
	return why != ""
}

// remote decides about an address that is not local.
func (r *Router) remote(a address.Address, expand expander, d *Decision) {
	if r.isRootAtOrigin(a) {
		d.step("%s is root at origin", a)
		if r.alias(a, expand, d) {
			return
		}
	}
	d.step("%s is not local (hostname, domains)", a.Domain())
	r.forward(expand, d)
}

// relay decides about an address that is not local and was not looked up in the tables yet: a member of an alias, say.
func (r *Router) relay(a address.Address, d *Decision) {
	if err := r.tables.ready(); err != nil {
		d.refuse(status.From(err))
		return
	}
	d.Address = a
	r.rewrite(d)
	switch {
	case d.Kind != 0:
	case d.Address == a:
		r.forward(r.aliases.Expand, d)
	default:
		r.rerouted(d)
	}
}

// rerouted decides about the address that the tables have put in the place of another.
func (r *Router) rerouted(d *Decision) {
	switch a := d.Address; {
	case !r.isLocal(a, d):
		r.remote(a, r.aliases.Expand, d)
	case !r.alias(a, r.aliases.Expand, d):
		r.local(d)
	}
}

// forward finds the next hop for d.Address.
func (r *Router) forward(expand expander, d *Decision) {
	if r.uncertain(d) || r.byMailertable(expand, d) {
		return
	}
	target, ok, err := r.conf.Smarthost.Target()
	switch {
	case err != nil:
		d.refuse(status.New("route", 451, status.Code{4, 3, 5}, "the smarthost is not configured correctly", err))
	case ok:
		r.toSmarthost(target, d)
	default:
		r.toExchangers(d.Address, d)
	}
}

// isRootAtOrigin reports whether a is what sendmail makes of a bare "root" where origin is not local, and
// local.root has another place for its mail.
func (r *Router) isRootAtOrigin(a address.Address) bool {
	return r.conf.Local.Root != "" && strings.EqualFold(a.Unquoted(), "root") && sameDomain(a.Domain(), r.conf.Origin)
}

// ownAddr reports whether ip leads to this machine.
func (r *Router) ownAddr(ip netip.Addr) bool {
	ip = ip.Unmap()
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	for _, own := range r.machine() {
		if own.WithZone("") == ip.WithZone("") {
			return true
		}
	}
	return false
}

// sameDomain compares two domains as DNS does, Unicode and ASCII forms alike. A malformed one equals none.
func sameDomain(a, b string) bool {
	x, err := address.ASCIIDomain(strings.TrimSuffix(a, "."))
	if err != nil {
		return false
	}
	y, err := address.ASCIIDomain(strings.TrimSuffix(b, "."))
	return err == nil && x == y
}

func (d *Decision) step(format string, args ...any) {
	d.Steps = append(d.Steps, Step{status.Clean(fmt.Sprintf(format, args...), status.MaxText)})
}

func (d *Decision) refuse(s *status.Status) {
	d.Kind, d.Status = Refuse, s
	if s.Class() == status.Temporary {
		d.step("it has to wait: %s", s)
		return
	}
	d.step("it is refused: %s", s)
}
