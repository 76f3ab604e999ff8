package route

import (
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
)

// ForSender is a decision about mail from a sender, given as it was submitted and, if that is another, as the next hop will
// see it: where the mail would go the way of all mail, the table of smarthosts may have one for the sender. Names are
// looked up in the order given; the null sender is in no table.
func (r *Router) ForSender(d Decision, senders ...string) Decision {
	if r.tables.smarthosts == nil || d.Kind != Relay || !d.Default {
		return d
	}
	for _, sender := range senders {
		a, err := address.Parse(sender)
		if err != nil || a.IsNull() {
			continue
		}
		found, err := r.senderSmarthost(a, &d)
		if err != nil {
			d.refuse(status.From(err))
		}
		if found || err != nil {
			return d
		}
	}
	return d
}

// senderSmarthost decides when there is a smarthost for a sender.
func (r *Router) senderSmarthost(a address.Address, d *Decision) (bool, error) {
	e, ok, err := r.tables.smarthosts.Lookup(senderKeys(a)...)
	if !ok || err != nil {
		return false, err
	}
	s, err := parseSmarthost(e.Value, r.conf.Smarthost)
	if err != nil {
		return false, err
	}
	t, _, err := s.Target()
	if err != nil {
		return false, err
	}
	d.Next = smarthostHop(s, t)
	d.step("for sender %s there is another smarthost (%s): %s", a, e.Where(), d.Next.described())
	return true, nil
}

// senderKeys are the keys under which a sender may be in a table of senders.
func senderKeys(a address.Address) []string {
	key := a.Key(true)
	if a.Domain() == "" {
		return nil
	}
	domain := key[strings.LastIndexByte(key, '@'):]
	if base, detail, ok := strings.Cut(a.Unquoted(), "+"); ok && base != "" {
		return append([]string{key}, plusKeys(base, detail, domain)...)
	}
	return []string{key, domain}
}
