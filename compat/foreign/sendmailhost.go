package foreign

import (
	"encoding/base64"
	"path"
	"strings"
)

// smarthost is macro S, "mailer:host", with the login that is said for it.
func (s *sendmail) smarthost() {
	m, ok := s.macros["S"]
	if !ok || m.text == "" {
		return
	}
	mailer, host, ok := strings.Cut(m.text, ":")
	if !ok || strings.HasPrefix(m.text, "[") {
		mailer, host = "relay", m.text
	}
	h := smarthost{from: m.at, tls: opportunistic, port: s.mailerPort[mailer]}
	h.host, _ = cutPort(host)
	if !strings.HasPrefix(host, "[") && !isThisMachine(h.host) {
		s.differs(m.at, "mail goes to the host %s itself; its MX records, which would count without brackets, do not", h.host)
	}
	s.login(&h)
	s.setSmarthost(h)
}

// login looks for the smarthost's line in the tables of logins.
func (s *sendmail) login(h *smarthost) {
	for _, name := range []string{"authinfo", "access"} {
		table, ok := s.tables[name]
		if !ok {
			continue
		}
		text, err := s.tree.read(table.text, maxMap)
		if err != nil {
			if name == "authinfo" {
				s.left(table.at, "%s cannot be read: %v", table.text, cause(err))
			}
			continue
		}
		for _, l := range lines(table.text, text, false) {
			s.authInfo(l, h)
		}
	}
	if _, at, ok := s.get("defaultauthinfo"); ok && h.user == "" {
		s.left(at, "DefaultAuthInfo: put user and password into smarthost")
	}
}

// authInfo takes a line `AuthInfo:host "U:user" "P:password"`. The first that is for the smarthost holds.
func (s *sendmail) authInfo(l line, h *smarthost) {
	key, value := cutBlank(l.text)
	const tag = "authinfo:"
	if len(key) < len(tag) || !strings.EqualFold(key[:len(tag)], tag) {
		return
	}
	host, _ := cutPort(key[len(tag):])
	if host != "" && !strings.EqualFold(host, h.host) {
		s.left(l.at, "a login: only the smarthost's is used")
		return
	}
	if h.user != "" {
		return
	}
	h.login = l.at
	for _, word := range quotedWords(value) {
		if len(word) < 2 {
			continue
		}
		text := word[2:]
		if word[1] == '=' {
			decoded, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				s.left(l.at, "the login of the smarthost is malformed")
				continue
			}
			text = string(decoded)
		}
		switch word[0] {
		case 'I', 'i':
			h.user = text
		case 'U', 'u': // as whom to act, which is who logs in unless that is said
			if h.user == "" {
				h.user = text
			}
		case 'P', 'p':
			h.password = text
		}
	}
}

// quotedWords splits at blanks outside double quotes, and takes the quotes away.
func quotedWords(s string) (list []string) {
	var word strings.Builder
	quoted, any := false, false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"':
			quoted, any = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if any {
				list = append(list, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteByte(c)
			any = true
		}
	}
	if any {
		list = append(list, word.String())
	}
	return list
}

// listen are the DaemonPortOptions. Without any, Sendmail takes mail at port 25, and that of users at 587.
func (s *sendmail) listen() {
	if len(s.ports) == 0 {
		s.ports = append(s.ports, line{"Port=25", Place{}})
	}
	if !s.noMSA {
		s.ports = append(s.ports, line{"Port=587, M=E", Place{}})
	}
	cert, certAt, _ := s.get("servercertfile")
	key, _, _ := s.get("serverkeyfile")
	mechanisms, at, offered := s.get("authmechanisms")
	if offered && mechanisms != "" {
		s.left(at, "logins are checked by Cyrus SASL: see auth of [[listen]] for files of users and Dovecot")
	}
	for _, p := range s.ports {
		l := daemonPort(p.text)
		l.From = p.at
		if l.Certificate, l.Key = cert, key; cert == "" || key == "" {
			l.Certificate, l.Key = "", ""
		}
		if l.Mode == "submissions" && l.Certificate == "" {
			s.left(p.at, "port for TLS: there is no certificate")
			continue
		}
		if p.at == (Place{}) {
			l.From = certAt
		}
		s.Listen = append(s.Listen, l)
	}
}

// daemonPort reads "Family=inet, Name=MTA, Port=smtp, Addr=127.0.0.1, M=Ea".
func daemonPort(spec string) Listen {
	host, port, flags, six := "", "25", "", false
	for _, word := range words(spec) {
		name, value, _ := strings.Cut(word, "=")
		switch strings.ToLower(name + " ")[0] {
		case 'p':
			port = portNumber(value)
		case 'a':
			host = strings.TrimPrefix(strings.Trim(value, "[]"), "IPv6:")
		case 'm':
			flags = value
		case 'f':
			six = value == "inet6"
		}
	}
	switch {
	case host == "" && six:
		host = "[::]"
	case host == "" && strings.Contains(spec, "inet"):
		host = "0.0.0.0"
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	l := Listen{Address: host + ":" + port, Mode: "smtp"}
	switch {
	case strings.Contains(flags, "s"):
		l.Mode = "submissions"
	case port == "587" || strings.Contains(flags, "a"):
		l.Mode = "submission"
	}
	return l
}

// mapFiles are the classic tables. Their text files are read as they are.
func (s *sendmail) mapFiles() {
	for _, row := range []struct{ key, name, other string }{
		{"virtusertable", "virtusertable", "virtuser"}, {"mailertable", "mailertable", "mailertable"},
		{"genericstable", "genericstable", "generics"}, {"domaintable", "domaintable", "domaintable"},
	} {
		table, ok := s.tables[row.name]
		if !ok {
			table, ok = s.tables[row.other]
		}
		if place := "/etc/mail/" + row.key; ok {
			s.set("tables."+row.key, table.text, table.at)
		} else if s.tree.exists(place) {
			s.differs(Place{File: place}, "Sendmail does not use this file; postrider does when it is there")
		}
	}
	if access := s.tables["access"]; access.text != "" && access.text != "/etc/mail/access" && path.IsAbs(access.text) {
		s.set("smtpd.access", access.text, access.at)
	}
}
