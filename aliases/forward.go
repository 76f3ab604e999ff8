package aliases

import "fmt"

// ParseList reads the text of a list of members, one or more a line, as .forward files have it: there is no key, and a
// line continues nothing. Members that nobody can make sense of are Errors, in which name says which file it is. Included
// files are not read. The caller caps the text.
func ParseList(name, text string) (members []Member) {
	parseLines(name, text, func(m Member, _ func() string) { members = append(members, m) })
	return members
}

// parseLines calls take with each member of a list, and with what tells where it is.
func parseLines(name, text string, take func(m Member, where func() string)) {
	for n := 1; text != ""; n++ {
		line, next := cutLine(text, 0)
		text = text[next:]
		if ignored(line) {
			continue
		}
		where := func() string { return fmt.Sprintf("%s:%d", name, n) }
		split(line, func(_ int, piece string, open bool) { take(parseMember(piece, open, where), where) })
	}
}
