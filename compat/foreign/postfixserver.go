package foreign

import (
	"slices"
	"strings"
)

// services are the lines of master.cf that listen for mail.
func (p *postfix) services() {
	for _, name := range serverParams {
		p.get(name) // which services override
	}
	file := p.dir + "/master.cf"
	text, err := p.tree.read(file, maxConfig)
	if err != nil {
		p.left(Place{File: file}, "cannot be read: %v; the server is thought to be at port 25", cause(err))
		text = "smtp inet n - y - - smtpd\n"
	}
	for _, l := range lines(file, text, true) {
		fields := splitCommand(l.text)
		if len(fields) < 8 || fields[1] != "inet" || fields[7] != "smtpd" && fields[7] != "postscreen" {
			continue
		}
		if fields[7] == "postscreen" {
			p.left(l.at, "postscreen: the server itself answers; see smtpd.dns_lists and smtpd.greeting_delay")
		}
		p.service(l.at, fields[0], overrides(fields[8:]))
	}
	p.dovecot()
}

// serverParams are those that hold for services.
var serverParams = []string{
	"inet_interfaces", "content_filter", "smtpd_tls_wrappermode", "smtpd_tls_security_level", "smtpd_use_tls", "smtpd_enforce_tls",
	"smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_chain_files", "smtpd_sasl_auth_enable", "smtpd_sasl_type", "smtpd_sasl_path",
}

// splitCommand splits a line of master.cf. Braces hold a word together.
func splitCommand(s string) (fields []string) {
	for s = strings.TrimSpace(s); s != ""; {
		depth, end := 0, len(s)
		for i := range len(s) {
			if c := s[i]; c == '{' {
				depth++
			} else if c == '}' {
				depth--
			} else if depth <= 0 && (c == ' ' || c == '\t') {
				end = i
				break
			}
		}
		fields, s = append(fields, s[:end]), strings.TrimLeft(s[end:], " \t")
	}
	return fields
}

