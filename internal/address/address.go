// Package address reads and writes mail addresses: the paths of SMTP (RFC 5321, RFC 6531), the address lists of
// headers (RFC 5322, RFC 6532) and the bare words of a command line.
//
// One scanner serves all three. Its rules:
//
//   - An Address is data. It is made by a parser, kept in two parts (localpart and domain), and never parsed
//     again after its quotes are removed: "user@evil"@us is a mailbox at us, user@evil@us is an error, and
//     '%', '!', '|', '/' and a leading '-' mean nothing here.
//   - No control byte, line end, NUL or invalid UTF-8 is ever inside an Address, and neither a blank nor '>'
//     outside a quoted string: String may be put between < and > in an SMTP command as it is.
//   - There is one wire form for each mailbox. Needless quotes are dropped ("joe"@us is joe@us), a localpart that
//     needs quotes has them. Therefore == compares addresses as written; Key compares them as meant.
//   - A domain is a host name, an internationalised one that IDNA accepts, or an IPv4 or IPv6 literal. A root dot
//     (user@us.) is dropped when it is read: RFC 5321 does not allow it on the wire, and whoever compares domains
//     must not have to think of it.
//   - Every parser is linear in its input, caps it, and does not recurse.
package address

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

const (
	// maxLocal is above the 64 octets of RFC 5321 section 4.5.3.1.1, which are what everybody must be able to
	// take, not what nobody may exceed: VERP and SRS addresses are longer.
	maxLocal   = 255
	maxDomain  = 255  // RFC 5321 section 4.5.3.1.2
	maxAddress = 320  // localpart, @ and domain in wire form
	maxInput   = 1024 // one address or path as it is written: with route, quotes and backslashes
)

// syntaxError says what is wrong with an address. It never quotes the input, so it is fit for a reply or a log.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

const (
	errEmpty     = syntaxError("empty address")
	errTooLong   = syntaxError("address too long")
	errLocal     = syntaxError("missing localpart")
	errLocalText = syntaxError("invalid character in localpart")
	errLocalDots = syntaxError("misplaced dot or quote in localpart")
	errDomain    = syntaxError("missing domain after @")
	errDomainBad = syntaxError("invalid domain")
	errAt        = syntaxError("more than one @")
	errSpecial   = syntaxError("misplaced special character")
	errBlank     = syntaxError("blank inside an address")
)

// Address is a mailbox: a localpart and, unless it is bare, a domain. It is made by the parsers of this package
// only. Addresses are comparable; the zero value is the null reverse-path (RFC 5321 section 4.5.5). An Address may
// share memory with the string it was read from.
type Address struct {
	wire string // localpart, or localpart@domain
	at   int    // length of the localpart
}

// Parse reads one address without brackets, blanks or comments: localpart@domain, localpart@[literal], or a bare
// localpart. The grammar is the Mailbox of RFC 5321 section 4.1.2 with the UTF-8 of RFC 6531 section 3.3.
func Parse(s string) (Address, error) {
	if len(s) > maxInput {
		return Address{}, errTooLong
	}
	var buf [4]token
	toks := buf[:0]
	for sc := (scanner{s: s, rules: wire}); ; {
		t := sc.next()
		switch {
		case t.kind == kEOF && len(toks) == 0:
			return Address{}, errEmpty
		case t.kind == kEOF:
			return build(s, toks, wire)
		case t.kind == kBroken:
			return Address{}, sc.err
		}
		toks = append(toks, t)
	}
}

// build makes an address of the tokens of one addr-spec.
func build(s string, toks []token, r rules) (Address, error) {
	at := len(toks)
	for i, t := range toks {
		switch {
		case t.kind == '@' && at < len(toks):
			return Address{}, errAt
		case t.kind == '@':
			at = i
		case t.kind == ' ':
			return Address{}, errBlank
		case t.special():
			return Address{}, errSpecial
		}
	}
	local, err := buildLocal(s, toks[:at], r)
	if err != nil {
		return Address{}, err
	}
	if at == len(toks) {
		return bare(local)
	}
	domain, err := buildDomain(s, toks[at+1:], r)
	if err != nil {
		return Address{}, err
	}
	return join(local, domain, s[toks[0].start:toks[len(toks)-1].end])
}

func bare(local string) (Address, error) {
	switch {
	case local == `""`:
		return Address{}, errLocal
	case len(local) > maxLocal:
		return Address{}, errTooLong
	}
	return Address{local, len(local)}, nil
}

