package route

import (
	"net/netip"
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
)

// Place is where a domain belongs.
type Place int

// The places of domains.
const (
	Elsewhere  Place = iota
	LocalPlace       // its users are those of this machine
	Virtual          // its users are in virtusertable
	RelayPlace       // mail for it is taken from anybody and passed on: relay-domains
)

// Renamed is the domain to which mail for a domain really goes: the one that domaintable has in its place. An error means
// that nobody knows.
func (r *Router) Renamed(domain string) (string, error) {
	a, err := address.Parse("x@" + domain)
	if err != nil {
		return domain, nil
	}
	a, err = r.renamed(a, new(Decision))
	return a.Domain(), err
}

// Place tells where a domain, or that which has its place, belongs, by the configuration and the tables; relay.domains is
// not looked at. An address literal belongs elsewhere. An error means that nobody knows.
func (r *Router) Place(domain string) (Place, error) {
	a, err := address.Parse("x@" + domain)
	if err != nil {
		return Elsewhere, nil
	}
	if a, err = r.renamed(a, new(Decision)); err != nil {
		return Elsewhere, err
	}
	if why, err := r.localReason(a.Domain()); why != "" || err != nil {
		return LocalPlace, err
	}
	if virtual, err := r.isVirtual(a); virtual || err != nil {
		return Virtual, err
	}
	if relays, err := r.relays(a.Domain()); relays || err != nil {
		return RelayPlace, err
	}
	return Elsewhere, nil
}

// relayedFor tells whether relay-domains or relay.domains has a domain.
func (r *Router) relayedFor(domain string) (bool, error) {
	name, err := address.ASCIIDomain(domain)
	if err != nil {
		return false, nil
	}
	for _, s := range r.conf.Relay.Domains {
		above, below := strings.CutPrefix(s, ".")
		above, err := address.ASCIIDomain(above)
		if err == nil && (!below && name == above || below && strings.HasSuffix(name, "."+above)) {
			return true, nil
		}
	}
	return r.relays(name)
}

// relays tells whether relay-domains has a domain or one above it. Numbers in it are of hosts, and no domain's.
func (r *Router) relays(domain string) (bool, error) {
	if r.tables.relays == nil {
		return false, nil
	}
	name, err := address.ASCIIDomain(domain)
	if err != nil {
		return false, nil
	}
	var keys []string
	for rest, more := name, true; more && strings.Trim(rest, "0123456789.") != ""; _, rest, more = strings.Cut(rest, ".") {
		keys = append(keys, rest)
	}
	_, ok, err := r.tables.relays.Lookup(keys...)
	return ok, err
}

// RelaysFor tells whether relay-domains has a client, by its name in DNS, which may be "", or by its address.
func (r *Router) RelaysFor(name string, addr netip.Addr) (bool, error) {
	if r.tables.relays == nil {
		return false, nil
	}
	if name != "" {
		if ok, err := r.relays(name); ok || err != nil {
			return ok, err
		}
	}
	addr = addr.Unmap().WithZone("")
	keys := []string{addr.String()}
	if addr.Is4() {
		for s := keys[0]; strings.Contains(s, "."); {
			s = s[:strings.LastIndexByte(s, '.')]
			keys = append(keys, s)
		}
	}
	_, ok, err := r.tables.relays.Lookup(keys...)
	return ok, err
}

// localReason names the setting that makes a domain local; "" when none does.
func (r *Router) localReason(domain string) (string, error) {
	switch {
	case sameDomain(domain, r.conf.Hostname):
		return "this machine's name (hostname)", nil
	case sameDomain(domain, "localhost"):
		return "always this machine", nil
	}
	for _, local := range r.conf.Domains {
		if sameDomain(domain, local) {
			return "one of the local domains (domains)", nil
		}
	}
	if r.tables.names == nil {
		return "", nil
	}
	name, err := address.ASCIIDomain(domain)
	if err != nil {
		return "", nil
	}
	e, ok, err := r.tables.names.Lookup(name)
	if !ok || err != nil {
		return "", err
	}
	return "one of the local domains (" + e.Where() + ")", nil
}

// whyLocal is localReason. What cannot be found out is a fault of d's, and no domain is local then.
func (r *Router) whyLocal(domain string) string {
	why, _ := r.localReason(domain)
	return why
}

// uncertain decides when it cannot be found out whether d.Address is local.
func (r *Router) uncertain(d *Decision) bool {
	_, err := r.localReason(d.Address.Domain())
	if err != nil {
		d.refuse(status.From(err))
	}
	return err != nil
}
