package foreign

import (
	"path"
	"strings"
)

// readSSMTP reads ssmtp.conf, "Key=value" in any case of letters, and the revaliases beside it.
func readSSMTP(tree Tree, file string) (*Import, error) {
	text, err := tree.read(file, maxConfig)
	if err != nil {
		return nil, unreadable(file, err)
	}
	m := &Import{System: "ssmtp", File: file}
	values := map[string]line{}
	for _, l := range lines(file, text, false) {
		name, value, ok := strings.Cut(l.text, "=")
		if !ok {
			m.left(l.at, "not a line of the form Key=value")
			continue
		}
		values[strings.ToLower(strings.TrimSpace(name))] = line{strings.TrimSpace(value), l.at}
	}
	m.set("hostname", values["hostname"].text, values["hostname"].at)
	m.set("origin", values["rewritedomain"].text, values["rewritedomain"].at)
	if root := values["root"]; root.text != "" {
		m.set("local.root", root.text, root.at)
		m.differs(root.at, "mail for other users of the system, with numbers below 1000, is delivered here; an alias sends it on")
	}
	m.setSmarthost(ssmtpHost(values))
	for _, name := range sortedKeys(values) {
		switch v := values[name]; name {
		case "hostname", "rewritedomain", "root", "mailhub", "usetls", "usestarttls", "authuser", "authpass", "authmethod", "debug", "tls_ca_file", "tls_ca_dir":
		case "fromlineoverride":
			if !isTrue(v.text) {
				m.differs(v.at, "FromLineOverride: the From: that a program writes stays")
			}
		case "tlscert", "tlskey", "usetlscert":
			m.left(v.at, "%s: no certificate of ours is shown to the smarthost", name)
		default:
			m.left(v.at, "a key: there is no such setting here") // the file holds a password, perhaps in this line
		}
	}
	m.revaliases(tree, path.Dir(file)+"/revaliases", values["mailhub"].text)
	return m, nil
}

// ssmtpHost is the mailhub.
func ssmtpHost(values map[string]line) smarthost {
	h := smarthost{from: values["mailhub"].at, login: values["authuser"].at, user: values["authuser"].text, password: values["authpass"].text}
	h.host, h.port = cutPort(values["mailhub"].text)
	if h.host == "" {
		h.host = "mail" // as ssmtp does
		h.from = Place{}
	}
	switch {
	case isTrue(values["usestarttls"].text):
		h.tls = required
	case isTrue(values["usetls"].text):
		h.tls = implicit
	}
	return h
}

// revaliases are the outgoing addresses of local users, "user:address[:mailhub]".
func (m *Import) revaliases(tree Tree, file, mailhub string) {
	text, err := tree.read(file, maxConfig)
	if err != nil {
		return
	}
	for _, l := range lines(file, text, false) {
		fields := strings.SplitN(l.text, ":", 3)
		if len(fields) < 2 {
			m.left(l.at, "not a line of the form user:address:mailhub")
			continue
		}
		m.addEntry("genericstable", Entry{Key: strings.TrimSpace(fields[0]), Value: strings.TrimSpace(fields[1]), From: l.at})
		if len(fields) == 3 && strings.TrimSpace(fields[2]) != "" && !strings.EqualFold(strings.TrimSpace(fields[2]), mailhub) {
			m.left(l.at, "the mailhub of %s: all users have the same smarthost", fields[0])
		}
	}
}
