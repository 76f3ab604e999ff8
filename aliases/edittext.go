package aliases

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of a change that is not possible. What is wrong is in the chain beside them.
var (
	ErrNoAlias = errors.New("there is no such alias")      // or no such member
	ErrMember  = errors.New("it cannot stand in the file") // a name or a member that is none
	ErrByHand  = errors.New("edit the file by hand")       // the lines around are such that a change could harm them
)

// addTo is a text in which an alias has these members too. A new one is put at the end. Members that it has already are
// not added again.
func addTo(text, name string, members []string) (string, error) {
	key, err := spellKey(name)
	if err != nil {
		return "", err
	}
	lines := entriesOf(text, fold(name))
	var have []Member
	if len(lines.good) > 0 {
		have = (&origin{}).entry(name, lines.good[len(lines.good)-1]).Members
	}
	add, list, err := newMembers(have, members)
	switch {
	case err != nil || len(add) == 0:
		return text, err
	case len(lines.broken) > 0:
		return "", fmt.Errorf("line %d has no members: %w", lines.broken[0].line, ErrByHand)
	}
	after := text
	if len(lines.good) > 0 {
		after = extend(text, lines.good[len(lines.good)-1], add)
	} else {
		after = appendEntry(text, key, add)
	}
	return after, unharmed(text, after, fold(name), append(have, list...))
}

// newMembers are those that are not there yet, as they stand in a file and as what they mean.
func newMembers(have []Member, words []string) (add []string, list []Member, err error) {
	for _, word := range words {
		spelled, m, err := spellMember(word)
		if err != nil {
			return nil, nil, err
		}
		if !slices.ContainsFunc(slices.Concat(have, list), func(h Member) bool { return sameMember(h, m) }) {
			add, list = append(add, spelled), append(list, m)
		}
	}
	return add, list, nil
}

// spellKey is a name as it stands before the colon.
func spellKey(name string) (string, error) {
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	for _, key := range []string{name, quoted} {
		have, _, ok := cutKey(key + ":")
		if !ok || have != key || ignored(key) || blank(key[0]) || strings.ContainsFunc(key, control) {
			continue
		}
		switch got, err := keyName(key); {
		case errors.Is(err, errNotLocal):
			return "", fmt.Errorf("%s: %w: %w", shown(name), err, ErrMember)
		case err == nil && got == fold(name):
			return key, nil
		}
	}
	return "", fmt.Errorf("%s: not a name: %w", shown(name), ErrMember)
}

// spellMember is a member as it stands in a list, and what it means there.
func spellMember(word string) (string, Member, error) {
	word = trimmed(word)
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
	why := errors.New("not one member")
	for _, spelled := range []string{word, quoted} {
		var pieces []string
		whole := true
		split(spelled, func(_ int, piece string, open bool) {
			pieces, whole = append(pieces, piece), whole && !open
		})
		if len(pieces) != 1 || pieces[0] != spelled || !whole || spelled == quoted && !special(word) {
			continue
		}
		m, err := readMember(spelled, false)
		if err == nil {
			return spelled, m, nil
		}
		why = err
	}
	return "", Member{}, fmt.Errorf("%s: %w: %w", shown(word), why, ErrMember)
}

// sameMember tells whether two members mean the same.
func sameMember(a, b Member) bool {
	if a.Kind != b.Kind {
		return false
	}
	if a.Kind == Address || a.Kind == User {
		return AddressKey(a.Address, a.Address.Domain() == "") == AddressKey(b.Address, b.Address.Domain() == "")
	}
	return a.Text == b.Text
}

// nameLines are the lines of one name.
type nameLines struct {
	good   []located
	broken []entryLines
}

func entriesOf(text, name string) (n nameLines) {
	s := scanner{stray: func(int) {}, entry: func(e entryLines) {
		switch have, l, problem := e.key(); {
		case have != name:
		case problem == nil:
			n.good = append(n.good, l)
		default:
			n.broken = append(n.broken, e)
		}
	}}
	s.scan(text, true)
	return n
}

// lineWidth is how long we make lines.
const lineWidth = 78

// extend puts members at the end of an entry.
func extend(text string, l located, add []string) string {
	at := 0 // behind the last byte of the value, in the entry
	l.valueLines(l.value, func(from int, line string, _ int) {
		line = strings.TrimSuffix(line, `\`)
		if n := len(strings.TrimRight(line, " \t")); n > 0 {
			at = from + n
		}
	})
	column := at - (strings.LastIndexByte(l.text[:at], '\n') + 1)
	more := flow(column, l.text[at-1] == ',', add, lineEnd(l.text))
	at += int(l.off)
	return text[:at] + more + text[at:]
}

// appendEntry puts an entry at the end of a text.
func appendEntry(text, key string, add []string) string {
	end := lineEnd(text)
	switch {
	case text == "":
	case !strings.HasSuffix(text, "\n"):
		text += end
	}
	if strings.HasSuffix(strings.TrimRight(text, "\r\n"), `\`) {
		text += end // which ends what would go on
	}
	return text + key + ":" + flow(len(key)+1, true, add, end) + end
}

// flow is more members of a list that has come to a column; comma tells that none is needed before the first.
func flow(column int, comma bool, add []string, end string) string {
	var b strings.Builder
	for _, word := range add {
		if !comma {
			b.WriteByte(',')
			column++
		}
		if comma = false; column+len(word)+2 > lineWidth {
			b.WriteString(end + "\t")
			column = 8
		} else {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

func lineEnd(text string) string {
	if i := strings.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// unharmed tells whether a changed text says what it should of one name, nothing if there are no members, and of all
// others what it said before.
func unharmed(before, after, name string, members []Member) error {
	was, is := parse("", before, 0), parse("", after, 0)
	same := func(name string) bool {
		a, ok1 := was.entries[name]
		b, ok2 := is.entries[name]
		return ok1 == ok2 && (!ok1 || strings.TrimRight(a.text, "\r\n") == strings.TrimRight(b.text, "\r\n")) && was.broken[name].Text == is.broken[name].Text
	}
	for _, t := range []*table{was, is} {
		for other := range t.entries {
			if other != name && !same(other) {
				return fmt.Errorf("%s would change too: %w", shown(other), ErrByHand)
			}
		}
		for other := range t.broken {
			if other != name && !same(other) {
				return fmt.Errorf("%s would change too: %w", shown(other), ErrByHand)
			}
		}
	}
	l, ok := is.entries[name]
	_, broken := is.broken[name]
	switch {
	case broken:
		return fmt.Errorf("%s would be malformed: %w", shown(name), ErrByHand)
	case !ok && len(members) == 0:
		return nil
	case !ok || !slices.EqualFunc(is.entry(name, l).Members, members, sameMember):
		return fmt.Errorf("%s would have other members: %w", shown(name), ErrByHand)
	}
	return nil
}
