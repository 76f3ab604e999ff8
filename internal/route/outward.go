package route

import (
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
)

// Rewrites tells whether mail that leaves this machine may have to be rewritten. An error means that nobody knows.
func (r *Router) Rewrites() (bool, error) {
	if r.conf.Masquerade != "" {
		return true, nil
	}
	for _, m := range [...]interface{ Len() (int, error) }{r.tables.generics, r.tables.domain} {
		if n, err := m.Len(); n > 0 || err != nil {
			return true, err
		}
	}
	return false, nil
}

// Sender is the envelope sender that others see instead of sender, both in wire form. The null sender stays.
func (r *Router) Sender(sender string) (string, error) {
	a, err := address.Parse(sender)
	if err != nil || a.IsNull() {
		return sender, nil
	}
	b, _, err := r.Outward(a)
	if err != nil || b == a {
		return sender, err
	}
	return b.String(), nil
}

// Outward is the address that others see instead of a sender of this machine, with the reasons. Genericstable counts
// before masquerade. An error means that nobody knows.
func (r *Router) Outward(a address.Address) (address.Address, []Step, error) {
	var d Decision // for its steps
	to, err := r.renamed(a, &d)
	if err != nil {
		return a, nil, err
	}
	to, found, err := r.generic(to, &d)
	if err == nil && !found {
		to = r.masked(to, &d)
	}
	return to, d.Steps, err
}

// outwardRecipient is Outward for recipients in a header: they have the domain of domaintable and else stay.
func (r *Router) outwardRecipient(a address.Address) (address.Address, error) {
	return r.renamed(a, new(Decision))
}

// generic is a sender as genericstable has it. One that it gives no domain is masqueraded as any other.
func (r *Router) generic(a address.Address, d *Decision) (to address.Address, found bool, err error) {
	keys, err := r.genericKeys(a)
	if len(keys) == 0 || err != nil {
		return a, false, err
	}
	e, ok, err := r.tables.generics.Lookup(keys...)
	if !ok || err != nil {
		return a, false, err
	}
	_, detail, _ := strings.Cut(a.Unquoted(), "+")
	args := []string{wire(detail)}
	if strings.HasPrefix(e.Key, "@") {
		args = []string{a.Local()}
	}
	if to, err = parseRecipient(e.Value, args); err != nil {
		return a, false, status.New("route.generic", 451, status.Code{4, 3, 5}, "the sender cannot be rewritten", err)
	}
	d.step("genericstable has %s for %s: %s (%s)", e.Value, a, e.Key, e.Where())
	if to.Domain() == "" {
		to = to.WithDomain(r.conf.Hostname)
		return to, false, nil
	}
	return to, true, nil
}

// genericKeys are the keys under which a sender may be in genericstable, the best first: those with a domain and, for
// our domains, those without.
func (r *Router) genericKeys(a address.Address) ([]string, error) {
	if r.tables.generics == nil {
		return nil, nil
	}
	if a.Domain() == "" {
		a = a.WithDomain(r.conf.Hostname)
	}
	name, err := address.ASCIIDomain(a.Domain())
	if err != nil {
		return nil, nil // a literal
	}
	named, err := r.tables.generics.HasGroup(name)
	if err != nil {
		return nil, err
	}
	own, err := r.isOwn(name)
	if err != nil || !named && !own {
		return nil, err
	}
	user := strings.ToLower(a.Local())
	users := []string{user}
	if base, _, plussed := strings.Cut(a.Unquoted(), "+"); plussed && base != "" {
		users = append(users, strings.ToLower(wire(base+"+*")), strings.ToLower(wire(base)))
	}
	var keys []string
	for _, u := range users {
		keys = append(keys, u+"@"+name)
	}
	if keys = append(keys, "@"+name); own {
		keys = append(keys, users...)
	}
	return keys, nil
}

// isOwn tells whether a domain, in ASCII, is one whose senders genericstable has without their domain: local, origin, or
// in generics-domains.
func (r *Router) isOwn(name string) (bool, error) {
	if sameDomain(name, r.conf.Origin) {
		return true, nil
	}
	if why, err := r.localReason(name); why != "" || err != nil {
		return true, err
	}
	_, ok, err := r.tables.genericsOf.Lookup(name)
	return ok, err
}

// masked gives a sender the domain that masquerade has for it.
func (r *Router) masked(a address.Address, d *Decision) address.Address {
	if r.conf.Masquerade == "" || sameDomain(a.Domain(), r.conf.Masquerade) || !r.isMasked(a.Domain()) {
		return a
	}
	name, _, _ := strings.Cut(a.Unquoted(), "+")
	for _, exposed := range r.conf.ExposedUsers {
		if strings.EqualFold(name, exposed) {
			d.step("%s keeps its domain (exposed_users)", a)
			return a
		}
	}
	user, err := address.Parse(a.Local())
	if err != nil { // not reached: it was part of an address
		return a
	}
	to := user.WithDomain(r.conf.Masquerade)
	if to.Domain() == "" {
		return a // it would be too long
	}
	d.step("masquerade is set: others see %s", to)
	return to
}

// isMasked tells whether masquerade takes a domain's place.
func (r *Router) isMasked(domain string) bool {
	if domain == "" || sameDomain(domain, r.conf.Hostname) || sameDomain(domain, "localhost") {
		return true
	}
	name, err := address.ASCIIDomain(domain)
	if err != nil {
		return false
	}
	for _, s := range r.conf.MasqueradeDomains {
		above, below := strings.CutPrefix(s, ".")
		if !below && sameDomain(name, s) {
			return true
		}
		if above, err = address.ASCIIDomain(above); below && err == nil && strings.HasSuffix(name, "."+above) {
			return true
		}
	}
	return false
}
