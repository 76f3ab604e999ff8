package foreign

import (
	"errors"
	"strings"
)

// mainCF is Postfix's main.cf, whose values may hold others: $name, ${name}, $(name), ${name?text}, ${name:text} and
// ${name?{text}:{text}}. Other expressions are errors.
type mainCF struct {
	params   map[string]line // name to value as written
	order    []string
	used     map[string]bool // by a reader or by another value
	defaults map[string]string
}

// The limits of what values may expand to. Values that hold others twice would grow without end.
const (
	maxValue = 256 << 10
	maxDepth = 32
)

var (
	errExpansion = errors.New("the value holds an expression")
	errTooLong   = errors.New("the value expands without end")
)

// parseMainCF reads main.cf. Of parameters that are there twice the last holds.
func parseMainCF(file, text string, m *Import) *mainCF {
	cf := &mainCF{params: map[string]line{}, used: map[string]bool{}, defaults: map[string]string{}}
	for _, l := range lines(file, text, true) {
		name, value, ok := strings.Cut(l.text, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t$") {
			m.left(l.at, "not a line of the form name = value")
			continue
		}
		if _, twice := cf.params[name]; !twice {
			cf.order = append(cf.order, name)
		}
		cf.params[name] = line{strings.TrimSpace(value), l.at}
	}
	return cf
}

// lookup is the value of a parameter as written, or its default.
func (cf *mainCF) lookup(name string) (string, bool) {
	cf.used[name] = true
	if p, ok := cf.params[name]; ok {
		return p.text, true
	}
	value, ok := cf.defaults[name]
	return value, ok
}

// expand replaces what a value names by what that is.
func (cf *mainCF) expand(s string) (string, error) {
	x := expander{cf: cf}
	if err := x.text(s, 0); err != nil {
		return "", err
	}
	return strings.TrimSpace(x.out.String()), nil
}

type expander struct {
	cf    *mainCF
	out   strings.Builder
	steps int // bytes looked at, so that values which expand to nothing end as well
}

func (x *expander) text(s string, depth int) error {
	if x.steps += len(s) + 1; depth > maxDepth || x.steps > maxValue {
		return errTooLong
	}
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			x.out.WriteString(s)
			return nil
		}
		x.out.WriteString(s[:i])
		rest, err := x.dollar(s[i+1:], depth)
		if err != nil {
			return err
		}
		s = rest
	}
	return nil
}

// dollar takes what follows a dollar sign, and returns the rest.
func (x *expander) dollar(s string, depth int) (rest string, err error) {
	if s == "" {
		return "", errExpansion
	}
	switch s[0] {
	case '$':
		x.out.WriteByte('$')
		return s[1:], nil
	case '{':
		inner, rest, ok := cutBraces(s, '{', '}')
		if !ok {
			return "", errExpansion
		}
		return rest, x.conditional(inner, depth)
	case '(':
		inner, rest, ok := cutBraces(s, '(', ')')
		if !ok {
			return "", errExpansion
		}
		return rest, x.conditional(inner, depth)
	}
	n := nameLen(s)
	if n == 0 {
		return "", errExpansion
	}
	return s[n:], x.value(s[:n], depth)
}

func (x *expander) value(name string, depth int) error {
	value, _ := x.cf.lookup(name)
	return x.text(value, depth+1)
}

// conditional takes what stands in braces.
func (x *expander) conditional(s string, depth int) error {
	s = strings.TrimSpace(s)
	n := nameLen(s)
	name, op := s[:n], strings.TrimSpace(s[n:])
	switch {
	case n == 0:
		return errExpansion
	case op == "":
		return x.value(name, depth)
	case op[0] != '?' && op[0] != ':':
		return errExpansion
	}
	value, _ := x.cf.lookup(name)
	then, otherwise := op[1:], ""
	if inner, rest, ok := cutBraces(strings.TrimSpace(then), '{', '}'); ok {
		then = strings.TrimSpace(inner)
		rest = strings.TrimSpace(rest)
		if inner, _, ok := cutBraces(strings.TrimSpace(strings.TrimPrefix(rest, ":")), '{', '}'); ok && rest[0] == ':' {
			otherwise = strings.TrimSpace(inner)
		} else if rest != "" {
			return errExpansion
		}
	}
	if op[0] == ':' {
		then, otherwise = otherwise, then
	}
	if value == "" {
		then = otherwise
	}
	return x.text(then, depth+1)
}

// cutBraces cuts s, which begins with open, behind the close that belongs to it.
func cutBraces(s string, open, close byte) (inner, rest string, ok bool) {
	if s == "" || s[0] != open {
		return "", s, false
	}
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case open:
			depth++
		case close:
			if depth--; depth == 0 {
				return s[1:i], s[i+1:], true
			}
		}
	}
	return "", s, false
}

// nameLen is how many bytes of a parameter's name s begins with.
func nameLen(s string) int {
	return len(s) - len(strings.TrimLeft(s, letters+digits+"_"))
}