// overrides are the "-o name=value" of a service.
func overrides(args []string) map[string]string {
	values := map[string]string{}
	for i, arg := range args {
		setting, ok := strings.CutPrefix(arg, "-o")
		if !ok {
			continue
		}
		if setting == "" && i+1 < len(args) {
			setting = args[i+1]
		}
		if inner, _, braced := cutBraces(setting, '{', '}'); braced {
			setting = inner
		}
		name, value, _ := strings.Cut(setting, "=")
		values[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return values
}

// server is a service with the settings that hold for it.
type server struct {
	*postfix
	at   Place
	over map[string]string
}

// value is a setting of the service; known are those that the import understands.
func (s server) value(name string) string {
	if value, ok := s.over[name]; ok {
		delete(s.over, name)
		if expanded, err := s.cf.expand(value); err == nil {
			return expanded
		}
		s.left(s.at, "%s: %v", name, errExpansion)
		return ""
	}
	value, _, _ := s.get(name)
	return value
}

// service carries one service over.
func (p *postfix) service(at Place, name string, over map[string]string) {
	host, port := "", name
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		host, port = name[:i], name[i+1:]
	}
	port = portNumber(port)
	s := server{p, at, over}
	if filter := s.value("content_filter"); filter != "" {
		p.left(at, "content_filter = %s: mail is not sent through a filter", filter)
	}
	l := Listen{From: at, Mode: s.mode(port)}
	s.secure(&l)
	s.login(&l)
	for _, address := range s.addresses(host, port) {
		l.Address = address
		p.Listen = append(p.Listen, l)
	}
	s.leftOver()
}

// mode is that of ours which a service is nearest to.
func (s server) mode(port string) string {
	wrapped := isTrue(s.value("smtpd_tls_wrappermode"))
	users := false
	for _, param := range []string{"smtpd_client_restrictions", "smtpd_recipient_restrictions", "smtpd_relay_restrictions"} {
		if value, ok := s.over[param]; ok {
			list := words(value)
			users = users || slices.Contains(list, "permit_sasl_authenticated") && len(list) > 0 && list[len(list)-1] == "reject"
		}
	}
	switch {
	case wrapped:
		return "submissions"
	case users, port == "587":
		return "submission"
	}
	return "smtp"
}

// secure finds the certificate.
func (s server) secure(l *Listen) {
	level := s.value("smtpd_tls_security_level")
	if level == "" && (isTrue(s.value("smtpd_use_tls")) || isTrue(s.value("smtpd_enforce_tls"))) {
		level = "may"
	}
	cert, key := s.value("smtpd_tls_cert_file"), s.value("smtpd_tls_key_file")
	chain := words(s.value("smtpd_tls_chain_files"))
	if len(chain) > 0 {
		cert, key = chain[0], chain[0]
		if len(chain) > 1 {
			s.left(s.at, "smtpd_tls_chain_files: only the first is used; it must hold key and certificates")
		}
	}
	if key == "" {
		key = cert
	}
	if (level == "" || level == "none") && l.Mode != "submissions" {
		return
	}
	switch {
	case cert == "" && l.Mode == "submissions":
		s.left(s.at, "port for TLS: there is no certificate")
	case strings.EqualFold(cert, "none"):
		return
	}
	l.Certificate, l.Key = cert, key
	if l.Mode == "smtp" && level == "encrypt" {
		s.left(s.at, "smtpd_tls_security_level = encrypt: TLS cannot be demanded at a port of mode smtp")
	}
}

// login finds who checks passwords.
func (s server) login(l *Listen) {
	enabled := isTrue(s.value("smtpd_sasl_auth_enable"))
	kind, path := s.value("smtpd_sasl_type"), s.value("smtpd_sasl_path")
	switch {
	case !enabled:
		if l.Mode != "smtp" {
			s.left(s.at, "nobody can log in at a port of mode %s, since smtpd_sasl_auth_enable is not set", l.Mode)
		}
	case kind == "dovecot" && !strings.Contains(path, "inet:"):
		l.Dovecot = s.inQueue(strings.TrimPrefix(path, "unix:"))
	case kind == "dovecot":
		s.left(s.at, "smtpd_sasl_path = %s: Dovecot is asked by a Unix socket only", path)
	default:
		s.left(s.at, "logins are checked by Cyrus SASL: see auth of [[listen]] for files of users and Dovecot")
	}
}

// dovecot tells once of sockets that only Postfix may open.
func (p *postfix) dovecot() {
	for _, l := range p.Listen {
		if l.Dovecot != "" {
			p.socketNote(l.From, "authentication", l.Dovecot)
			return
		}
	}
}

// addresses are those at which a service listens.
func (s server) addresses(host, port string) (list []string) {
	if host != "" {
		return []string{host + ":" + port}
	}
	protocols := s.protocols()
	for _, name := range words(s.interfaces()) {
		switch name {
		case "all":
			list = append(list, anywhere(protocols)+":"+port)
		case "loopback-only", "localhost":
			if protocols != "ipv6" {
				list = append(list, "127.0.0.1:"+port)
			}
			if protocols != "ipv4" {
				list = append(list, "[::1]:"+port)
			}
		default:
			name = strings.Trim(name, "[]")
			if strings.Contains(name, ":") {
				name = "[" + name + "]"
			}
			list = append(list, name+":"+port)
		}
	}
	return unique(list)
}

func (s server) interfaces() string {
	if value := s.value("inet_interfaces"); value != "" {
		return value
	}
	return "all"
}

// protocols is "ipv4" or "ipv6" when it is one of them alone.
func (s server) protocols() string {
	list := words(s.value("inet_protocols"))
	if len(list) == 1 && list[0] != "all" {
		return list[0]
	}
	return ""
}

func anywhere(protocols string) string {
	switch protocols {
	case "ipv4":
		return "0.0.0.0"
	case "ipv6":
		return "[::]"
	}
	return ""
}

// leftOver are the overrides that nothing has asked for.
func (s server) leftOver() {
	var names []string
	for name := range s.over {
		if !postfixMeansNothing(name) && !harmlessOverrides[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		s.left(s.at, "-o %s: it is not possible at one port alone", name)
	}
}

// harmlessOverrides are those of the services that Postfix ships. What they say is how ours behave, or is about who may
// send, and a port of mode submission is stricter in that.
var harmlessOverrides = map[string]bool{
	"smtpd_client_restrictions": true, "smtpd_relay_restrictions": true, "smtpd_recipient_restrictions": true,
	"smtpd_helo_restrictions": true, "smtpd_sender_restrictions": true, "smtpd_reject_unlisted_recipient": true,
	"milter_macro_daemon_name": true, "cleanup_service_name": true, "local_header_rewrite_clients": true,
}
