package address

import (
	"fmt"
	"strings"
	"unicode"
)

// MaxList is the longest list that ParseList reads, in bytes.
const MaxList = 1 << 20

// maxTokens is the longest element, enough for some 20,000 addresses without a comma.
const maxTokens = 1 << 16

const (
	errListLong  = syntaxError("address list too long")
	errSeparator = syntaxError("missing comma between addresses")
	errPhrase    = syntaxError("invalid character in a display name")
	errGroup     = syntaxError("misplaced ':'")
	errGroupOpen = syntaxError("group without ';'")
	errGroupEnd  = syntaxError("';' without group")
	errNested    = syntaxError("group inside a group")
)

// Mode is how much ParseList forgives.
type Mode int

const (
	// Strict is RFC 5322 with its obsolete forms and RFC 6532; one bad element makes the list an error.
	Strict Mode = iota
	// Lenient is for what people and programs really write; the bad elements are reported, the others kept.
	// Beside Strict it takes: blanks or ';' instead of commas, a group without ';', anything as display name,
	// "\joe" (a caller that gives the backslash a meaning finds it at Start), and dots anywhere in a localpart.
	Lenient
)

// Mailbox is one element of a list.
type Mailbox struct {
	// Name is the display name, without quotes, comments and control characters. An encoded-word stays as it is.
	Name    string
	Address Address
	// Start and End bound the bytes of the addr-spec in the input: b@r in "Bob <b@r>". When Err is set they bound
	// the element.
	Start, End int
	// Err, when not nil, says why this element is not an address. It quotes nothing of the input.
	Err error
}

// ParseList reads the address-list of a header field (RFC 5322 section 3.4), folded or not, or of a command line.
// The members of groups come flat, so that "undisclosed-recipients:;" has none; a route is dropped; encoded-words
// (RFC 2047) are never decoded. In Lenient mode the only error is a list longer than MaxList. Time and memory are
// linear in the input.
func ParseList(s string, mode Mode) ([]Mailbox, error) {
	if len(s) > MaxList {
		return nil, errListLong
	}
	p := listParser{sc: scanner{s: s, rules: header}}
	if mode == Lenient {
		p.sc.rules = lenient
	}
	for p.step() {
	}
	if mode == Lenient {
		return p.list, nil
	}
	for _, m := range p.list {
		if m.Err != nil {
			return nil, fmt.Errorf("%w (at byte %d)", m.Err, m.Start)
		}
	}
	return p.list, nil
}

type listParser struct {
	sc      scanner
	list    []Mailbox
	pending []token // of the element being read; reused
	inner   []token // between < and >; reused
	fault   error   // what makes pending bad
	group   bool
	ended   bool // <...> or, if strict, a group is complete: a separator should follow
}

func (p *listParser) strict() bool { return p.sc.rules == header }

// step takes one token, or one <...>.
func (p *listParser) step() bool {
	t := p.sc.next()
	switch t.kind {
	case kEOF:
		p.finish(t)
		return false
	case ',':
		p.flush()
		p.ended = false
	case ';':
		p.flush()
		p.closeGroup(t)
	case ':':
		p.openGroup(t)
	case '<':
		p.route(t)
	default:
		p.push(t)
	}
	return true
}

func (p *listParser) push(t token) {
	if t.kind == kBroken {
		p.fault = p.sc.err
	} else if p.ended && p.strict() {
		p.fault = errSeparator
	}
	if n := len(p.pending); n == maxTokens {
		p.pending[n-1].end, p.fault = t.end, errTooLong
		return
	}
	p.pending = append(p.pending, t)
}

// take returns the tokens of the element so far and why they are bad, and begins a new one.
func (p *listParser) take() ([]token, error) {
	toks, err := p.pending, p.fault
	p.pending, p.fault = p.pending[:0], nil
	return toks, err
}

func (p *listParser) add(toks []token, name string, a Address) {
	p.list = append(p.list, Mailbox{Name: name, Address: a, Start: toks[0].start, End: toks[len(toks)-1].end})
}

func (p *listParser) bad(start, end int, err error) {
	p.list = append(p.list, Mailbox{Start: start, End: end, Err: err})
}

// flush ends an element without <...>: one addr-spec, or several with blanks between.
func (p *listParser) flush() {
	toks, err := p.take()
	for len(toks) > 0 {
		n := p.specLen(toks)
		if err == nil && n < len(toks) && p.strict() {
			err = errSeparator
		}
		if err != nil {
			p.bad(toks[0].start, toks[len(toks)-1].end, err)
			return
		}
		a, err := build(p.sc.s, toks[:n], p.sc.rules)
		if err == nil && p.ended && a.Domain() == "" { // words after "<b@r>" are no names of users
			err = errSeparator
		}
		if err != nil {
			p.bad(toks[0].start, toks[n-1].end, err)
		} else {
			p.add(toks[:n], "", a)
		}
		toks = toks[n:]
	}
}

