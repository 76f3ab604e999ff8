package foreign

import (
	"strings"
)

// account is one of msmtp's, its keys with their values.
type account struct {
	name   string
	values map[string]line
	at     Place
}

// readMSMTP reads an msmtprc: the account "default", or the only one there is.
func readMSMTP(tree Tree, file string) (*Import, error) {
	text, err := tree.read(file, maxConfig)
	if err != nil {
		return nil, unreadable(file, err)
	}
	m := &Import{System: "msmtp", File: file}
	accounts := parseAccounts(m, lines(file, text, false))
	chosen := -1
	for i, a := range accounts {
		if a.name == "default" || len(accounts) == 1 {
			chosen = i
		}
	}
	if chosen < 0 {
		m.left(Place{File: file}, "there is no account named default")
		return m, nil
	}
	m.account(accounts[chosen])
	base := accounts[chosen].values["host"].at
	for i, a := range accounts {
		if i != chosen && a.values["host"].at != base {
			m.left(a.at, "another account: only the default account is used")
		}
	}
	return m, nil
}

// The caps on accounts and the keys of each bound what accounts that are based on others take.
const (
	maxAccounts = 100
	maxKeys     = 200
)

// parseAccounts reads "defaults", "account NAME [: BASE,...]" and the keys that follow each.
func parseAccounts(m *Import, list []line) (accounts []account) {
	defaults := map[string]line{}
	into := defaults
	for _, l := range list {
		key, value := cutBlank(l.text)
		value = unquoteShell(value)
		switch key {
		case "defaults":
			into = defaults
		case "account":
			if len(accounts) == maxAccounts {
				m.left(l.at, "there are more than %d accounts", maxAccounts)
				return accounts
			}
			name, bases, _ := strings.Cut(value, ":")
			a := account{strings.TrimSpace(name), map[string]line{}, l.at}
			copyValues(a.values, defaults)
			for _, base := range unique(words(bases)) {
				copyValues(a.values, valuesOf(accounts, base))
			}
			accounts = append(accounts, a)
			into = a.values
		default:
			if len(into) == maxKeys {
				m.left(l.at, "there are more than %d keys", maxKeys)
				return accounts
			}
			into[key] = line{value, l.at}
		}
	}
	if len(accounts) == 0 && len(defaults) > 0 {
		accounts = append(accounts, account{"default", defaults, defaults["host"].at})
	}
	return accounts
}

func copyValues(to, from map[string]line) {
	for key, value := range from {
		to[key] = value
	}
}

func valuesOf(accounts []account, name string) map[string]line {
	for _, a := range accounts {
		if a.name == name {
			return a.values
		}
	}
	return nil
}

// account carries one account over.
func (m *Import) account(a account) {
	v := a.values
	m.setSmarthost(a.smarthost())
	m.set("hostname", v["domain"].text, v["domain"].at)
	if from := v["from"]; from.text != "" {
		_, domain, _ := strings.Cut(from.text, "@")
		if strings.ContainsAny(domain, "*%") {
			m.left(from.at, "from: it is computed")
		} else {
			m.set("origin", domain, from.at)
			m.differs(from.at, "from: origin completes addresses that have no domain; the sender stays who it is, see sendmail -f")
		}
	}
	if aliases := v["aliases"]; aliases.text != "" {
		m.set("aliases", []string{aliases.text}, aliases.at)
	}
	for _, key := range sortedKeys(v) {
		switch value := v[key]; key {
		case "host", "port", "tls", "tls_starttls", "tls_trust_file", "tls_certcheck", "auth", "user", "password", "passwordeval", "from", "domain",
			"aliases", "logfile", "logfile_time_format", "syslog", "protocol", "keepbcc", "undisclosed_recipients", "set_date_header",
			"set_msgid_header", "timeout", "tls_min_dh_prime_bits", "tls_priorities", "allow_from_override", "from_full_name", "maildomain", "add_missing_from_header",
			"add_missing_date_header", "remove_bcc_headers":
		case "set_from_header", "auto_from", "dsn_notify", "dsn_return", "tls_fingerprint", "tls_cert_file", "tls_key_file", "proxy_host", "proxy_port", "source_ip", "socket":
			if !isNothing(value.text) && value.text != "off" && value.text != "auto" {
				m.left(value.at, "%s: there is nothing like it here", key)
			}
		default:
			m.left(value.at, "a key: there is no such setting here") // it may be a password with what is in front of it
		}
	}
	if v["protocol"].text == "lmtp" {
		m.left(v["protocol"].at, "protocol lmtp: write an lmtp: URL into smarthost.url")
	}
}

// smarthost is the account's host. msmtp verifies certificates unless it is told not to.
func (a account) smarthost() smarthost {
	v := a.values
	h := smarthost{host: v["host"].text, port: portNumber(v["port"].text), from: v["host"].at, login: v["user"].at}
	switch {
	case !isTrue(v["tls"].text):
	case v["tls_starttls"].text == "off":
		h.tls = implicit
		if h.port == "" {
			h.port = "465"
		}
	case v["tls_certcheck"].text == "off":
		h.tls = required
	default:
		h.tls = verified
	}
	if auth := v["auth"].text; auth != "" && auth != "off" {
		h.user, h.password, h.passwordCommand = v["user"].text, v["password"].text, v["passwordeval"].text
	}
	if h.password != "" {
		h.passwordCommand = ""
	}
	return h
}
