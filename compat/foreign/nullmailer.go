package foreign

import (
	"path"
	"strings"
	"time"
)

// readNullmailer reads nullmailer's files, each of which is one setting. file is "remotes".
func readNullmailer(tree Tree, file string) (*Import, error) {
	text, err := tree.read(file, maxConfig)
	if err != nil {
		return nil, unreadable(file, err)
	}
	n := &nullmailer{&Import{System: "nullmailer", File: file}, tree, path.Dir(file)}
	n.names()
	n.times()
	n.remotes(lines(file, text, false))
	if to, at := n.get("adminaddr"); to != "" {
		first, _, _ := strings.Cut(to, ",")
		n.set("local.root", strings.TrimSpace(first), at)
		n.differs(at, "adminaddr: it gets the mail for root; that for other users of this machine is delivered here")
	}
	for _, name := range []string{"allmailfrom", "doublebounceto", "idhost"} {
		if value, at := n.get(name); value != "" {
			n.left(at, "there is no such setting here")
		}
	}
	return n.Import, nil
}

type nullmailer struct {
	*Import
	tree Tree
	dir  string
}

// get is the first line of one of the files.
func (n *nullmailer) get(name string) (string, Place) {
	file := n.dir + "/" + name
	return n.tree.firstLine(file), Place{File: file, Line: 1}
}

func (n *nullmailer) names() {
	domain, domainAt := n.get("defaultdomain")
	complete := func(name string) string {
		if name != "" && !strings.Contains(name, ".") && domain != "" {
			return name + "." + domain
		}
		return name
	}
	me, meAt := n.get("me")
	if me == "" {
		me, meAt = n.tree.firstLine("/etc/mailname"), Place{File: "/etc/mailname"}
	}
	host, hostAt := n.get("helohost")
	if host == "" {
		host, hostAt = me, meAt
	}
	n.set("hostname", complete(host), hostAt)
	origin, at := n.get("defaulthost")
	switch {
	case origin == "" && me != "":
		origin, at = me, meAt
	case origin == "":
		origin, at = domain, domainAt
	}
	n.set("origin", complete(origin), at)
}

// times are numbers of seconds.
func (n *nullmailer) times() {
	for _, row := range []struct{ name, key string }{{"pausetime", "queue.retry_min"}, {"maxpause", "queue.retry_max"}, {"queuelifetime", "queue.lifetime"}} {
		value, at := n.get(row.name)
		if value == "" {
			continue
		}
		if d, ok := parseDuration(value, time.Second); ok && d > 0 {
			n.set(row.key, formatDuration(d), at)
		} else {
			n.left(at, "%s: not a number of seconds", value)
		}
	}
}

// remotes are lines "host [smtp] [--option[=value]]...". The first is used. They hold passwords, so no word is repeated.
func (n *nullmailer) remotes(list []line) {
	for i, l := range list {
		fields := shellWords(l.text)
		if i > 0 || len(fields) == 0 {
			n.left(l.at, "only the first remote is used")
			continue
		}
		h := smarthost{host: fields[0], from: l.at, login: l.at}
		insecure := false
		for words := fields[1:]; len(words) > 0; {
			var name, value string
			name, value, words = cutOption(words)
			if insecure = insecure || name == "insecure"; !h.nullmailerOption(name, value) {
				n.left(l.at, "an option or a protocol: there is nothing like it here") // it may be a password
			}
		}
		if h.tls == implicit && h.port == "" {
			h.port = "465"
		}
		if insecure {
			n.differs(l.at, "insecure: the smarthost's certificate is verified here")
		}
		n.setSmarthost(h)
	}
}

// cutOption cuts an option off a line: "--name=value", "name=value", or "--name value" for what needs a value.
func cutOption(list []string) (name, value string, rest []string) {
	name, value, has := strings.Cut(strings.TrimPrefix(list[0], "--"), "=")
	rest = list[1:]
	if needs := name == "port" || name == "user" || name == "pass"; needs && !has && len(rest) > 0 && !strings.HasPrefix(rest[0], "--") {
		value, rest = rest[0], rest[1:]
	}
	return name, value, rest
}

// nullmailerOption takes an option of the smarthost's, and tells whether it is one that is known.
func (s *smarthost) nullmailerOption(name, value string) bool {
	switch name {
	case "port":
		s.port = portNumber(value)
	case "user":
		s.user = value
	case "pass":
		s.password = value
	case "ssl", "tls":
		s.tls = implicit
	case "starttls":
		s.tls = verified
	case "insecure", "auth-login", "x509cafile", "smtp":
	default:
		return false
	}
	return true
}

// shellWords splits a line as a shell does.
func shellWords(s string) (list []string) {
	var word strings.Builder
	var quote byte
	begun := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, begun = c, true
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
			begun = true
		case quote == 0 && (c == ' ' || c == '\t'):
			if begun {
				list = append(list, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		list = append(list, word.String())
	}
	return list
}