// specLen is how many of toks are one addr-spec: it ends at a blank that has neither a special character nor a dot
// beside it (RFC 5322 section 4.4: obs-local-part, obs-domain).
func (p *listParser) specLen(toks []token) int {
	for i := 1; i < len(toks); i++ {
		a, b := toks[i-1], toks[i]
		if b.gap && !a.special() && !b.special() && !dotBetween(p.sc.s, a, b) {
			return i
		}
	}
	return len(toks)
}

// route reads [phrase] "<" [route] addr-spec ">"; what is pending is the phrase.
func (p *listParser) route(open token) {
	missing := p.ended && p.strict()
	phrase, _ := p.take()
	start := open.start
	if len(phrase) > 0 {
		start = phrase[0].start
	}
	inner, err := p.sc.angle(p.inner[:0])
	p.inner = inner
	if err != nil {
		end := open.end
		if len(inner) > 0 {
			end = inner[len(inner)-1].end
		}
		p.bad(start, p.skip(end), err)
		return
	}
	p.ended = true
	a, err := p.spec(inner)
	switch {
	case missing:
		err = errSeparator
	case err == nil && p.strict() && !validPhrase(p.sc.s, phrase):
		err = errPhrase
	}
	if err != nil {
		p.bad(start, p.sc.pos, err)
		return
	}
	p.add(inner, displayName(p.sc.s, phrase), a)
}

// spec is the address between < and >. In a list it is not null.
func (p *listParser) spec(toks []token) (Address, error) {
	switch {
	case len(toks) == 0:
		return Address{}, errEmpty
	case p.specLen(toks) < len(toks):
		return Address{}, errBlank
	}
	return build(p.sc.s, toks, p.sc.rules)
}

// skip passes over the rest of a bad element that has been read up to end, and returns where it ends.
func (p *listParser) skip(end int) int {
	for {
		switch t := p.sc.next(); t.kind {
		case kEOF, ',', ';':
			p.sc.putBack(t)
			return end
		default:
			end = t.end
		}
	}
}

// openGroup takes what is pending as the name of a group. A ':' after an address is no group: in "b@r:25" the
// address would be lost without a word.
func (p *listParser) openGroup(colon token) {
	name, err := p.take()
	start := colon.start
	if len(name) > 0 {
		start = name[0].start
	}
	switch {
	case err != nil:
	case !groupName(name):
		err = errGroup
	case p.strict() && p.group:
		err = errNested
	case p.strict() && !validPhrase(p.sc.s, name):
		err = errPhrase
	}
	if err != nil {
		p.bad(start, p.skip(colon.end), err)
		return
	}
	p.group = true
}

func groupName(toks []token) bool {
	for _, t := range toks {
		if t.kind != kWord && t.kind != kQuoted {
			return false
		}
	}
	return len(toks) > 0
}

func (p *listParser) closeGroup(t token) {
	if p.strict() && !p.group {
		p.bad(t.start, t.end, errGroupEnd)
	}
	p.group, p.ended = false, p.strict()
}

func (p *listParser) finish(t token) {
	p.flush()
	if p.strict() && p.group {
		p.bad(t.start, t.end, errGroupOpen)
	}
}

// validPhrase tells whether toks are a phrase (RFC 5322 section 3.2.5, with the dots of obs-phrase); none are one.
func validPhrase(s string, toks []token) bool {
	for i, t := range toks {
		switch {
		case t.kind == kQuoted && validText(cleanName(unquote(t.text(s)))):
		case t.kind == kWord && validWord(t.text(s)) && (i > 0 || s[t.start] != '.'):
		default:
			return false
		}
	}
	return true
}

// displayName is the meaning of a phrase: its words with one blank where there were any.
func displayName(s string, toks []token) string {
	switch {
	case len(toks) == 0:
		return ""
	case len(toks) == 1 && toks[0].kind == kWord:
		return cleanName(toks[0].text(s))
	case len(toks) == 1 && toks[0].kind == kQuoted:
		return cleanName(unquote(toks[0].text(s)))
	}
	var b strings.Builder
	for i, t := range toks {
		if t.gap && i > 0 {
			b.WriteByte(' ')
		}
		if t.kind == kQuoted {
			b.WriteString(unquote(t.text(s)))
		} else {
			b.WriteString(t.text(s))
		}
	}
	return cleanName(b.String())
}

// cleanName makes s one line of valid UTF-8: line ends and control characters vanish, tabs become blanks.
func cleanName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return -1
		}
		return r
	}, s)
}
