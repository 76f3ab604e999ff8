package foreign

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// postfix reads main.cf and master.cf.
type postfix struct {
	*Import
	tree     Tree
	cf       *mainCF
	dir      string // of main.cf
	hostname string // "": not known

	policies     index // of TLS
	usedPolicies map[Place]bool
}

// readPostfix reads the configuration whose main.cf is file.
func readPostfix(tree Tree, file string) (*Import, error) {
	text, err := tree.read(file, maxConfig)
	if err != nil {
		return nil, unreadable(file, err)
	}
	m := &Import{System: "postfix", File: file}
	p := &postfix{Import: m, tree: tree, cf: parseMainCF(file, text, m), dir: path.Dir(file), usedPolicies: map[Place]bool{}}
	p.setDefaults()
	for _, read := range []func(){
		p.names, p.destinations, p.networks, p.relayDomains, p.aliasFiles, p.limits, p.smarthost, p.otherPolicies, p.mailboxes, p.virtual,
		p.transport, p.generic, p.masquerade, p.queueTimes, p.clientLimits, p.restrictions, p.services,
	} {
		read()
	}
	p.unknown()
	return m, nil
}

// setDefaults are those of Postfix's own settings that values name.
func (p *postfix) setDefaults() {
	p.cf.defaults = map[string]string{
		"config_directory":      p.dir,
		"queue_directory":       "/var/spool/postfix",
		"data_directory":        "/var/lib/postfix",
		"default_database_type": "hash",
		"mail_owner":            "postfix",
		"mail_name":             "Postfix",
		"mail_spool_directory":  "/var/mail",
		"myhostname":            p.tree.hostname(),
		"myorigin":              "$myhostname",
		"mydestination":         "$myhostname, localhost.$mydomain, localhost",
		"alias_maps":            "hash:/etc/aliases",
		"inet_interfaces":       "all",
		"inet_protocols":        "all",
		"virtual_alias_maps":    "$virtual_maps",
		"recipient_delimiter":   "",
	}
	p.hostname, _ = p.cf.expand("$myhostname")
	_, domain, _ := strings.Cut(p.hostname, ".")
	p.cf.defaults["mydomain"] = domain
	p.cf.used = map[string]bool{}
}

// get is a parameter's value with its place; not set when main.cf does not have it, or when it cannot be told.
func (p *postfix) get(name string) (value string, at Place, set bool) {
	param, ok := p.cf.params[name]
	p.cf.used[name] = true
	if !ok {
		return "", Place{}, false
	}
	value, err := p.cf.expand(param.text)
	if err != nil {
		p.left(param.at, "%s: %v", name, err)
		return "", param.at, false
	}
	return value, param.at, true
}

// value is a parameter's value, or its default.
func (p *postfix) value(name string) string {
	if value, _, set := p.get(name); set {
		return value
	}
	value, _ := p.cf.expand(p.cf.defaults[name])
	return value
}

// names are the machine's own name and the domain that completes addresses.
func (p *postfix) names() {
	host, at, _ := p.get("myhostname")
	p.set("hostname", host, at)
	p.get("mydomain") // is in other values
	origin, originAt, set := p.get("myorigin")
	switch {
	case strings.HasPrefix(origin, "/"):
		file := origin
		if origin = p.tree.firstLine(file); origin == "" {
			p.left(originAt, "myorigin: %s cannot be read", file)
		}
	case !set:
		origin, originAt = host, at
	}
	p.set("origin", origin, originAt)
}

// destinations are the local domains. Those that are local here in any case are not repeated.
func (p *postfix) destinations() {
	list, at := p.patterns("mydestination")
	var domains []string
	for _, d := range list {
		switch {
		case strings.HasPrefix(d, "!"):
			p.left(at, "mydestination: %s: exceptions are not possible", d)
		case strings.EqualFold(d, p.hostname), strings.EqualFold(d, "localhost"), strings.HasPrefix(d, "["):
		case strings.HasSuffix(d, "."):
			p.left(at, "mydestination: %s: a name is incomplete, since mydomain is not known", d)
		default:
			domains = append(domains, d)
		}
	}
	if _, _, set := p.get("mydestination"); set && !slices.ContainsFunc(list, func(d string) bool { return strings.EqualFold(d, p.hostname) }) {
		p.differs(at, "mail for the name of this host is delivered here, which mydestination does not say")
	}
	p.set("domains", domains, at)
}

// networks are those of the clients that may send to any domain.
func (p *postfix) networks() {
	list, at := p.patterns("mynetworks")
	var networks []string
	for _, word := range list {
		network, err := parseNetwork(word)
		if err != nil {
			p.left(at, "mynetworks: %s: %v", word, err)
			continue
		}
		networks = append(networks, network)
	}
	p.set("relay.networks", networks, at)
	style, styleAt, set := p.get("mynetworks_style")
	if _, _, given := p.get("mynetworks"); set && !given && style != "host" {
		p.left(styleAt, "mynetworks_style = %s: name the networks in relay.networks", style)
	}
}

