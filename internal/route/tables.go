package route

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/table"
)

// tables are the text tables of a configuration, see postrider-tables(5). One that a configuration has not is nil.
type tables struct {
	virtual    *table.Map // virtusertable: user@domain and @domain to recipients
	mailer     *table.Map // mailertable: domains to next hops
	domain     *table.Map // domaintable: domains to those that have their place
	generics   *table.Map // genericstable: senders to those that others see
	genericsOf *table.Map // domains whose senders are in it
	names      *table.Map // local-host-names
	relays     *table.Map // relay-domains
	smarthosts *table.Map // senders to smarthosts
}

// openTables opens the tables of a configuration. In a user installation the system's files, which are the default, are
// somebody else's: only those count that the configuration names.
func openTables(conf config.Config, report func(error)) tables {
	open := func(path, system string, spec table.Spec) *table.Map {
		if path == "" || conf.User && path == system {
			return nil
		}
		return table.Open(path, spec, table.FileOptions{Missing: true, Report: report})
	}
	c, d := conf.Tables, config.Default().Tables
	domains := table.Spec{Key: domainKey, Words: true}
	return tables{
		virtual:    open(c.Virtusertable, d.Virtusertable, table.Spec{Key: virtualKey, Value: virtualValue, Group: domainOf}),
		mailer:     open(c.Mailertable, d.Mailertable, table.Spec{Key: mailerKey, Value: mailerValue}),
		domain:     open(c.Domaintable, d.Domaintable, table.Spec{Key: domainKey, Value: domainValue}),
		generics:   open(c.Genericstable, d.Genericstable, table.Spec{Key: senderKey, Value: genericValue, Group: domainOf}),
		genericsOf: open(c.GenericsDomains, d.GenericsDomains, domains),
		names:      open(c.LocalHostNames, d.LocalHostNames, table.Spec{Key: nameKey, Words: true}),
		relays:     open(c.RelayDomains, d.RelayDomains, table.Spec{Key: relayKey, Words: true}),
		smarthosts: open(c.Smarthosts, d.Smarthosts, table.Spec{Key: virtualKey, Value: smarthostValue(conf.Smarthost)}),
	}
}

// all are the tables that there may be.
func (t *tables) all() []*table.Map {
	return []*table.Map{t.virtual, t.mailer, t.domain, t.generics, t.genericsOf, t.names, t.relays, t.smarthosts}
}

// ready is an error when one of the tables that decide about recipients cannot be used: it might say something.
func (t *tables) ready() error {
	for _, m := range [...]*table.Map{t.domain, t.names, t.virtual, t.mailer} {
		if _, err := m.Len(); err != nil {
			return err
		}
	}
	return nil
}

// TableState is what there is to say of one table.
type TableState struct {
	Path  string
	Lines int      // that count
	Notes []string // of lines that do not
	Err   error    // why it cannot be used
}

// Tables reads the tables that there are and tells of them. One that does not exist is left out.
func (r *Router) Tables() (list []TableState) {
	for _, m := range r.tables.all() {
		s := TableState{Path: m.Path()}
		s.Lines, s.Notes, s.Err = m.State()
		if s.Path != "" && (s.Lines > 0 || s.Err != nil) {
			list = append(list, s)
		}
	}
	return list
}

// domainOf is the domain of a key that is an address.
func domainOf(key string) string { return key[strings.LastIndexByte(key, '@')+1:] }

// plain tells whether a key is its own normal form but for the case of its letters: most are, and there may be a
// million.
func plain(s string) bool {
	at := -1
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '@' && at < 0 && i > 0:
			at = i
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9' && (at < 0 || i < len(s)-1), c == '_' && at < 0:
		case (c == '-' || c == '.' || c == '+' && at < 0) && i > 0 && i < len(s)-1 && isWord(s[i-1]) && isWord(s[i+1]):
		default:
			return false
		}
	}
	return at > 0 && len(s)-at < 64 && at <= 64 && len(s) > at+1
}

