package foreign

import (
	"fmt"
	"slices"
	"strings"

	"postrider/internal/address"
)

// virtual are addresses that stand for others. Those that stand for several become aliases, which may be lists. A line of
// our virtusertable makes its domain one for which mail is taken from anybody, and in Postfix it does not: a line whose
// domain Postfix does not take mail for is left out, or a machine that relays for nobody would become an open relay.
func (p *postfix) virtual() {
	param := "virtual_alias_maps"
	if _, ok := p.cf.params["virtual_maps"]; ok && !p.has(param) {
		param = "virtual_maps"
	}
	entries, _ := p.entries(param)
	taken := p.takenDomains(entries)
	relays := map[string]bool{}
	for _, e := range entries {
		to, ok := p.virtualTargets(e)
		_, domain, full := strings.Cut(e.Key, "@")
		switch {
		case !full && strings.Contains(e.Key, "."): // makes its key a domain
			continue
		case full && !taken.has(domain):
			p.left(e.From, "the virtual alias %s: Postfix takes no mail for its domain, which a line in virtusertable would make everybody's", e.Key)
			continue
		case full && ok && !taken.isHere(domain) && !relays[strings.ToLower(domain)]:
			relays[strings.ToLower(domain)] = true
			p.differs(e.From, "mail for addresses in %s that virtusertable does not have is refused, unless mailertable has the domain", domain)
		}
		p.virtualAlias(e, domain, full, to, ok)
	}
}

// virtualAlias is one of them.
func (p *postfix) virtualAlias(e Entry, domain string, full bool, to []string, ok bool) {
	switch {
	case !ok:
		p.left(e.From, "the virtual alias %s: not a list of addresses", e.Key)
	case !full:
		p.addEntry("aliases", Entry{Key: e.Key, Value: strings.Join(to, ", "), From: e.From})
	case len(to) == 1:
		p.addEntry("virtusertable", Entry{Key: e.Key, Value: to[0], From: e.From})
	case domain != "":
		name := fmt.Sprintf("virtual-%d", e.From.Line)
		p.addEntry("aliases", Entry{Key: name, Value: strings.Join(to, ", "), From: e.From})
		p.addEntry("virtusertable", Entry{Key: e.Key, Value: name, From: e.From})
	}
}

// domainSet are the domains for which Postfix takes mail from anybody.
type domainSet struct {
	here   []domainList // virtual ones, and local ones
	relays domainList
}

// takenDomains are those of mydestination, virtual_alias_domains, which unless it is said are the keys of the virtual
// aliases that are a domain alone, virtual_mailbox_domains and relay_domains.
func (p *postfix) takenDomains(aliases []Entry) domainSet {
	var local, virtual []string
	if local = p.quietly("mydestination"); !p.has("mydestination") {
		local = words(p.value("mydestination"))
	}
	if virtual, _ = p.patterns("virtual_alias_domains"); !p.has("virtual_alias_domains") {
		for _, e := range aliases {
			virtual = append(virtual, e.Key)
		}
	}
	relays := p.quietly("relay_domains")
	if p.parentMatches("relay_domains") {
		for _, d := range relays {
			d, except := strings.CutPrefix(d, "!")
			relays = append(relays, map[bool]string{true: "!"}[except]+"."+strings.TrimPrefix(d, "."))
		}
	}
	return domainSet{here: []domainList{domainListOf(append(local, p.hostname, "localhost")), domainListOf(virtual), domainListOf(p.quietly("virtual_mailbox_domains"))},
		relays: domainListOf(relays)}
}

// quietly are the patterns of a parameter of which another reader tells.
func (p *postfix) quietly(param string) []string {
	notes, used := len(p.Notes), p.cf.used[param]
	list, _ := p.patterns(param)
	p.Notes, p.cf.used[param] = p.Notes[:notes], used
	return list
}

func (s domainSet) has(domain string) bool { return s.isHere(domain) || s.relays.hasBelow(domain) }

func (s domainSet) isHere(domain string) bool {
	return slices.ContainsFunc(s.here, func(l domainList) bool { return l.has(domain) })
}

// domainList is a list of domains in lower case, true for those in it and false for its exceptions.
type domainList map[string]bool

// domainListOf takes what a list of patterns has of domains. Exceptions count wherever they stand; one that is a file or
// a table makes a list of nothing.
func domainListOf(patterns []string) domainList {
	l := domainList{}
	for _, d := range patterns {
		name, except := strings.CutPrefix(strings.ToLower(d), "!")
		switch {
		case except && strings.ContainsAny(name, "/:"):
			return nil
		case except:
			l[name] = false
		case name != "" && name != "*" && !strings.ContainsAny(name, "@["):
			if _, excepted := l[name]; !excepted {
				l[name] = true
			}
		}
	}
	return l
}

// has tells whether a domain is in the list itself.
func (l domainList) has(domain string) bool { return l[strings.ToLower(domain)] }

// hasBelow tells whether a domain is in the list, or below one that has a dot in front there, and no exception is for it.
func (l domainList) hasBelow(domain string) bool {
	name := strings.ToLower(domain)
	in, known := l[name]
	for i := strings.IndexByte(name, '.'); i >= 0 && (in || !known); i = strings.IndexByte(name, '.') {
		if on, ok := l[name[i:]]; ok {
			in, known = on, true
		}
		name = name[i+1:]
	}
	return in
}

func (p *postfix) has(name string) bool { _, ok := p.cf.params[name]; return ok }

// virtualTargets are what a virtual alias stands for. A name without a domain is one of myorigin.
func (p *postfix) virtualTargets(e Entry) (list []string, ok bool) {
	all := words(e.Value)
	for _, to := range all {
		if domain, whole := strings.CutPrefix(to, "@"); whole {
			if len(all) > 1 || !strings.HasPrefix(e.Key, "@") {
				return nil, false
			}
			return []string{"%1%3@" + domain}, true
		}
		a, err := address.Parse(to)
		if err != nil || strings.ContainsAny(to[:1], "|/:\\") {
			return nil, false
		}
		if a.Domain() == "" && !p.originIsLocal() {
			origin, _ := p.Get("origin").(string)
			a = a.WithDomain(origin)
		}
		list = append(list, a.String())
	}
	return list, len(list) > 0
}

// originIsLocal tells whether a name without a domain is one of this machine.
func (p *postfix) originIsLocal() bool {
	origin, _ := p.Get("origin").(string)
	domains, _ := p.Get("domains").([]string)
	return origin == "" || strings.EqualFold(origin, p.hostname) || slices.ContainsFunc(domains, func(d string) bool { return strings.EqualFold(d, origin) })
}

// masquerade shortens domains. One domain that all below it become is what ours does.
func (p *postfix) masquerade() {
	value, at, set := p.get("masquerade_domains")
	exceptions, exceptionsAt, _ := p.get("masquerade_exceptions")
	p.get("masquerade_classes")
	list := words(value)
	switch {
	case !set || len(list) == 0:
		return
	case len(list) > 1 || strings.HasPrefix(list[0], "!"):
		p.left(at, "masquerade_domains = %s: only one domain can stand for others", value)
		return
	}
	p.set("masquerade", list[0], at)
	p.set("masquerade_domains", []string{"." + list[0]}, at)
	p.exposed(exceptionsAt, words(exceptions))
}

// exposed are the users whose domain stays when others are masqueraded: by default root, so that nobody has to be said.
func (m *Import) exposed(at Place, users []string) {
	m.Settings = append(m.Settings, Setting{"exposed_users", append([]string{}, users...), m.place(at)})
}
