package foreign

import (
	"net/netip"
	"strings"
)

// protection is how the other system protects what it sends to its smarthost.
type protection int

const (
	plain         protection = iota // no TLS
	opportunistic                   // TLS when it is offered
	required                        // TLS, whoever answers
	verified                        // TLS, and the certificate must be good
	implicit                        // TLS from the beginning
)

// smarthost is the host that takes all mail, in the words that the systems have in common.
type smarthost struct {
	host, port      string // port "": 25
	user            string // "": no login
	password        string
	passwordCommand string
	tls             protection
	from            Place // of the host
	login           Place // of user and password
}

// setSmarthost carries a smarthost over, and tells where ours would behave otherwise.
func (m *Import) setSmarthost(s smarthost) {
	if s.host == "" {
		return
	}
	if !m.sane(&s) {
		return
	}
	m.set("smarthost.url", m.url(s), s.from)
	switch {
	case s.user == "":
		return
	case s.passwordCommand != "":
		m.set("smarthost.password_command", s.passwordCommand, s.login)
		m.differs(s.login, "the command for the password is run by whoever delivers: in an installation of the system, the mail system's user")
		m.differs(s.login, "the command for the password may hold one: nobody else must be able to read the configuration")
		return
	case s.password == "":
		m.left(s.login, "the password is not known: put it into smarthost.password_file")
	}
	m.NeedsPassword, m.Password, m.PasswordFrom = true, s.password, m.place(s.login)
}

// sane tells whether what is said of a smarthost is a host and a port. A user's name that cannot be one is left out with
// its password: it may be a password that stands in the wrong place. What is not sane is never printed.
func (m *Import) sane(s *smarthost) bool {
	if _, err := netip.ParseAddr(strings.Trim(s.host, "[]")); err != nil && strings.Trim(s.host, letters+digits+".-_[]") != "" || strings.Trim(s.port, digits) != "" {
		m.left(s.from, "the smarthost: not a host and a port")
		return false
	}
	if strings.ContainsFunc(s.user, func(r rune) bool { return r <= ' ' || r == ':' || r == 0x7f }) {
		m.left(s.login, "the login of the smarthost: not a user's name and a password")
		s.user, s.password, s.passwordCommand = "", "", ""
	}
	return true
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// cutLogin reads "user:password". What is not of this form may be a password alone.
func cutLogin(s string) (user, password string, ok bool) {
	user, password, ok = strings.Cut(s, ":")
	return user, password, ok && user != "" && password != "" && !strings.ContainsAny(user, " \t")
}

// url is a smarthost as smarthost.url has it.
func (m *Import) url(s smarthost) string {
	s.host = strings.Trim(strings.TrimSuffix(s.host, "."), "[]")
	scheme := m.scheme(s)
	user := ""
	if s.user != "" {
		user = strings.NewReplacer("%", "%25", ":", "%3A", "/", "%2F").Replace(s.user) + "@"
	}
	host := s.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if s.port == "" {
		s.port = "25"
	}
	if s.port != services[scheme] {
		host += ":" + s.port
	}
	return scheme + "://" + user + host
}

// scheme is that of the URL: smtp takes TLS when it is offered, the others insist on it and on a good certificate.
func (m *Import) scheme(s smarthost) string {
	switch {
	case s.tls == implicit:
		return "submissions"
	case s.tls == required:
		m.differs(s.from, "the smarthost's certificate is verified here, which it was not")
		return "submission"
	case s.tls == verified:
		return "submission"
	case s.user != "" && !isThisMachine(s.host):
		m.differs(s.login, "the password goes over TLS only, and only to a host with a good certificate")
		return "submission"
	case s.tls == plain && !isThisMachine(s.host):
		m.differs(s.from, "TLS is used when the smarthost offers it")
	}
	return "smtp"
}

// isThisMachine tells whether a host is reached without a network.
func isThisMachine(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// cutPort cuts "host:port", "[host]:port" or "host". Brackets go; an address of IPv6 without them has no port.
func cutPort(s string) (host, port string) {
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, port, _ = strings.Cut(rest, "]")
		return strings.TrimPrefix(host, "IPv6:"), portNumber(strings.TrimPrefix(port, ":"))
	}
	if strings.Count(s, ":") != 1 {
		return s, ""
	}
	host, port, _ = strings.Cut(s, ":")
	return host, portNumber(port)
}

// services are the names of ports that mail systems use.
var services = map[string]string{"smtp": "25", "submission": "587", "submissions": "465", "smtps": "465", "ssmtp": "465", "lmtp": "24", "msa": "587"}

// portNumber is the port that a number or a name of a service means.
func portNumber(s string) string {
	if n, ok := services[strings.ToLower(s)]; ok {
		return n
	}
	return s
}
