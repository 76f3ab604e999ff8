package foreign

import (
	"strings"
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
	if len(hosts) == 0 {
		p.withoutSmarthost(level, levelAt, len(logins), loginsAt)
		return
	}
	s := smarthost{from: at}
	s.host, s.port = cutPort(hosts[0])
	if !strings.HasPrefix(hosts[0], "[") && !isThisMachine(s.host) {
		p.differs(at, "relayhost: mail goes to the host %s itself; its MX records, which would count without brackets, do not", s.host)
	}
	s.tls, _ = p.tlsLevel(hosts[0])
	if e, ok := find(logins, hosts[0], s.host); ok {
		s.user, s.password, _ = strings.Cut(e.Value, ":")
		s.login = e.From
		p.otherLogins(logins, e)
	} else if len(logins) > 0 {
		p.left(loginsAt, "smtp_sasl_password_maps: none of the logins is for %s", hosts[0])
	}
	p.setSmarthost(s)
}

// withoutSmarthost tells of what is said about hosts when none is ours to send to.
func (p *postfix) withoutSmarthost(level protection, levelAt Place, logins int, loginsAt Place) {
	if level > opportunistic {
		p.left(levelAt, "TLS cannot be demanded of all hosts, only of a smarthost: it is used when it is offered")
	}
	if logins > 0 {
		p.left(loginsAt, "smtp_sasl_password_maps: there is no login without a smarthost")
	}
}

// logins are the passwords for other hosts.
func (p *postfix) logins() ([]Entry, Place) {
	enabled, _, _ := p.get("smtp_sasl_auth_enable")
	list, at := p.entries("smtp_sasl_password_maps")
	if !isTrue(enabled) {
		return nil, at
	}
	if by, byAt, _ := p.get("smtp_sender_dependent_authentication"); isTrue(by) {
		var hosts []Entry
		for _, e := range list {
			if strings.Contains(e.Key, "@") {
				p.left(e.From, "the login of the sender %s: there is one login for all", e.Key)
			} else {
				hosts = append(hosts, e)
			}
		}
		if len(hosts) == len(list) {
			p.differs(byAt, "smtp_sender_dependent_authentication: no sender has a login of its own")
		}
		list = hosts
	}
	return list, at
}

func (p *postfix) otherLogins(logins []Entry, used Entry) {
	for _, e := range logins {
		if e.Key != used.Key {
			p.left(e.From, "the login at %s: only the smarthost's is used", e.Key)
		}
	}
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
	name, _ := cutPort(host)
	entries, _ := p.entries("smtp_tls_policy_maps")
	for _, e := range entries {
		own := words(e.Value)
		switch {
		case len(own) == 0:
		case strings.EqualFold(e.Key, host) || strings.EqualFold(e.Key, name):
			level, at = own[0], e.From
			if len(own) > 1 {
				p.left(e.From, "the TLS policy of %s: nothing but its level is used", e.Key)
			}
		default:
			p.left(e.From, "the TLS policy of %s: there are no policies for single hosts", e.Key)
		}
	}
	return level, at
}

// senderHosts are the smarthosts that hold for some senders.
func (p *postfix) senderHosts() {
	entries, _ := p.entries("sender_dependent_relayhost_maps")
	for _, e := range entries {
		p.left(e.From, "the smarthost of the sender %s: all senders have the same", e.Key)
	}
}

// generic rewrites addresses in mail that leaves the machine.
func (p *postfix) generic() {
	entries, _ := p.entries("smtp_generic_maps")
	p.Tables = append(p.Tables, tableOf("generics", entries)...)
}

// transport says how mail for some domains goes.
func (p *postfix) transport() {
	entries, _ := p.entries("transport_maps")
	var list []Entry
	for _, e := range entries {
		value, ok := mailerOf(e.Value)
		switch {
		case !ok:
			p.left(e.From, "the transport of %s: there is none like %s", e.Key, e.Value)
		case strings.Contains(e.Key, "@"):
			p.left(e.From, "the transport of %s: only domains have one", e.Key)
		case e.Key == "*":
			list = append(list, Entry{".", value, e.From})
		default:
			list = append(list, Entry{e.Key, value, e.From})
		}
	}
	p.Tables = append(p.Tables, tableOf("mailer", list)...)
}

