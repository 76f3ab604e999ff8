package address

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// rules are how the three uses of the scanner differ.
type rules uint8

const (
	wire    rules = iota // SMTP: no blanks, no comments
	header               // RFC 5322: folding white space and comments anywhere between tokens, obsolete forms
	lenient              // header, and a backslash outside quotes, and dots anywhere in a localpart
)

type kind byte

// Every kind that is not one of these is a special byte standing for itself.
const (
	kEOF     kind = iota
	kWord         // a run of anything that is neither special nor blank, dots included; not yet validated
	kQuoted       // a quoted string with its quotes
	kLiteral      // a domain literal with its brackets
	kBroken       // a quoted string, comment or literal without an end; scanner.err says which
)

// token is a piece of the input.
type token struct {
	kind       kind
	gap        bool // blanks or comments stand before it
	start, end int
}

func (t token) text(s string) string { return s[t.start:t.end] }
func (t token) special() bool        { return t.kind > kBroken }

// scanner cuts its input into tokens. It never looks at a byte twice, except for a token that was put back.
type scanner struct {
	s     string
	pos   int
	rules rules
	err   error // why the last token is kBroken
}

const (
	errComment = syntaxError("comment without end")
	errQuote   = syntaxError("quoted string without end")
	errLiteral = syntaxError("invalid domain literal")
)

// next is the next token. What is broken at its end (a comment, a quoted string) takes all the rest of the input
// with it, so that no input can have the same bytes scanned again and again.
func (sc *scanner) next() token {
	gap, start := false, sc.pos
	if sc.rules != wire {
		if !sc.skipBlanks() {
			return sc.broken(start, errComment)
		}
		gap, start = sc.pos > start, sc.pos
	}
	t := token{kind: kEOF, gap: gap, start: start}
	if start < len(sc.s) {
		switch c := sc.s[start]; {
		case c == '"':
			t = sc.quoted(start)
		case c == '[':
			t = sc.literal(start)
		case isSpecial(c) && !(c == '\\' && sc.pairAt(start)):
			t.kind, sc.pos = kind(c), start+1
			if isBlank(c) {
				t.kind = ' '
			}
		default:
			t.kind = kWord
			sc.word()
		}
	}
	t.gap, t.end = gap, sc.pos
	return t
}

// putBack makes t the next token again.
func (sc *scanner) putBack(t token) { sc.pos = t.start }

func (sc *scanner) broken(start int, err error) token {
	sc.err = err
	return token{kind: kBroken, start: start, end: sc.pos}
}

// skipBlanks skips blanks and comments, and is false when a comment has no end. Nesting is counted, not recursed
// into (RFC 5322 section 3.2.2).
func (sc *scanner) skipBlanks() bool {
	depth := 0
	for ; sc.pos < len(sc.s); sc.pos++ {
		switch c := sc.s[sc.pos]; {
		case c == '(':
			depth++
		case depth == 0 && !isBlank(c):
			return true
		case c == ')':
			depth--
		case c == '\\':
			sc.pos++
		}
	}
	sc.pos = len(sc.s)
	return depth == 0
}

func (sc *scanner) word() {
	for sc.pos < len(sc.s) {
		switch c := sc.s[sc.pos]; {
		case c == '\\' && sc.pairAt(sc.pos):
			sc.pos += 2
		case isSpecial(c):
			return
		default:
			sc.pos++
		}
	}
}

// pairAt tells whether a quoted pair outside quotes (RFC 821, "\joe") is at i and allowed.
func (sc *scanner) pairAt(i int) bool {
	return sc.rules == lenient && i+1 < len(sc.s) && !isBlank(sc.s[i+1])
}

func (sc *scanner) quoted(start int) token {
	for sc.pos++; sc.pos < len(sc.s); sc.pos++ {
		switch sc.s[sc.pos] {
		case '"':
			sc.pos++
			return token{kind: kQuoted, start: start}
		case '\\':
			sc.pos++
		}
	}
	sc.pos = len(sc.s)
	return sc.broken(start, errQuote)
}

// literal ends at the first byte that cannot be in a literal, so that an open bracket does not hide the next
// element of a list.
func (sc *scanner) literal(start int) token {
	for sc.pos++; sc.pos < len(sc.s); sc.pos++ {
		switch c := sc.s[sc.pos]; {
		case c == ']':
			sc.pos++
			return token{kind: kLiteral, start: start}
		case c != ':' && isSpecial(c) && !isBlank(c):
			return sc.broken(start, errLiteral)
		}
	}
	return sc.broken(start, errLiteral)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// isSpecial tells whether c ends a word: the specials of RFC 5322 section 3.2.3 without the dot, and blanks.
func isSpecial(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '"', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// isAtext is atext of RFC 5322 section 3.2.3.
func isAtext(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// runeAt is the length of the rune at s[i] when it is more than ASCII and may be in an address (RFC 6532
// section 3.2), else 0. Controls and line separators may not; blanks beyond ASCII must be quoted.
func runeAt(s string, i int, quoted bool) int {
	r, n := utf8.DecodeRuneInString(s[i:])
	switch {
	case r == utf8.RuneError && n <= 1, unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return 0
	case !quoted && unicode.IsSpace(r):
		return 0
	}
	return n
}

// validWord tells whether w is of atext, UTF-8 and dots only.
func validWord(w string) bool {
	for i := 0; i < len(w); {
		n := 1
		if w[i] >= utf8.RuneSelf {
			n = runeAt(w, i, false)
		} else if w[i] != '.' && !isAtext(w[i]) {
			return false
		}
		if n == 0 {
			return false
		}
		i += n
	}
	return true
}

// isDotAtom tells whether w needs no quotes: dot-atom-text of RFC 5322 section 3.2.3.
func isDotAtom(w string) bool {
	return w != "" && w[0] != '.' && w[len(w)-1] != '.' && !strings.Contains(w, "..") && validWord(w)
}

// validText tells whether s may be inside a quoted localpart (RFC 5321 section 4.1.2, QcontentSMTP).
func validText(s string) bool {
	for i := 0; i < len(s); {
		n := 1
		if s[i] >= utf8.RuneSelf {
			n = runeAt(s, i, true)
		} else if s[i] < ' ' || s[i] > '~' {
			return false
		}
		if n == 0 {
			return false
		}
		i += n
	}
	return true
}

// wordMeaning is a word of a localpart without its backslashes; false when it holds what an address may not.
func wordMeaning(w string, r rules) (string, bool) {
	if r != lenient || strings.IndexByte(w, '\\') < 0 {
		return w, validWord(w)
	}
	var b strings.Builder
	for i := 0; i < len(w); i++ {
		if w[i] == '\\' {
			i++ // the scanner ends no word after a backslash
		} else if w[i] < utf8.RuneSelf && w[i] != '.' && !isAtext(w[i]) {
			return "", false
		}
		b.WriteByte(w[i])
	}
	return b.String(), validText(b.String())
}

// dotBetween tells whether a dot is where the words a and b meet.
func dotBetween(s string, a, b token) bool {
	return a.kind == kWord && s[a.end-1] == '.' || b.kind == kWord && s[b.start] == '.'
}

// unquote is the meaning of a quoted string: without its quotes and backslashes (RFC 5322 section 3.2.4).
func unquote(q string) string {
	q = q[1 : len(q)-1]
	if strings.IndexByte(q, '\\') < 0 {
		return q
	}
	var b strings.Builder
	for i := 0; i < len(q); i++ {
		if q[i] == '\\' && i+1 < len(q) {
			i++
		}
		b.WriteByte(q[i])
	}
	return b.String()
}
