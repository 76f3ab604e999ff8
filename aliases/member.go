package aliases

import (
	"errors"
	"fmt"
	"strings"

	"postrider/internal/address"
)

// split calls fn with each piece of a list, without the blanks around it, and where it begins. open tells that a quote
// or a comment in it does not end. Pieces of which nothing is left are passed over.
func split(s string, fn func(off int, piece string, open bool)) {
	emit := func(from, to int, open bool) {
		piece := strings.TrimLeft(s[from:to], " \t")
		if off := to - len(piece); piece != "" {
			fn(off, strings.TrimRight(piece, " \t"), open)
		}
	}
	from, depth := 0, 0
	quoted, begun, plain := false, false, true // plain: parentheses are comments
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !begun && !blank(c) {
			begun, plain = true, c != '|' && c != '/' && c != ':'
		}
		switch {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(' && plain:
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == ',' && depth == 0:
			emit(from, i, false)
			from, begun = i+1, false
		}
	}
	emit(from, len(s), quoted || depth > 0)
}

// parseMember reads one piece of a list. where is put before what is wrong with it.
func parseMember(piece string, open bool, where func() string) Member {
	m, err := readMember(piece, open)
	if err != nil {
		return Member{Kind: Error, Text: piece[:min(len(piece), maxText)], Err: where() + ": " + err.Error()}
	}
	return m
}

func readMember(piece string, open bool) (Member, error) {
	switch {
	case open:
		return Member{}, errors.New("a quote or a comment does not end")
	case len(piece) > maxText:
		return Member{}, fmt.Errorf("a member is longer than %d bytes", maxText)
	case strings.ContainsFunc(piece, control):
		return Member{}, errors.New("there is a control character in it")
	}
	text := piece
	if whole, ok := unquote(piece); ok && special(whole) {
		text = whole
	}
	if !special(text) {
		return readAddress(piece)
	}
	m := Member{Kind: Pipe}
	switch {
	case text[0] == '|':
		m.Text = text[1:]
	case text[0] == '/':
		m.Kind, m.Text = File, text
	default:
		m.Kind, m.Text = Include, text[len(includeWord):]
	}
	m.Text = trimmed(m.Text)
	if whole, ok := unquote(m.Text); ok {
		m.Text = trimmed(whole)
	}
	return m.checked()
}

// Spelled is a member as aliases(5) has it, without the quotes that a list needs.
func (m Member) Spelled() string {
	switch m.Kind {
	case Pipe:
		return "|" + m.Text
	case Maildir:
		return m.Text + "/"
	case Include:
		return includeWord + m.Text
	}
	return m.Text
}

func control(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// includeWord begins a member that is a file of members.
const includeWord = ":include:"

// special tells whether a member is no address.
func special(text string) bool {
	return text != "" && (text[0] == '|' || text[0] == '/') ||
		len(text) >= len(includeWord) && strings.EqualFold(text[:len(includeWord)], includeWord)
}

// checked looks at a command or a path.
func (m Member) checked() (Member, error) {
	switch {
	case m.Kind == Pipe && m.Text == "":
		return m, errors.New("there is no command after the bar")
	case m.Kind == Include && !strings.HasPrefix(m.Text, "/"):
		return m, errors.New("the path of an included file must begin with a slash")
	case m.Kind == File && strings.HasSuffix(m.Text, "/"):
		m.Kind, m.Text = Maildir, strings.TrimRight(m.Text, "/")
		if m.Text == "" {
			return m, errors.New("the root directory is no Maildir")
		}
	}
	return m, nil
}

// readAddress reads a member that is an address, with or without a full name, or escaped.
func readAddress(piece string) (Member, error) {
	m := Member{Kind: Address, Text: piece}
	if piece[0] == '\\' {
		m.Kind, piece = User, piece[1:]
	}
	var err error
	if m.Address, err = address.Parse(piece); err == nil && !m.Address.IsNull() {
		return m, nil
	}
	list, listErr := address.ParseList(piece, address.Lenient)
	switch {
	case listErr != nil:
		return m, listErr
	case len(list) > 1:
		return m, errors.New("not one address: members are separated by commas, and a # begins a comment only at the start of a line")
	case len(list) == 0 || list[0].Err != nil || list[0].Address.IsNull():
		if err == nil {
			err = errors.New("it is empty")
		}
		return m, fmt.Errorf("not an address: %w", err)
	}
	if _, _, group := cutKey(piece[:list[0].Start]); group {
		return m, errors.New("not an address: there is a colon in it")
	}
	m.Address, m.Name = list[0].Address, list[0].Name
	if m.Name == "" {
		m.Name = comment(piece[list[0].End:])
	}
	return m, nil
}

// comment is the full name that stands in parentheses after an address.
func comment(s string) string {
	s = trimmed(s)
	if len(s) < 2 || s[0] != '(' || s[len(s)-1] != ')' || strings.ContainsAny(s[1:len(s)-1], `()\`) {
		return ""
	}
	return strings.Trim(s[1:len(s)-1], " \t")
}

// unquote undoes the quotes of what is quoted as a whole.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' {
		return "", false
	}
	b := make([]byte, 0, len(s))
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return string(b), i == len(s)-1
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b = append(b, s[i])
	}
	return "", false
}
