package route

import (
	"fmt"
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/internal/table"
)

// maxRewrites is how often one address may become another by domaintable and virtusertable.
const maxRewrites = 10

// rewrite gives d.Address the place that domaintable and virtusertable have for it, or refuses it.
func (r *Router) rewrite(d *Decision) {
	for range maxRewrites {
		changed, err := r.newDomain(d)
		if err == nil {
			var again bool
			again, err = r.virtual(d)
			changed = changed || again
		}
		switch {
		case err != nil:
			d.refuse(status.From(err))
			return
		case d.Kind != 0 || !changed || d.Address.Domain() == "":
			return
		}
	}
	d.refuse(circle())
}

// newDomain replaces a domain by domaintable.
func (r *Router) newDomain(d *Decision) (changed bool, err error) {
	a, err := r.renamed(d.Address, d)
	if err != nil || a == d.Address {
		return false, err
	}
	d.Address = a
	return true, nil
}

// renamed is an address as domaintable has it in the end, with the steps to it in d. All who ask where a domain is ask by
// this, so that nobody decides about one domain while the mail goes to another.
func (r *Router) renamed(a address.Address, d *Decision) (address.Address, error) {
	for range maxRewrites {
		b, e, err := r.renamedOnce(a)
		if err != nil || b == a {
			return a, err
		}
		d.step("%s has the place of %s (%s)", b.Domain(), a.Domain(), e.Where())
		a = b
	}
	return a, circle()
}

func circle() *status.Status {
	return status.New("route.virtual", 451, status.Code{4, 3, 5}, "the tables lead in a circle", nil)
}

// renamedOnce is an address with the domain that a line of domaintable has for its own.
func (r *Router) renamedOnce(a address.Address) (address.Address, table.Entry, error) {
	if r.tables.domain == nil || a.Domain() == "" {
		return a, table.Entry{}, nil
	}
	name, err := address.ASCIIDomain(a.Domain())
	if err != nil {
		return a, table.Entry{}, nil // a literal
	}
	e, ok, err := r.tables.domain.Lookup(name)
	if !ok || err != nil {
		return a, table.Entry{}, err
	}
	b, err := address.Parse(a.Local() + "@" + e.Value)
	if err != nil {
		return a, table.Entry{}, nil // it would be too long
	}
	return b, e, nil
}

// virtual replaces an address by virtusertable.
func (r *Router) virtual(d *Decision) (changed bool, err error) {
	a := d.Address
	if here, err := r.isVirtual(a); !here || err != nil {
		return false, err
	}
	e, args, ok, err := r.virtualEntry(a)
	switch {
	case err != nil:
		return false, err
	case !ok:
		return false, r.notVirtual(d)
	}
	d.step("virtusertable has %s for %s: %s (%s)", e.Value, a, e.Key, e.Where())
	if text, isError := cutError(e.Value); isError {
		st, err := parseError(text)
		if err == nil {
			d.refuse(st)
		}
		return false, err
	}
	to, err := parseRecipient(e.Value, args)
	switch {
	case err != nil:
		d.refuse(status.New("route.virtual", 550, status.Code{5, 1, 3}, a.String()+": nothing can be made of this address", err))
		return false, nil
	case to.Key(true) == a.Key(true):
		return false, r.unchanged(d)
	}
	d.Address = to
	return true, nil
}

// isVirtual tells whether virtusertable knows an address's domain.
func (r *Router) isVirtual(a address.Address) (bool, error) {
	if r.tables.virtual == nil || a.Domain() == "" {
		return false, nil
	}
	name, err := address.ASCIIDomain(a.Domain())
	if err != nil {
		return false, nil
	}
	return r.tables.virtual.HasGroup(name)
}

// virtualEntry finds the line for an address, and what stands for %1, %2 and %3 in it.
func (r *Router) virtualEntry(a address.Address) (e table.Entry, args []string, ok bool, err error) {
	key := a.Key(true)
	domain := key[strings.LastIndexByte(key, '@'):]
	whole := []string{a.Local()}
	base, detail, plussed := strings.Cut(a.Unquoted(), "+")
	if !plussed || base == "" {
		e, ok, err = r.tables.virtual.Lookup(key, domain)
		return e, whole, ok, err
	}
	if e, ok, err = r.tables.virtual.Lookup(key); ok || err != nil {
		return e, whole, ok, err
	}
	e, ok, err = r.tables.virtual.Lookup(plusKeys(base, detail, domain)...)
	return e, []string{wire(base), wire(detail), "+" + wire(detail)}, ok, err
}

