package route

import (
	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/internal/table"
)

// mailerEntry finds the line of mailertable for an address: that of its domain, or else of the longest domain above it,
// or else of all. rest is the part of the domain that stands before the one found.
func (r *Router) mailerEntry(a address.Address) (e table.Entry, rest string, ok bool, err error) {
	if r.tables.mailer == nil || a.Domain() == "" {
		return e, "", false, nil
	}
	if ip, isLiteral := a.Literal(); isLiteral {
		e, ok, err = r.tables.mailer.Lookup("[" + ip.Unmap().String() + "]")
		return e, "", ok, err
	}
	name, err := address.ASCIIDomain(a.Domain())
	if err != nil {
		return e, "", false, nil
	}
	if e, ok, err = r.tables.mailer.Lookup(name); ok || err != nil {
		return e, "", ok, err
	}
	for i := 0; i < len(name); i++ {
		if name[i] != '.' {
			continue
		}
		if e, ok, err = r.tables.mailer.Lookup(name[i:]); ok || err != nil {
			return e, name[:i], ok, err
		}
	}
	e, ok, err = r.tables.mailer.Lookup(".")
	return e, name, ok, err
}

// byMailertable decides when mailertable has a line for d.Address.
func (r *Router) byMailertable(expand expander, d *Decision) bool {
	e, rest, ok, err := r.mailerEntry(d.Address)
	if err != nil {
		d.refuse(status.From(err))
		return true
	}
	if !ok {
		return false
	}
	d.step("mailertable has %s for %s: %s (%s)", e.Value, e.Key, d.Address.Domain(), e.Where())
	t, err := parseTarget(e.Value, rest)
	switch {
	case err != nil: // what stands for %1 makes no host of it
		d.refuse(status.New("route.mailer", 451, status.Code{4, 3, 5}, "the next hop is not configured correctly", err))
	case t.error != nil:
		d.refuse(t.error)
	case t.local:
		r.toLocal(t.user, expand, d)
	default:
		d.Kind, d.Next = Relay, t.next
	}
	return true
}

// toLocal delivers to a user of this machine, or a name of its aliases: that which is given, or else d's.
func (r *Router) toLocal(user string, expand expander, d *Decision) {
	if user == "" {
		user = d.Address.Local()
	}
	a, err := address.Parse(user)
	if err != nil { // not reached: it was part of an address
		d.refuse(status.New("route.mailer", 553, status.Code{5, 1, 3}, "not a user", err))
		return
	}
	d.Address = a
	d.step("it is mail for %s here", a)
	if !r.alias(a, expand, d) {
		r.local(d)
	}
}
