package foreign

import (
	"strings"

	"postrider/internal/address"
)

// levels are Postfix's TLS levels. Those that pin certificates or keys ask for more than verification; verification is
// what is nearest.
var levels = map[string]protection{
	"none": plain, "may": opportunistic, "encrypt": required, "dane": opportunistic, "dane-only": verified,
	"fingerprint": verified, "verify": verified, "secure": verified,
}

// smarthost is relayhost with its login.
func (p *postfix) smarthost() {
	value, at, _ := p.get("relayhost")
	hosts := words(value)
	if len(hosts) > 1 {
		p.left(at, "relayhost: only the first of %d hosts is used", len(hosts))
	}
	level, levelAt := p.tlsLevel("")
	logins, loginsAt := p.logins()
	used := map[string]bool{}
	if len(hosts) == 0 {
		p.withoutSmarthost(level, levelAt)
		p.senderHosts("", logins, used)
	} else {
		s := p.host(hosts[0], logins, at, used)
		if !strings.HasPrefix(hosts[0], "[") && !isThisMachine(s.host) && p.sane(&smarthost{host: s.host, port: s.port, from: at}) {
			p.differs(at, "relayhost: mail goes to the host %s itself; its MX records, which would count without brackets, do not", s.host)
		}
		if s.user == "" && len(logins.hosts) > 0 {
			p.left(loginsAt, "smtp_sasl_password_maps: none of the logins is for the smarthost")
		}
		p.setSmarthost(s)
		p.senderHosts(hosts[0], logins, used)
	}
	for _, e := range logins.list {
		if !used[e.Key] && logins.hosts[strings.ToLower(e.Key)].From == e.From {
			p.left(e.From, "a login: only smarthosts have one")
		}
	}
}

// host is a smarthost with the login that is for it.
func (p *postfix) host(name string, l logins, at Place, used map[string]bool) smarthost {
	s := smarthost{from: at}
	s.host, s.port = cutPort(name)
	s.tls, _ = p.tlsLevel(name)
	if e, ok := l.hosts.find(name, s.host); ok {
		s.user, s.password, _ = cutLogin(e.Value)
		s.login, used[e.Key] = e.From, true
	}
	return s
}

// withoutSmarthost tells of what is said about hosts when none is ours to send to.
func (p *postfix) withoutSmarthost(level protection, at Place) {
	if level > opportunistic {
		p.left(at, "TLS cannot be demanded of all hosts, only of a smarthost: it is used when it is offered")
	}
}

// logins are the passwords at other hosts: those for a host, and those of a sender.
type logins struct {
	hosts, senders index
	list           []Entry
}

func (p *postfix) logins() (l logins, at Place) {
	enabled, _, _ := p.get("smtp_sasl_auth_enable")
	list, at := p.entries("smtp_sasl_password_maps")
	bySender, _, _ := p.get("smtp_sender_dependent_authentication")
	if !isTrue(enabled) {
		return l, at
	}
	var hosts, senders []Entry
	for _, e := range list {
		_, _, ok := cutLogin(e.Value)
		sender := strings.Contains(e.Key, "@")
		switch {
		case !ok, sender && !isSender(e.Key):
			p.left(e.From, "not a login of the form host user:password")
		case !sender:
			hosts = append(hosts, e)
		case isTrue(bySender):
			senders = append(senders, e)
		default:
			p.left(e.From, "the login of a sender, which smtp_sender_dependent_authentication does not let count")
		}
	}
	return logins{indexOf(hosts), indexOf(senders), append(hosts, senders...)}, at
}

// isSender takes an address, or a domain with "@" in front.
func isSender(s string) bool {
	if strings.HasPrefix(s, "@") {
		s = "x" + s
	}
	_, err := address.Parse(s)
	return err == nil
}

// tlsLevel is how mail to a host is protected; host "" is all.
func (p *postfix) tlsLevel(host string) (protection, Place) {
	level, at, set := p.get("smtp_tls_security_level")
	if level == "" {
		set = false
	}
	for _, old := range []struct{ param, level string }{{"smtp_use_tls", "may"}, {"smtp_enforce_tls", "verify"}} {
		if value, oldAt, _ := p.get(old.param); !set && isTrue(value) {
			level, at = old.level, oldAt
		}
	}
	wrapper, wrapperAt, _ := p.get("smtp_tls_wrappermode")
	if host != "" {
		level, at = p.tlsPolicy(host, level, at)
	}
	if isTrue(wrapper) {
		return implicit, wrapperAt
	}
	if level == "fingerprint" || level == "dane-only" || level == "dane" {
		if host != "" {
			p.left(at, "TLS of level %s: certificates are not pinned; the smarthost's is verified by the system's authorities", level)
			return verified, at
		}
		p.differs(at, "TLS of level %s: DANE is not used", level)
	}
	return levels[level], at
}

