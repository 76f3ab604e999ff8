package compat

import (
	"fmt"
	"strings"
)

// maxEnvID is the length of an ENVID parameter's value (RFC 3461 section 4.4).
const maxEnvID = 100

// notifyWords are the words of -N in the order in which NOTIFY= carries them.
var notifyWords = [...]string{"SUCCESS", "FAILURE", "DELAY"}

// setNotify reads -N (RFC 3461 section 4.1): "never" alone, or a list.
func setNotify(p *parser, v string) error {
	if strings.EqualFold(v, "never") {
		p.inv.Notify = "NEVER"
		return nil
	}
	var given [len(notifyWords)]bool
	for word := range strings.SplitSeq(v, ",") {
		i := notifyWord(word)
		if i < 0 {
			p.unused("-N", v, "it takes never, or some of success,failure,delay")
			return nil
		}
		given[i] = true
	}
	var words []string
	for i, g := range given {
		if g {
			words = append(words, notifyWords[i])
		}
	}
	p.inv.Notify = strings.Join(words, ",")
	return nil
}

func notifyWord(s string) int {
	for i, w := range notifyWords {
		if strings.EqualFold(s, w) {
			return i
		}
	}
	return -1
}

// setRet reads -R (RFC 3461 section 4.3). "headers" is msmtp's word.
func setRet(p *parser, v string) error {
	switch strings.ToLower(v) {
	case "full":
		p.inv.Ret = "FULL"
	case "hdrs", "headers":
		p.inv.Ret = "HDRS"
	default:
		p.unused("-R", v, "it takes full or hdrs")
	}
	return nil
}

// setEnvID reads -V (RFC 3461 section 4.4). A value that is xtext is taken as it is, any other printable one
// is encoded. Two punctuation characters are what Postfix once took as VERP delimiters.
func setEnvID(p *parser, v string) error {
	id := v
	if !isXtext(v) {
		if len(v) == 2 && strings.Trim(v, "+=-_.!#%") == "" {
			p.ignore("-V"+v, "every recipient is told of by a report, not by its own return address")
			return nil
		}
		id = xtext(v)
	}
	if id == "" || len(id) > maxEnvID {
		p.unused("-V", v, "not a printable identifier of at most 100 characters")
		return nil
	}
	p.inv.EnvID = id
	return nil
}

// isXtext tells whether s is xtext (RFC 3461 section 4): visible ASCII in which "+" begins two upper-case
// hexadecimal digits and "=" does not occur.
func isXtext(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) || !upperHex(s[i+1]) || !upperHex(s[i+2]) {
				return false
			}
			i += 2
		case c <= ' ' || c > '~' || c == '=':
			return false
		}
	}
	return s != ""
}

func upperHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F'
}

// xtext encodes s; the result is "" when s holds what no identifier may, or is too long.
func xtext(s string) string {
	if len(s) > maxEnvID {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c > '~':
			return ""
		case c == ' ' || c == '+' || c == '=':
			fmt.Fprintf(&b, "+%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
