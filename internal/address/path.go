package address

import "strings"

const (
	errBracket = syntaxError("path does not begin with <")
	errOpen    = syntaxError("< without >")
	errRoute   = syntaxError("invalid source route")
)

// ParsePath reads the reverse-path or forward-path at the start of s, "<" to ">", and returns what follows it.
// "<>" is the null path. A localpart alone, as in <Postmaster>, is a bare address; whether others than postmaster
// may be bare is the server's policy. A source route is checked and ignored (RFC 5321 appendix C): the address is
// the final mailbox, which alone decides about relaying. RFC 5321 section 4.1.2.
func ParsePath(s string) (a Address, rest string, err error) {
	if !strings.HasPrefix(s, "<") {
		return Address{}, s, errBracket
	}
	sc := scanner{s: s[:min(len(s), maxInput)], pos: 1, rules: wire}
	var buf [8]token
	toks, err := sc.angle(buf[:0])
	switch {
	case err != nil && len(s) > maxInput && sc.pos == maxInput:
		return Address{}, s, errTooLong
	case err != nil:
		return Address{}, s, err
	case sc.pos == 2: // "<>"
		return Address{}, s[2:], nil
	}
	if a, err = build(sc.s, toks, wire); err != nil {
		return Address{}, s, err
	}
	return a, s[sc.pos:], nil
}

// angle reads what follows '<' up to and with '>', appends the tokens of its addr-spec to toks, which is empty, and
// drops a route. On an error the next token is the one that cannot be inside.
func (sc *scanner) angle(toks []token) ([]token, error) {
	for routed := false; ; {
		t := sc.next()
		inRoute := !routed && len(toks) > 0 && toks[0].kind == '@'
		switch {
		case t.kind == '>':
			return toks, nil
		case t.kind == kBroken:
			return append(toks, t), sc.err
		case t.kind == ':' && inRoute && validRoute(sc.s, toks, sc.rules):
			toks, routed = toks[:0], true
		case t.kind == ':':
			sc.putBack(t)
			return toks, errRoute
		case t.kind == kEOF, t.kind == '<', t.kind == ';', t.kind == ',' && !inRoute:
			sc.putBack(t)
			return toks, errOpen
		case len(toks) == maxInput:
			return append(toks, t), errTooLong
		default:
			toks = append(toks, t)
		}
	}
}

// validRoute tells whether toks, which begin with '@', are the domains of a route: @one,@two.
func validRoute(s string, toks []token, r rules) bool {
	for len(toks) > 0 {
		n := 1
		for n < len(toks) && toks[n].kind != ',' {
			n++
		}
		if toks[0].kind != '@' {
			return false
		}
		if _, err := buildDomain(s, toks[1:n], r); err != nil {
			return false
		}
		if toks = toks[n:]; len(toks) == 0 {
			return true
		}
		if toks = toks[1:]; r != wire { // RFC 5322 section 4.4: obs-route has empty elements
			toks = skipCommas(toks)
		} else if len(toks) == 0 {
			return false
		}
	}
	return true
}

func skipCommas(toks []token) []token {
	for len(toks) > 0 && toks[0].kind == ',' {
		toks = toks[1:]
	}
	return toks
}
