package address

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// buildDomain is the domain that toks spell: one literal, or words with dots between.
func buildDomain(s string, toks []token, r rules) (string, error) {
	switch {
	case len(toks) == 0:
		return "", errDomain
	case len(toks) == 1 && toks[0].kind == kLiteral:
		return buildLiteral(toks[0].text(s), r)
	case len(toks) == 1 && toks[0].kind == kWord:
		return checkDomain(toks[0].text(s))
	}
	var b strings.Builder
	for i, t := range toks {
		if t.kind != kWord || i > 0 && !dotBetween(s, toks[i-1], t) {
			return "", errDomainBad
		}
		b.WriteString(t.text(s))
	}
	return checkDomain(b.String())
}

func buildLiteral(lit string, r rules) (string, error) {
	if r != wire { // RFC 5322 section 3.4.1: folding white space inside
		lit = strings.Join(strings.Fields(lit), "")
	}
	if _, ok := parseLiteral(lit); !ok {
		return "", errLiteral
	}
	return lit, nil
}

// parseLiteral reads the two address literals of RFC 5321 section 4.1.3 that can be delivered to.
func parseLiteral(d string) (netip.Addr, bool) {
	if len(d) < 2 || d[0] != '[' || d[len(d)-1] != ']' {
		return netip.Addr{}, false
	}
	text, six := cutFold(d[1:len(d)-1], "IPv6:")
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4() == six || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// cutFold cuts prefix from s, whatever its case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// checkDomain is the domain of an address: d without its root dot, if it can name a host.
func checkDomain(d string) (string, error) {
	if _, ok := parseLiteral(d); ok {
		return d, nil
	}
	d = strings.TrimSuffix(d, ".")
	if isASCII(d) {
		if !ValidHostname(d) {
			return "", errDomainBad
		}
		return d, nil
	}
	if _, err := ASCIIDomain(d); err != nil || d[len(d)-1] == '.' {
		return "", errDomainBad
	}
	return d, nil
}

// ASCIIDomain is the name under which the DNS knows d: lower case, internationalised labels as IDNA A-labels
// (RFC 5891), no root dot. A literal is not a domain here, and an error like whatever cannot name a host.
func ASCIIDomain(d string) (string, error) {
	if len(d) > maxDomain {
		return "", errTooLong
	}
	if isASCII(d) {
		d = strings.ToLower(d)
	} else {
		var err error
		if !validUnicodeDomain(d) {
			return "", errDomainBad
		}
		if d, err = toASCII(d); err != nil {
			return "", errDomainBad
		}
	}
	if d = strings.TrimSuffix(d, "."); !ValidHostname(d) {
		return "", errDomainBad
	}
	return d, nil
}

// validUnicodeDomain refuses, before IDNA maps them, the marks that would become dots: a domain has the labels
// that one sees with ASCII dots, for everybody who looks at it.
func validUnicodeDomain(d string) bool {
	if strings.ContainsAny(d, "\u3002\uff0e\uff61") {
		return false
	}
	for i := 0; i < len(d); {
		n := 1
		if d[i] >= utf8.RuneSelf {
			if n = runeAt(d, i, false); n == 0 {
				return false
			}
		} else if d[i] != '.' && !isLetDigit(d[i]) && d[i] != '-' {
			return false
		}
		i += n
	}
	return true
}

// domainKey is the domain of an Address in the one form for comparing. Such a domain has been checked, so that
// neither step fails.
func domainKey(d string) string {
	if a, ok := parseLiteral(d); ok {
		return "[" + a.String() + "]"
	}
	key, _ := ASCIIDomain(d)
	return key
}

// ValidHostname tells whether s can be the ASCII name of a host: labels of letters, digits, hyphens inside, and
// underscores (which real hosts have), 63 and 255 octets at most, no root dot (RFC 1123 section 2.1). An IPv4
// address is not a name.
func ValidHostname(s string) bool {
	if s == "" || len(s) > maxDomain {
		return false
	}
	numeric, label := 0, 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			continue
		}
		if !validLabel(s[label:i]) {
			return false
		}
		if isDigits(s[label:i]) {
			numeric++
		}
		label = i + 1
	}
	return numeric != 4 || strings.Count(s, ".") != 3
}

func validLabel(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := 0; i < len(l); i++ {
		if !isLetDigit(l[i]) && l[i] != '-' && l[i] != '_' {
			return false
		}
	}
	return true
}

func isLetDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