// plusKeys are the keys for an address with detail, but for the whole of it: ++ wants some, +* takes none as well.
func plusKeys(base, detail, domain string) []string {
	user := strings.ToLower(wire(base))
	keys := []string{wire(strings.ToLower(base)+"+*") + domain, user + domain, "+*" + domain, domain}
	if detail == "" {
		return keys
	}
	return []string{wire(strings.ToLower(base)+"++") + domain, keys[0], keys[1], "++" + domain, keys[2], keys[3]}
}

// wire is a localpart of this meaning in the form that it has in an address; without the quotes when they would only hold
// a part of one.
func wire(meaning string) string {
	if meaning == "" {
		return ""
	}
	a, err := address.Parse(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(meaning) + `"`)
	if err != nil {
		return meaning
	}
	return a.Local()
}

// notVirtual decides about an address of a virtual domain of which virtusertable says nothing: it may be a local user's,
// or another table's affair, but is never looked up in DNS.
func (r *Router) notVirtual(d *Decision) error {
	elsewhere, err := r.othersGoOn(d.Address)
	if elsewhere || err != nil {
		return err
	}
	if strings.EqualFold(d.Address.Unquoted(), "postmaster") { // RFC 5321 section 4.5.1
		d.step("%s is a virtual domain: its postmaster is ours", d.Address.Domain())
		d.Address, _ = address.Parse("postmaster")
		return nil
	}
	d.step("%s is a virtual domain, and virtusertable (%s) has no line for %s", d.Address.Domain(), r.tables.virtual.Path(), d.Address)
	d.refuse(status.New("route.virtual", 550, status.Code{5, 1, 1}, d.Address.String()+": no such user here", nil))
	return nil
}

// unchanged decides about an address that virtusertable leaves as it is: any line of mailertable has a place for it.
func (r *Router) unchanged(d *Decision) error {
	why, err := r.localReason(d.Address.Domain())
	elsewhere := why != ""
	if !elsewhere && err == nil {
		_, _, elsewhere, err = r.mailerEntry(d.Address)
	}
	if !elsewhere && err == nil {
		d.refuse(status.New("route.virtual", 451, status.Code{4, 3, 5}, "mail for "+d.Address.String()+" has no place to go", fmt.Errorf("virtusertable leads back to it")))
	}
	return err
}

// othersGoOn tells whether a virtual domain also has a place for those of whom virtusertable says nothing: local users, or
// a line of mailertable. Mail for virtual domains is taken from anybody, so a line that is for more than this domain is
// no such place, unless the administrator has named the domain, or one above it, as one to relay for.
func (r *Router) othersGoOn(a address.Address) (bool, error) {
	why, err := r.localReason(a.Domain())
	if why != "" || err != nil {
		return true, err
	}
	e, _, ok, err := r.mailerEntry(a)
	if !ok || err != nil {
		return false, err
	}
	if !strings.HasPrefix(e.Key, ".") {
		return true, nil
	}
	return r.relayedFor(a.Domain())
}

// cutError cuts "error:" from a value.
func cutError(value string) (string, bool) {
	if len(value) < 6 || !strings.EqualFold(value[:6], "error:") {
		return value, false
	}
	return value[6:], true
}

// parseRecipient reads a value that is a recipient, with %1 and so on in it.
func parseRecipient(value string, args []string) (address.Address, error) {
	a, err := address.Parse(fill(value, args))
	if err == nil && a.IsNull() {
		err = fmt.Errorf("no address")
	}
	return a, err
}

// fill puts args where a value has %1 to %9. What there is none for becomes nothing.
func fill(value string, args []string) string {
	if !strings.Contains(value, "%") {
		return value
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if c := value[i]; c != '%' || i+1 == len(value) || value[i+1] < '1' || value[i+1] > '9' {
			b.WriteByte(c)
			continue
		}
		i++
		if n := int(value[i] - '1'); n < len(args) {
			b.WriteString(args[n])
		}
	}
	return b.String()
}