func isWord(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' }

var (
	errAddressKey = errors.New("neither user@domain nor @domain")
	errSenderKey  = errors.New("neither a user, user@domain nor @domain")
)

// virtualKey is a key of virtusertable: user@domain, user+*@domain, user++@domain, +*@domain, ++@domain, @domain.
func virtualKey(s string) (string, error) {
	if plain(s) {
		return strings.ToLower(s), nil
	}
	if domain, ok := strings.CutPrefix(s, "@"); ok {
		name, err := address.ASCIIDomain(domain)
		return "@" + name, err
	}
	a, err := address.Parse(s)
	if err == nil && a.Domain() == "" {
		err = errAddressKey
	}
	return a.Key(true), err
}

// senderKey is a key of genericstable: as of virtusertable, or a user alone.
func senderKey(s string) (string, error) {
	if !strings.Contains(s, "@") {
		a, err := address.Parse(s)
		if err != nil {
			return "", errSenderKey
		}
		return a.Key(true), nil
	}
	return virtualKey(s)
}

func domainKey(s string) (string, error) { return address.ASCIIDomain(s) }

// nameKey is a word of local-host-names: a domain, or an address of this machine in brackets, of which no file need tell.
func nameKey(s string) (string, error) {
	if ip, ok := literal(s); ok {
		return ip.String(), nil
	}
	return domainKey(s)
}

// literal reads an address in brackets.
func literal(s string) (netip.Addr, bool) {
	if !strings.HasPrefix(s, "[") {
		return netip.Addr{}, false
	}
	a, err := address.Parse("x@" + s)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Literal()
}

// mailerKey is a key of mailertable: a domain, .domain for all below it, . for all, or an address in brackets.
func mailerKey(s string) (string, error) {
	if ip, ok := literal(s); ok {
		return "[" + ip.String() + "]", nil
	}
	if s == "." {
		return s, nil
	}
	domain, below := strings.CutPrefix(s, ".")
	domain, err := address.ASCIIDomain(domain)
	if below {
		domain = "." + domain
	}
	return domain, err
}

// relayKey is a word of relay-domains: a domain, with all below it, or an address or leading numbers of one.
func relayKey(s string) (string, error) {
	if ip, ok := literal(s); ok {
		return ip.String(), nil
	}
	if ip, err := netip.ParseAddr(trimTag(s)); err == nil && ip.Zone() == "" {
		return ip.Unmap().String(), nil
	}
	if strings.Trim(s, "0123456789.") == "" {
		if _, err := netip.ParseAddr(s + strings.Repeat(".0", max(0, 3-strings.Count(s, ".")))); err != nil {
			return "", errors.New("neither a domain nor an address")
		}
		return s, nil
	}
	return domainKey(s)
}

func trimTag(s string) string {
	if len(s) > 5 && strings.EqualFold(s[:5], "ipv6:") {
		return s[5:]
	}
	return s
}

func mailerValue(key, value string) error {
	_, err := parseTarget(value, "x")
	return err
}

func domainValue(_, value string) error {
	_, err := address.ASCIIDomain(value)
	return err
}

// virtualValue tells what is wrong with whom a line of virtusertable names.
func virtualValue(_, value string) error {
	if plain(value) || plain(value+"@x") {
		return nil
	}
	if text, ok := cutError(value); ok {
		_, err := parseError(text)
		return err
	}
	switch {
	case value[0] == '|' || value[0] == '/' || value[0] == ':' || value[0] == '"':
		return errors.New("a command, a file or a list cannot stand here; make it an alias and name that")
	case strings.Contains(value, ","):
		return errors.New("only one can stand here; make an alias of several and name that")
	}
	_, err := parseRecipient(value, []string{"x", "x", "+x"})
	return err
}

// genericValue tells what is wrong with what a line of genericstable makes of a sender. It must not make a message need
// SMTPUTF8.
func genericValue(_, value string) error {
	a, err := parseRecipient(value, []string{"x", "x", "+x"})
	if err == nil && a.NeedsUTF8() {
		err = errors.New("the address is not ASCII; write its domain with A-labels")
	}
	return err
}

// smarthostValue tells what is wrong with a sender's smarthost. main is everybody else's.
func smarthostValue(main config.Smarthost) func(string, string) error {
	return func(_, value string) error {
		_, err := parseSmarthost(value, main)
		return err
	}
}

// parseSmarthost reads a URL and, when it names a user whose password is not known yet, the file that has it.
func parseSmarthost(value string, main config.Smarthost) (config.Smarthost, error) {
	f := strings.Fields(value)
	s := config.Smarthost{URL: f[0]}
	if len(f) > 2 || len(f) == 2 && !strings.HasPrefix(f[1], "/") {
		return s, errors.New("a URL, and the path of a file with the password, may stand here")
	}
	t, _, err := s.Target()
	switch {
	case err != nil:
		return s, err
	case len(f) == 2 && t.User == "":
		return s, fmt.Errorf("%s has a password but names no user, as in submission://user@host", shown(f[0]))
	case len(f) == 2:
		s.PasswordFile = f[1]
	case t.User != "" && s.URL == main.URL:
		return main, nil
	case t.User != "":
		return s, errors.New("the path of a file with the user's password must follow")
	}
	return s, nil
}
