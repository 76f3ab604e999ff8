package access

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/internal/table"
)

// Caps on a table.
const (
	maxNotes = 10
	maxText  = 400 // of a reply
)

// tag is what a line is about.
type tag int

const (
	untagged tag = iota
	tagConnect
	tagFrom
	tagTo
	tagRate // from here on the values are numbers
	tagConn
	tagCount
	ignored
)

// tags are the tags of Sendmail's access tables, in lower case.
var tags = map[string]tag{
	"connect": tagConnect, "from": tagFrom, "to": tagTo, "clientrate": tagRate, "clientconn": tagConn,
	"spam": ignored, "greetpause": ignored, "srv_features": ignored, "clt_features": ignored, "try_tls": ignored, "tls_srv": ignored,
	"tls_clt": ignored, "tls_rcpt": ignored, "tls_srv_features": ignored, "tls_clt_features": ignored, "verify": ignored,
	"certissuer": ignored, "certsubject": ignored, "compat": ignored, "authinfo": ignored, "local": ignored,
}

// Parse reads the table in text. name is that of its file and begins each error and note.
func Parse(name string, text []byte) (*Table, error) {
	p := parser{name: name, table: &Table{}}
	if err := table.Lines(name, bytes.NewReader(text), p.take); err != nil {
		return nil, err
	}
	return p.table, nil
}

type parser struct {
	name  string
	line  int
	table *Table
}

// take reads one line.
func (p *parser) take(line int, written, value string) error {
	p.line = line
	tag, key, err := splitTag(written)
	switch {
	case err != nil:
		return err
	case tag == ignored:
		p.note("%s means nothing here", shown(written))
		return nil
	case tag >= tagRate:
		return p.number(tag, written, key, value)
	}
	return p.rule(tag, written, key, value)
}

// splitTag cuts the tag from a key. An address of IPv6 may stand without one, and "IPv6:" belongs to the key.
func splitTag(s string) (tag, string, error) {
	word, key, ok := strings.Cut(s, ":")
	if !ok || strings.EqualFold(word, "ipv6") || strings.ContainsAny(word, "[@") {
		return untagged, s, nil
	}
	if t, known := tags[strings.ToLower(word)]; known {
		return t, key, nil
	}
	if _, ok := six(s); ok {
		return untagged, s, nil
	}
	return 0, "", fmt.Errorf("%s: there is no tag %s", shown(s), shown(word))
}

// rule takes a line whose value is an action.
func (p *parser) rule(tag tag, written, key, value string) error {
	rule, skip, err := parseValue(value)
	if err != nil {
		return fmt.Errorf("%s: %w", shown(written), err)
	}
	rule.Key = shown(written)
	if tag == tagFrom && rule.Action == Relay {
		p.note("%s: a sender proves nothing, so RELAY is OK here and relays for nobody", rule.Key)
		rule.Action = OK
	}
	dest, k := &p.table.tags[tag], ""
	prefix, isNet, err := parseNetwork(key)
	if err == nil && !isNet {
		if k, err = parseName(key); err == nil && skip && strings.Contains(k, "@") {
			err = errors.New("SKIP is for domains and networks; OK lets an address pass")
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", rule.Key, err)
	}
	before := dest.nets.get(prefix)
	if !isNet {
		before = dest.names[k]
	}
	switch {
	case before != nil && !before.same(rule):
		return fmt.Errorf("%s has another value further up", rule.Key)
	case before != nil:
		return nil
	case isNet:
		dest.nets.add(prefix, &rule)
	default:
		dest.add(k, &rule)
	}
	p.table.lines++
	return nil
}

func (k *keys) add(name string, r *Rule) {
	if k.names == nil {
		k.names = map[string]*Rule{}
	}
	k.names[name] = r
}

// same tells whether two lines say the same.
func (r *Rule) same(o Rule) bool {
	if r.Action != o.Action || r.Text != o.Text || (r.Status == nil) != (o.Status == nil) {
		return false
	}
	return r.Status == nil || r.Status.Diagnostic() == o.Status.Diagnostic()
}

// number takes a line of ClientRate: or ClientConn:.
func (p *parser) number(tag tag, written, key, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 1_000_000 {
		return fmt.Errorf("%s needs a number", shown(written))
	}
	prefixes := []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	if key != "" {
		prefix, isNet, err := parseNetwork(key)
		if err != nil || !isNet {
			return fmt.Errorf("%s is for addresses and networks", shown(written))
		}
		prefixes = []netip.Prefix{prefix}
	}
	for _, prefix := range prefixes {
		if before := p.table.limits[tag-tagRate].add(prefix, &n); before != nil && *before != n {
			return fmt.Errorf("%s has another value further up", shown(written))
		}
	}
	p.table.lines++
	return nil
}

func (p *parser) note(format string, args ...any) {
	if len(p.table.notes) < maxNotes {
		p.table.notes = append(p.table.notes, fmt.Sprintf("%s:%d: ", p.name, p.line)+fmt.Sprintf(format, args...))
	}
}

func shown(s string) string { return status.Clean(s, 100) }

// letters are what the last label of a domain has one of, or else it is a network that is none.
const letters = "abcdefghijklmnopqrstuvwxyz"

var errKey = errors.New("neither an address, a domain nor a network")

// parseName reads a key that is no network: user@domain, user@, domain or .domain. The result is what lookups ask for.
func parseName(s string) (string, error) {
	if local, ok := strings.CutSuffix(s, "@"); ok {
		a, err := address.Parse(local)
		if err != nil || a.Domain() != "" {
			return "", errKey
		}
		return a.Key(true) + "@", nil
	}
	if strings.Contains(s, "@") {
		a, err := address.Parse(s)
		if err != nil {
			return "", err
		}
		return a.Key(true), nil
	}
	domain, below := strings.CutPrefix(s, ".")
	domain, err := address.ASCIIDomain(domain)
	if err != nil || !strings.ContainsAny(domain[strings.LastIndexByte(domain, '.')+1:], letters) { // "192.0.2.1-5"
		return "", errKey
	}
	if below {
		return "." + domain, nil
	}
	return domain, nil
}
