package aliases

import (
	"fmt"
	"slices"
	"strings"
)

// takeFrom is a text in which an alias has these members no more, or in which there is no such alias if no members are
// named or none is left.
func takeFrom(text, name string, members []string) (string, error) {
	name = fold(name)
	lines := entriesOf(text, name)
	switch {
	case len(lines.good)+len(lines.broken) == 0:
		return "", fmt.Errorf("%s: %w", shown(name), ErrNoAlias)
	case len(members) == 0:
		return without(text, name, lines)
	case len(lines.good) == 0:
		return "", fmt.Errorf("%s has no members: %w", shown(name), ErrNoAlias)
	}
	l := lines.good[len(lines.good)-1]
	pieces := piecesOf(l)
	gone := make([]bool, len(pieces))
	for _, word := range members {
		found := false
		for i, p := range pieces {
			if p.is(word) {
				gone[i], found = true, true
			}
		}
		if !found {
			return "", fmt.Errorf("%s is no member of %s: %w", shown(word), shown(name), ErrNoAlias)
		}
	}
	if !slices.Contains(gone, false) {
		return without(text, name, lines)
	}
	var left []Member
	for i, m := range (&origin{}).entry(name, l).Members {
		if !gone[i] {
			left = append(left, m)
		}
	}
	after := text[:l.off] + cut(l, pieces, gone) + text[int(l.off)+len(l.text):]
	return after, unharmed(text, after, name, left)
}

// without is a text without any line of a name: an earlier one would count in the place of a later one.
func without(text, name string, lines nameLines) (string, error) {
	all := lines.broken
	for _, l := range lines.good {
		all = append(all, l.entryLines)
	}
	slices.SortFunc(all, func(a, b entryLines) int { return int(b.off - a.off) })
	after := text
	for _, e := range all {
		after = after[:e.off] + after[int(e.off)+len(e.text):]
	}
	return after, unharmed(text, after, name, nil)
}

// piece is a member in a value, from and to its ends there.
type piece struct {
	text     string
	open     bool
	from, to int
}

func piecesOf(l located) (list []piece) {
	split(join(l.entryLines, l.value).text, func(off int, text string, open bool) {
		list = append(list, piece{text, open, off, off + len(text)})
	})
	return list
}

// is tells whether a piece is what a word means, or is spelled so.
func (p piece) is(word string) bool {
	if p.text == trimmed(word) {
		return true
	}
	m, err := readMember(p.text, p.open)
	_, other, err2 := spellMember(word)
	return err == nil && err2 == nil && sameMember(m, other)
}

// span is a part of a value.
type span struct{ from, to int }

// spans are the parts of a value that have some of its pieces, with the commas that would be left over.
func spans(pieces []piece, gone []bool) (list []span) {
	for i := 0; i < len(pieces); i++ {
		if !gone[i] {
			continue
		}
		j := i
		for j+1 < len(pieces) && gone[j+1] {
			j++
		}
		switch {
		case j+1 < len(pieces):
			list = append(list, span{pieces[i].from, pieces[j+1].from})
		default:
			list = append(list, span{pieces[i-1].to, pieces[j].to})
		}
		i = j
	}
	return list
}

// cut is the text of an entry without some pieces of its value. The blanks that make a line a continuation stay, unless
// nothing else of the line does.
func cut(l located, pieces []piece, gone []bool) string {
	away := spans(pieces, gone)
	var b strings.Builder
	b.WriteString(l.text[:l.value])
	done, at := l.value, 0 // of the text, and of the value
	l.valueLines(l.value, func(from int, line string, n int) {
		b.WriteString(l.text[done:from]) // comments
		_, done = cutLine(l.text, from)
		rest := l.text[from+len(line) : done]
		body := strings.TrimSuffix(line, `\`)
		first := n == l.line
		kept := keep(body, at, away, first)
		at += len(body)
		switch {
		case kept == body:
			b.WriteString(line + rest)
		case strings.Trim(kept, " \t") == "" && !first:
		default:
			b.WriteString(strings.TrimRight(kept, " \t") + line[len(body):] + rest)
		}
	})
	return b.String() + l.text[done:]
}

// keep is a line of a value that begins at a place in it, without what is to go.
func keep(line string, at int, away []span, first bool) string {
	indent := 0
	if !first {
		indent = len(line) - len(strings.TrimLeft(line, " \t"))
	}
	var b strings.Builder
	for i := range len(line) {
		out := slices.ContainsFunc(away, func(s span) bool { return s.from <= at+i && at+i < s.to })
		if !out || i < indent {
			b.WriteByte(line[i])
		}
	}
	return b.String()
}
