package foreign

import (
	"fmt"
	"slices"
	"strings"

	"postrider/internal/address"
)

// virtual are addresses that stand for others. Those that stand for several become aliases, which may be lists.
func (p *postfix) virtual() {
	param := "virtual_alias_maps"
	if _, ok := p.cf.params["virtual_maps"]; ok && !p.has(param) {
		param = "virtual_maps"
	}
	entries, _ := p.entries(param)
	for _, e := range entries {
		to, ok := p.virtualTargets(e)
		switch _, domain, full := strings.Cut(e.Key, "@"); {
		case !ok:
			p.left(e.From, "the virtual alias %s: not a list of addresses", e.Key)
		case !full && strings.Contains(e.Key, "."): // makes its key a domain, as each address in it does here
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
	p.get("virtual_alias_domains") // are those of the addresses
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
