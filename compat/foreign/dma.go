package foreign

import (
	"strings"
)

// readDMA reads dma.conf, "NAME value" where a NAME alone switches something on, and the auth.conf that it names.
func readDMA(tree Tree, file string) (*Import, error) {
	text, err := tree.read(file, maxConfig)
	if err != nil {
		return nil, unreadable(file, err)
	}
	m := &Import{System: "dma", File: file}
	values := map[string]line{}
	for _, l := range lines(file, text, false) {
		name, value := cutBlank(l.text)
		values[name] = line{value, l.at}
	}
	has := func(name string) bool { _, ok := values[name]; return ok }
	if name := values["MAILNAME"]; strings.HasPrefix(name.text, "/") {
		m.set("hostname", tree.firstLine(name.text), name.at)
		m.set("origin", tree.firstLine(name.text), name.at)
	} else {
		m.set("hostname", name.text, name.at)
		m.set("origin", name.text, name.at)
	}
	if file := values["ALIASES"]; file.text != "" {
		m.set("aliases", []string{file.text}, file.at)
	}
	h := smarthost{from: values["SMARTHOST"].at, port: values["PORT"].text}
	h.host, _ = cutPort(values["SMARTHOST"].text)
	switch secure := has("SECURETRANSFER") || has("SECURETRANS"); {
	case secure && has("STARTTLS") && has("OPPORTUNISTIC_TLS"):
		h.tls = opportunistic
	case secure && has("STARTTLS") && has("VERIFYCERT"):
		h.tls = verified
	case secure && has("STARTTLS"):
		h.tls = required
	case secure:
		h.tls = implicit
	}
	if auth := values["AUTHPATH"]; auth.text != "" {
		m.dmaLogin(tree, auth, &h)
	}
	m.setSmarthost(h)
	if h.host == "" && h.port != "" && h.port != "25" {
		m.left(values["PORT"].at, "PORT: without a smarthost mail goes to port 25")
	}
	m.dmaRest(values)
	return m, nil
}

// dmaLogin reads auth.conf, "user|host:password".
func (m *Import) dmaLogin(tree Tree, file line, h *smarthost) {
	text, err := tree.read(file.text, maxConfig)
	if err != nil {
		m.left(file.at, "AUTHPATH: %s cannot be read: %v", file.text, cause(err))
		return
	}
	for _, l := range lines(file.text, text, false) {
		user, rest, ok := strings.Cut(l.text, "|")
		host, password, colon := strings.Cut(rest, ":")
		switch {
		case !ok || !colon:
			m.left(l.at, "not a line of the form user|host:password")
		case strings.EqualFold(host, h.host) && h.user == "":
			h.user, h.password, h.login = user, password, l.at
		default:
			m.left(l.at, "a login: only the smarthost's is used")
		}
	}
}

// dmaRest tells of the other settings.
func (m *Import) dmaRest(values map[string]line) {
	for _, name := range sortedKeys(values) {
		switch v := values[name]; name {
		case "SMARTHOST", "PORT", "ALIASES", "AUTHPATH", "SECURETRANSFER", "SECURETRANS", "STARTTLS", "OPPORTUNISTIC_TLS", "VERIFYCERT", "MAILNAME",
			"SPOOLDIR", "DBOUNCEPROG", "INSECURE", "SECURE", "FULLBOUNCE":
		case "MASQUERADE":
			user, domain, ok := strings.Cut(v.text, "@")
			if !ok {
				user, domain = "", v.text
			}
			if user != "" {
				m.left(v.at, "MASQUERADE: the user of senders stays who it is; see tables.genericstable")
			}
			m.set("masquerade", domain, v.at)
			m.exposed(v.at, nil)
		case "DEFER":
			m.differs(v.at, "DEFER: mail is tried at once; sendmail -odq only queues")
		case "NULLCLIENT":
			m.left(v.at, "NULLCLIENT: mail for users of this machine is delivered here")
		case "FINGERPRINT":
			m.left(v.at, "FINGERPRINT: the smarthost's certificate is verified by the system's authorities")
		case "CERTFILE":
			m.left(v.at, "CERTFILE: no certificate of ours is shown to the smarthost")
		default:
			m.left(v.at, "%s: there is no such setting here", keyName(name))
		}
	}
}
