package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of a file. The TOML library takes time that grows with the square of nesting and worse, so nesting is
// bounded before it sees the text. No key of ours is nested deeper than three.
const (
	maxFile  = 1 << 20
	maxDepth = 8
	maxKeys  = 1000
)

// positions says on which line keys stand. The library reports no line for the keys that it reads without
// complaint, and those are the ones that may be unknown to us or have values we do not allow.
type positions map[location]int

// location is a key path: names joined by sepName, with the index of an element of an array of tables behind
// sepIndex.
type location string

const (
	sepName  = "\x00"
	sepIndex = "\x01"
)

func (l location) child(name string) location { return l + sepName + location(name) }

func (l location) element(i int) location { return l + sepIndex + location(strconv.Itoa(i)) }

// line is the line of l, or of the nearest thing around it that has one (what is within an inline table has none).
func (p positions) line(l location) int {
	for l != "" {
		if n, ok := p[l]; ok {
			return n
		}
		l = l[:max(0, strings.LastIndexAny(string(l), sepName+sepIndex))]
	}
	return 1
}

// scanner walks through the statements of a TOML text: table headers and keys. It finds where a value ends
// without looking at what it is.
type scanner struct {
	text string
	pos  int
	line int
	keys int

	table  location
	counts map[location]int // elements so far of an array of tables
	found  positions
	code   strings.Builder
}

// scan finds the lines of all keys outside inline tables. It accepts all that is TOML, and much that is not,
// but nothing beyond the limits above. On error s.line is where reading stopped. Afterwards s.code is the text
// without the comments between statements: they are most of a usual file, and the library is slow with them.
func scan(text string) (s *scanner, err error) {
	s = &scanner{text: text, line: 1, counts: map[location]int{}, found: positions{}}
	for err == nil && s.blank(true) {
		err = s.statement()
	}
	return s, err
}

func (s *scanner) statement() (err error) {
	start := s.pos
	if s.peek() == '[' {
		err = s.header()
	} else {
		err = s.assignment()
	}
	if err == nil {
		err = s.endOfLine()
	}
	s.code.WriteString(s.text[start:s.pos])
	return err
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) take(prefix string) bool {
	if strings.HasPrefix(s.text[s.pos:], prefix) {
		s.pos += len(prefix)
		return true
	}
	return false
}

// blank passes blanks, and with lines also line ends and comments. It tells whether anything follows.
func (s *scanner) blank(lines bool) bool {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == ' ' || c == '\t':
		case lines && c == '\n':
			s.line++
			s.code.WriteByte('\n')
		case lines && c == '\r':
		case lines && c == '#':
			s.comment()
			continue
		default:
			return true
		}
		s.pos++
	}
	return false
}

func (s *scanner) comment() {
	if n := strings.IndexByte(s.text[s.pos:], '\n'); n >= 0 {
		s.pos += n
	} else {
		s.pos = len(s.text)
	}
}

func (s *scanner) endOfLine() error {
	s.blank(false)
	if s.peek() == '#' {
		s.comment()
	}
	if s.pos == len(s.text) || s.take("\r\n") || s.take("\n") {
		s.line++
		return nil
	}
	return fmt.Errorf("the line should end before %q", s.rest())
}

// rest is the beginning of what has not been read, for messages.
func (s *scanner) rest() string {
	rest, _, _ := strings.Cut(s.text[s.pos:], "\n")
	return rest[:min(len(rest), 20)]
}

// header reads [table] or [[array]].
func (s *scanner) header() error {
	closing := "]]"
	if !s.take("[[") {
		s.take("[")
		closing = "]"
	}
	names, err := s.key()
	if err != nil {
		return err
	}
	if !s.take(closing) {
		return fmt.Errorf("%s is missing before %q", closing, s.rest())
	}
	l := location("")
	for i, name := range names {
		l = l.child(name)
		if closing == "]]" && i == len(names)-1 {
			s.counts[l]++
		}
		if n := s.counts[l]; n > 0 {
			l = l.element(n - 1)
		}
		s.note(l)
	}
	s.table = l
	return nil
}

// assignment reads key = value.
func (s *scanner) assignment() error {
	names, err := s.key()
	if err != nil {
		return err
	}
	if !s.take("=") {
		return fmt.Errorf("= is missing before %q", s.rest())
	}
	l := s.table
	for _, name := range names {
		l = l.child(name)
		s.note(l)
	}
	return s.value()
}

func (s *scanner) note(l location) {
	if _, ok := s.found[l]; !ok {
		s.found[l] = s.line
	}
}

// key reads a dotted key and the blanks around it.
func (s *scanner) key() (names []string, err error) {
	if s.keys++; s.keys > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	for {
		s.blank(false)
		name, err := s.name()
		if err != nil {
			return nil, err
		}
		if names = append(names, name); len(names) > maxDepth {
			return nil, fmt.Errorf("a key of more than %d parts", maxDepth)
		}
		s.blank(false)
		if !s.take(".") {
			return names, nil
		}
	}
}

func (s *scanner) name() (string, error) {
	start := s.pos
	switch c := s.peek(); c {
	case '"', '\'':
		s.pos++
		if err := s.quoted(string(c)); err != nil {
			return "", err
		}
		raw := s.text[start:s.pos]
		if name, err := strconv.Unquote(raw); err == nil && c == '"' {
			return name, nil
		}
		return raw[1 : len(raw)-1], nil
	}
	for s.pos < len(s.text) && isBare(s.text[s.pos]) {
		s.pos++
	}
	if s.pos == start {
		return "", fmt.Errorf("a key is missing before %q", s.rest())
	}
	return s.text[start:s.pos], nil
}

func isBare(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// value passes a value: up to the end of the line, or beyond it within brackets and strings of several lines.
func (s *scanner) value() error {
	depth, dots := 0, 0
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		if depth == 0 && (c == '\n' || c == '#') {
			return nil
		}
		switch c {
		case '"', '\'':
			if err := s.str(string(c)); err != nil {
				return err
			}
			continue
		case '#':
			s.comment()
			continue
		case '\n':
			s.line++
		case '[', '{':
			depth, dots = depth+1, 0
		case ']', '}':
			depth--
		case ',':
			dots = 0
		case '=':
			s.keys, dots = s.keys+1, 0
		case '.':
			dots++
		}
		if depth > maxDepth || dots >= maxDepth || s.keys > maxKeys {
			return fmt.Errorf("more than %d keys, or a value nested deeper than %d", maxKeys, maxDepth)
		}
		s.pos++
	}
	return nil
}

// str passes a string, which begins here with the quote.
func (s *scanner) str(quote string) error {
	if !s.take(strings.Repeat(quote, 3)) {
		s.pos++
		return s.quoted(quote)
	}
	for s.pos < len(s.text) {
		if s.take(strings.Repeat(quote, 3)) {
			for i := 0; i < 2 && s.take(quote); i++ { // two quotes may belong to the text before its end
			}
			return nil
		}
		s.char(quote)
	}
	return fmt.Errorf("a string has no end")
}

// quoted passes the rest of a string of one line.
func (s *scanner) quoted(quote string) error {
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		if s.take(quote) {
			return nil
		}
		s.char(quote)
	}
	return fmt.Errorf("a string has no end")
}

// char passes one byte of a string, or an escaped one.
func (s *scanner) char(quote string) {
	if s.text[s.pos] == '\\' && quote == `"` && s.pos+1 < len(s.text) && s.text[s.pos+1] != '\n' {
		s.pos++
	}
	if s.text[s.pos] == '\n' {
		s.line++
	}
	s.pos++
}