// relayDomains are passed on for everybody. Postfix takes all below a domain with it.
func (p *postfix) relayDomains() {
	list, at := p.patterns("relay_domains")
	below := p.parentMatches("relay_domains")
	for _, d := range list {
		switch {
		case strings.HasPrefix(d, "!"), strings.EqualFold(d, p.hostname):
			p.left(at, "relay_domains: %s", d)
		case below && !strings.HasPrefix(d, "."):
			p.add("relay.domains", at, d, "."+d)
		default:
			p.add("relay.domains", at, d)
		}
	}
	if _, at, set := p.get("relay_recipient_maps"); set {
		p.left(at, "relay_recipient_maps: recipients in relay domains cannot be listed; smtpd.ask_next_hop asks their host")
	}
}

// parentMatches tells whether a domain stands for those below it in a list.
func (p *postfix) parentMatches(param string) bool {
	value, _, set := p.get("parent_domain_matches_subdomains")
	return !set || slices.Contains(words(value), param)
}

// aliasFiles are text files, whatever is made of them.
func (p *postfix) aliasFiles() {
	value, at, set := p.get("alias_maps")
	if !set {
		return
	}
	maps, others := mapNames(value)
	for _, word := range others {
		p.left(at, "alias_maps: %s is not a table", word)
	}
	for _, n := range maps {
		switch file := n.file(); {
		case file == "":
			p.left(at, "alias_maps: a table of type %s cannot be read", n.kind)
		case !p.tree.exists(file):
			p.left(at, "alias_maps: there is no text file of %s", n)
		default:
			p.add("aliases", at, file)
		}
	}
	if len(maps) == 0 {
		p.differs(at, "aliases are read of /etc/aliases all the same")
	}
}

// limits are of the size and the way of a message.
func (p *postfix) limits() {
	if value, at, set := p.get("message_size_limit"); set {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
			p.set("message_size_limit", int(n), at)
		} else {
			p.left(at, "message_size_limit = %s: not a number", value)
		}
	} else {
		p.differs(Place{File: p.dir + "/main.cf"}, "message_size_limit was 10240000 by default, and is 50MiB here")
	}
	p.number("hopcount_limit", "hop_limit", 1, 1000)
}

// number carries a whole number over that ours allows between low and high.
func (p *postfix) number(param, key string, low, high int) {
	value, at, set := p.get(param)
	if !set {
		return
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		p.left(at, "%s = %s: %s must be between %d and %d", param, value, key, low, high)
		return
	}
	p.set(key, n, at)
}

// queueTimes are how long and how often a message is tried.
func (p *postfix) queueTimes() {
	p.duration("minimal_backoff_time", "queue.retry_min", time.Second)
	p.duration("maximal_backoff_time", "queue.retry_max", time.Second)
	p.duration("maximal_queue_lifetime", "queue.lifetime", 24*time.Hour)
	if _, _, set := p.get("delay_warning_time"); set {
		p.duration("delay_warning_time", "queue.warn_after", time.Hour)
	} else {
		p.differs(Place{File: p.dir + "/main.cf"}, "delay_warning_time was 0 by default; here queue.warn_after is 4h, and \"0\" is never")
	}
	bounce, at, set := p.get("bounce_queue_lifetime")
	if lifetime, _, _ := p.get("maximal_queue_lifetime"); set && bounce != lifetime {
		p.differs(at, "bounce_queue_lifetime: reports live as long as other messages")
	}
	p.number("default_destination_concurrency_limit", "queue.host_concurrency", 1, 1000)
}

// duration carries a time over. A number without a unit counts units.
func (p *postfix) duration(param, key string, unit time.Duration) {
	value, at, set := p.get(param)
	if !set {
		return
	}
	d, ok := parseDuration(value, unit)
	if !ok {
		p.left(at, "%s = %s: not a time", param, value)
		return
	}
	p.set(key, formatDuration(d), at)
}

// unknown is what no reader has asked for.
func (p *postfix) unknown() {
	for _, name := range p.cf.order {
		param := p.cf.params[name]
		if p.cf.used[name] || postfixMeansNothing(name) {
			continue
		}
		if why, ok := postfixLeft[name]; ok {
			if value, err := p.cf.expand(param.text); err != nil || !isNothing(value) {
				p.left(param.at, "%s: %s", name, why)
			}
			continue
		}
		p.left(param.at, "%s: there is no such setting here", name)
	}
}

// isNothing tells whether a value switches something off.
func isNothing(value string) bool {
	return value == "" || value == "no" || value == "none" || value == "0"
}