// join makes the address; written is the text it was made from, used as it is when it is the wire form.
func join(local, domain, written string) (Address, error) {
	n := len(local)
	switch {
	case n > maxLocal || len(domain) > maxDomain || n+1+len(domain) > maxAddress:
		return Address{}, errTooLong
	case len(written) == n+1+len(domain) && written[:n] == local && written[n] == '@' && written[n+1:] == domain:
		return Address{written, n}, nil
	}
	return Address{local + "@" + domain, n}, nil
}

// buildLocal is the wire form of the localpart that toks spell: words and quoted strings with dots between.
func buildLocal(s string, toks []token, r rules) (string, error) {
	switch {
	case len(toks) == 0:
		return "", errLocal
	case len(toks) == 1 && toks[0].kind == kWord && isDotAtom(toks[0].text(s)):
		return toks[0].text(s), nil
	case len(toks) > 1 && r == wire: // RFC 5321: Dot-string or Quoted-string, no mixture
		return "", errLocalDots
	}
	var meaning, shape strings.Builder
	for i, t := range toks {
		if i > 0 && !dotBetween(s, toks[i-1], t) {
			return "", errLocalDots
		}
		text, sign, err := localPiece(s, t, r)
		if err != nil {
			return "", err
		}
		meaning.WriteString(text)
		shape.WriteString(sign)
	}
	if r != lenient && !isDotAtom(shape.String()) {
		return "", errLocalDots
	}
	return quoteLocal(meaning.String()), nil
}

// localPiece is the meaning of one word or quoted string of a localpart and what it is in the dotted whole.
func localPiece(s string, t token, r rules) (text, sign string, err error) {
	switch t.kind {
	case kQuoted:
		text, sign = unquote(t.text(s)), "q"
		if !validText(text) {
			return "", "", errLocalText
		}
		return text, sign, nil
	case kWord:
		text, ok := wordMeaning(t.text(s), r)
		if !ok {
			return "", "", errLocalText
		}
		return text, text, nil
	}
	return "", "", errSpecial
}

// String is the wire form, as it stands between < and >; "" for the null reverse-path.
func (a Address) String() string { return a.wire }

// Local is the localpart in wire form: quoted where it must be.
func (a Address) Local() string { return a.wire[:a.at] }

// Unquoted is the meaning of the localpart: quotes and backslashes removed. It is a name to look up, and must
// never be parsed as an address.
func (a Address) Unquoted() string {
	if a.at == 0 || a.wire[0] != '"' {
		return a.Local()
	}
	return unquote(a.Local())
}

// Domain is the domain as written but for a root dot, with its brackets when it is a literal; "" when the address
// is bare or null.
func (a Address) Domain() string {
	if a.at == len(a.wire) {
		return ""
	}
	return a.wire[a.at+1:]
}

// Literal is the network address of user@[192.0.2.1] and user@[IPv6:2001:db8::1]. An IPv4 address written as an
// IPv6 one comes back as IPv4.
func (a Address) Literal() (netip.Addr, bool) { return parseLiteral(a.Domain()) }

// IsNull tells whether a is the null reverse-path.
func (a Address) IsNull() bool { return a == Address{} }

// NeedsUTF8 tells whether a can travel only where SMTPUTF8 is offered (RFC 6531).
func (a Address) NeedsUTF8() bool { return !isASCII(a.wire) }

// WithDomain completes a bare address. It returns a as it is when a has a domain or is null, and also when d is no
// domain or the whole would be too long: then Domain is still empty.
func (a Address) WithDomain(d string) Address {
	if a.IsNull() || a.Domain() != "" {
		return a
	}
	d, err := checkDomain(d)
	if err != nil {
		return a
	}
	if whole, err := join(a.wire, d, ""); err == nil {
		return whole
	}
	return a
}

// Key is equal for addresses that mean the same mailbox: the domain in lower case and ASCII (IDNA), a literal as
// its network address, the localpart in its one wire form and, with foldLocal, in lower case. It is for comparing
// only. The quotes stay so that a bare "a@b" and a@b have different keys.
func (a Address) Key(foldLocal bool) string {
	local := a.Local()
	if foldLocal {
		local = strings.ToLower(local)
	}
	if a.Domain() == "" {
		return local
	}
	return local + "@" + domainKey(a.Domain())
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