// mailerOf is the mailer that a transport is in Sendmail's words.
func mailerOf(transport string) (string, bool) {
	name, next, _ := strings.Cut(transport, ":")
	host, port := cutPort(next)
	if strings.HasPrefix(next, "[") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	switch name {
	case "smtp", "relay", "":
		return "smtp:" + host, host != ""
	case "lmtp":
		if strings.HasPrefix(next, "unix:") {
			return "", false
		}
		return "lmtp:" + strings.TrimPrefix(host, "inet:"), host != ""
	case "error":
		return "error:" + next, true
	case "local":
		return "local:", true
	}
	return "", false
}

// virtual are addresses that stand for others.
func (p *postfix) virtual() {
	entries, _ := p.entries("virtual_alias_maps")
	if _, _, set := p.get("virtual_alias_maps"); !set {
		entries, _ = p.entries("virtual_maps")
	}
	var list []Entry
	var domains []string
	for _, e := range entries {
		if !strings.Contains(e.Key, "@") && strings.Contains(e.Key, ".") {
			domains = append(domains, e.Key) // a line that makes its key a domain of aliases
			continue
		}
		if to, ok := strings.CutPrefix(e.Value, "@"); ok {
			e.Value = "%1@" + to
		}
		list = append(list, e)
	}
	p.Tables = append(p.Tables, tableOf("virtual", list)...)
	if value, at, set := p.get("virtual_alias_domains"); set && !strings.Contains(value, "virtual_alias_maps") {
		more, _ := p.patterns("virtual_alias_domains")
		p.add("domains", at, more...)
	} else if len(domains) > 0 {
		p.add("domains", list0(entries).From, domains...)
	}
}

func list0(list []Entry) Entry { return append(list, Entry{})[0] }

func tableOf(kind string, entries []Entry) []Table {
	if len(entries) == 0 {
		return nil
	}
	return []Table{{Kind: kind, Entries: entries, From: entries[0].From}}
}

// mailboxes are where local mail goes.
func (p *postfix) mailboxes() {
	if dir, at, set := p.get("mail_spool_directory"); set && dir != "" {
		kind := "mbox:"
		if strings.HasSuffix(dir, "/") {
			kind = "maildir:"
		}
		p.set("local.mailbox", kind+strings.TrimSuffix(dir, "/")+"/{user}", at)
	}
	if file, at, set := p.get("home_mailbox"); set && file != "" {
		kind := "mbox:"
		if strings.HasSuffix(file, "/") {
			kind = "maildir:"
		}
		p.set("local.mailbox", kind+"{home}/"+strings.TrimSuffix(file, "/"), at)
	}
	if command, at, set := p.get("mailbox_command"); set && command != "" {
		p.left(at, "mailbox_command: a command does not deliver for all users; put it into their .forward files")
	}
	if transport, at, set := p.get("mailbox_transport"); set && transport != "" {
		p.mailboxTransport(transport, at)
	}
	if value, at, set := p.get("recipient_delimiter"); set && value != "+" && value != "" {
		p.left(at, "recipient_delimiter = %s: what follows a user's name is cut off at \"+\"", value)
	}
}

// mailboxTransport hands local mail to LMTP by a Unix socket, Dovecot's as a rule.
func (p *postfix) mailboxTransport(transport string, at Place) {
	socket, ok := strings.CutPrefix(transport, "lmtp:unix:")
	if !ok {
		p.left(at, "mailbox_transport = %s: only LMTP by a Unix socket is possible", transport)
		return
	}
	p.set("local.mailbox", "lmtp+unix:"+p.inQueue(socket), at)
	p.socketNote(at, "LMTP", p.inQueue(socket))
}

// inQueue is the path of a socket that is named as Postfix's programs do, who stand in the queue's directory.
func (p *postfix) inQueue(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return strings.TrimSuffix(p.value("queue_directory"), "/") + "/" + name
}

// socketNote tells of a socket that only Postfix's user may open.
func (p *postfix) socketNote(at Place, what, socket string) {
	if strings.Contains(socket, "/private/") {
		p.differs(at, "let Dovecot make its %s socket where the mail system's user can open it: %s is for Postfix alone", what, socket)
	}
}