// tlsPolicy looks for the level of one host.
func (p *postfix) tlsPolicy(host, level string, at Place) (string, Place) {
	if p.policies == nil {
		list, _ := p.entries("smtp_tls_policy_maps")
		p.policies = indexOf(list)
	}
	name, _ := cutPort(host)
	e, ok := p.policies.find(host, name)
	own := words(e.Value)
	if !ok || len(own) == 0 {
		return level, at
	}
	if len(own) > 1 {
		p.left(e.From, "the TLS policy of %s: nothing but its level is used", e.Key)
	}
	p.usedPolicies[e.From] = true
	return own[0], e.From
}

// otherPolicies are those of hosts that are no smarthosts.
func (p *postfix) otherPolicies() {
	list, _ := p.entries("smtp_tls_policy_maps")
	for _, e := range list {
		if !p.usedPolicies[e.From] {
			p.left(e.From, "the TLS policy of %s: only smarthosts have one", e.Key)
		}
	}
}

// senderHosts are the smarthosts that hold for some senders, and their logins at the smarthost of all, relayhost.
func (p *postfix) senderHosts(relayhost string, l logins, used map[string]bool) {
	hosts, _ := p.entries("sender_dependent_relayhost_maps")
	done := indexOf(hosts)
	for _, e := range hosts {
		p.senderHost(e.Key, e.Value, e.From, l, used)
	}
	for _, e := range l.list {
		_, has := done[strings.ToLower(e.Key)]
		switch {
		case has || l.senders[strings.ToLower(e.Key)].From != e.From:
		case relayhost == "":
			p.left(e.From, "the login of a sender: there is no smarthost for it")
		default:
			p.senderHost(e.Key, relayhost, e.From, l, used)
		}
	}
}

// senderHost is the smarthost of one sender, or of all of a domain.
func (p *postfix) senderHost(sender, host string, at Place, l logins, used map[string]bool) {
	if !strings.Contains(sender, "@") || strings.EqualFold(host, "DUNNO") || len(words(host)) != 1 {
		p.left(at, "the smarthost of a sender")
		return
	}
	s := p.host(host, l, at, used)
	if e, ok := l.senders.find(sender); ok {
		s.user, s.password, _ = cutLogin(e.Value)
		s.login = e.From
	}
	if !p.sane(&s) {
		return
	}
	p.addEntry("smarthosts", Entry{Key: sender, Value: p.url(s), From: at, Secret: s.password})
}

// generic rewrites the senders of mail that leaves the machine.
func (p *postfix) generic() {
	entries, at := p.entries("smtp_generic_maps")
	if len(entries) > 0 {
		p.differs(at, "smtp_generic_maps: senders are rewritten, and not recipients")
	}
	for _, e := range entries {
		if to, ok := strings.CutPrefix(e.Value, "@"); ok {
			e.Value = "%1@" + to
		}
		p.addEntry("genericstable", e)
	}
}

// transport says how mail for some domains goes.
func (p *postfix) transport() {
	entries, _ := p.entries("transport_maps")
	for _, e := range entries {
		value, ok := p.mailer(e.Key, e.Value)
		switch {
		case !ok:
			p.left(e.From, "the transport of %s: there is none like %s", e.Key, e.Value)
			continue
		case strings.Contains(e.Key, "@"):
			p.left(e.From, "the transport of %s: only domains have one", e.Key)
			continue
		case e.Key == "*":
			e.Key = "."
		}
		e.Value = value
		p.addEntry("mailertable", e)
	}
}

// mailer is a transport in Sendmail's words. One that names no host means the exchangers of the domain.
func (p *postfix) mailer(domain, transport string) (string, bool) {
	name, next, _ := strings.Cut(transport, ":")
	switch name {
	case "smtp", "relay", "":
		if next == "" && name != "" && domain != "*" && !strings.HasPrefix(domain, ".") {
			next = domain
		}
		return "smtp:" + next, next != ""
	case "lmtp":
		if socket, ok := strings.CutPrefix(next, "unix:"); ok {
			return "lmtp+unix:" + p.inQueue(socket), true
		}
		return "lmtp:" + strings.TrimPrefix(next, "inet:"), next != ""
	case "error":
		code, text, ok := strings.Cut(next, " ")
		if !ok || strings.Count(code, ".") != 2 {
			return "error:5.1.2:550 " + next, true
		}
		return "error:" + code + ":550 " + text, code[0] == '5'
	case "local":
		return "local:", true
	}
	return "", false
}
