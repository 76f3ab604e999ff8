package foreign

import "strings"

// macro is one call in a sendmail.mc, its arguments without their outermost quotes.
type macro struct {
	name string
	args []string
	at   Place
}

// arg is an argument, "" when there are fewer.
func (c macro) arg(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

// m4 reads what a sendmail.mc calls, in order, and what it hands through to sendmail.cf. It knows quotes, dnl and divert,
// and expands nothing: whatever is computed stays as it is written. A "#" begins a comment only until Sendmail's own
// macros are included, which make it a character like any other.
type m4 struct {
	file     string
	s        string
	line     int
	hash     bool // begins a comment
	diverted bool
	calls    []macro
	raw      []line
	text     strings.Builder // of the line so far
}

func parseM4(file, text string) *m4 {
	p := &m4{file: file, s: text, line: 1, hash: true}
	for p.s != "" {
		p.step()
	}
	p.endLine()
	return p
}

// step takes the next token.
func (p *m4) step() {
	c := p.s[0]
	switch {
	case c == '\n':
		p.s = p.s[1:]
		p.endLine()
		p.line++
	case c == '#' && p.hash:
		p.skipLine()
	case c == '`':
		p.text.WriteString(p.quoted())
	case isLetter(c):
		p.word()
	default:
		p.text.WriteByte(c)
		p.s = p.s[1:]
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

// word takes a name, and the call that it begins.
func (p *m4) word() {
	n := nameLen(p.s)
	name := p.s[:n]
	p.s = p.s[n:]
	if name == "dnl" {
		p.skipLine()
		if p.s != "" {
			p.s = p.s[1:]
			p.line++
		}
		return
	}
	if !strings.HasPrefix(p.s, "(") {
		p.text.WriteString(name)
		return
	}
	call := macro{name: name, at: Place{p.file, p.line}}
	call.args = p.arguments()
	switch name {
	case "divert":
		p.diverted = strings.HasPrefix(call.arg(0), "-")
	case "include":
		p.hash = false
	default:
		p.calls = append(p.calls, call)
	}
}

// skipLine goes to the end of the line.
func (p *m4) skipLine() {
	if i := strings.IndexByte(p.s, '\n'); i >= 0 {
		p.s = p.s[i:]
	} else {
		p.s = ""
	}
}

// endLine keeps a line that goes through to sendmail.cf.
func (p *m4) endLine() {
	text := strings.TrimRight(p.text.String(), " \t\r")
	p.text.Reset()
	if text != "" && !p.diverted {
		p.raw = append(p.raw, line{text, Place{p.file, p.line}})
	}
}

// quoted takes `text' and returns it without its quotes. Quotes inside it stay.
func (p *m4) quoted() string {
	depth := 0
	for i := range len(p.s) {
		switch p.s[i] {
		case '`':
			depth++
		case '\'':
			if depth--; depth == 0 {
				text := p.s[1:i]
				p.s = p.s[i+1:]
				p.line += strings.Count(text, "\n")
				return text
			}
		}
	}
	text := p.s[1:]
	p.s = ""
	return text
}

// arguments takes "(a, b)". Parentheses nest; blanks before an argument do not belong to it.
func (p *m4) arguments() (args []string) {
	p.s = p.s[1:]
	var arg strings.Builder
	depth := 1
	for p.s != "" {
		c := p.s[0]
		switch {
		case c == '`':
			arg.WriteString(p.quoted())
			continue
		case isLetter(c):
			n := nameLen(p.s)
			if word := p.s[:n]; word != "dnl" {
				arg.WriteString(word)
				p.s = p.s[n:]
			} else {
				p.skipLine()
			}
			continue
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				p.s = p.s[1:]
				return append(args, arg.String())
			}
		case c == ',' && depth == 1:
			args = append(args, arg.String())
			arg.Reset()
			p.s = p.s[1:]
			continue
		case c == '\n':
			p.line++
		}
		if arg.Len() > 0 || c != ' ' && c != '\t' && c != '\n' {
			arg.WriteByte(c)
		}
		p.s = p.s[1:]
	}
	return append(args, arg.String())
}
