package aliases

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
)

// Problem is something in a file that its author should know.
type Problem struct {
	File    string
	Line    int
	Text    string
	Warning bool // the line counts all the same
}

// Error is the problem as newaliases says it.
func (p Problem) Error() string {
	text := p.Text
	if p.Warning {
		text = "warning: " + text
	}
	return fmt.Sprintf("%s: line %d: %s", p.File, p.Line, text)
}

// maxProblems is how many problems are told of one file.
const maxProblems = 1000

// table is one file that was read.
type table struct {
	file     string
	owner    uint32
	secret   bool // not everybody may read the file
	entries  map[string]located
	broken   map[string]Problem // names whose line is malformed
	problems []Problem
}

// located is the text of an entry that was not parsed yet.
type located struct {
	entryLines
	value int // where the value begins in text
}

func newTable(file string, owner uint32) *table {
	return &table{file: file, owner: owner, entries: map[string]located{}, broken: map[string]Problem{}}
}

// parse reads a file. Members are only read when their entry is looked up.
func parse(file, text string, owner uint32) *table {
	t := newTable(file, owner)
	scan(text, func(e entryLines) { t.add(e) }, t.stray)
	return t
}

func (t *table) problem(p Problem) Problem {
	p.File = t.file
	if len(t.problems) < maxProblems {
		t.problems = append(t.problems, p)
	}
	return p
}

func (t *table) stray(line int) {
	t.problem(Problem{Line: line, Text: "a line that begins with a blank continues nothing"})
}

// add takes one entry in; false when it is none. The value begins at from.
func (t *table) add(e entryLines) (name string, from int, ok bool) {
	line, _ := cutLine(e.text, 0)
	key, from, ok := cutKey(line)
	if !ok {
		word, _, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		t.broken[fold(word)] = t.problem(Problem{Line: e.line, Text: shown(line) + ": missing colon"})
		return "", 0, false
	}
	name, err := keyName(key)
	if err != nil {
		t.problem(Problem{Line: e.line, Text: err.Error()})
		return "", 0, false
	}
	if strings.Trim(join(e, from).text, " \t,") == "" {
		t.broken[name] = t.problem(Problem{Line: e.line, Text: name + ": missing value for alias"})
		return "", 0, false
	}
	if have, ok := t.entries[name]; ok {
		t.problem(Problem{Line: e.line, Text: fmt.Sprintf("duplicate alias name %s: line %d does not count", name, have.line), Warning: true})
	}
	t.entries[name] = located{e, from}
	return name, from, true
}

// place is a file and a line in it.
func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

// shown is what a message quotes of a file.
func shown(s string) string { return status.Clean(trimmed(s), 80) }

func trimmed(s string) string { return strings.Trim(s, " \t") }

// cutKey finds the colon that ends the name at the start of a line, and where the value begins.
func cutKey(line string) (key string, value int, ok bool) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ':' && !quoted:
			return strings.TrimRight(line[:i], " \t"), i + 1, true
		}
	}
	return "", 0, false
}

// keyName is the name that an entry has.
func keyName(key string) (string, error) {
	if key == "" {
		return "", errors.New("missing name")
	}
	a, err := address.Parse(key)
	switch {
	case err == nil && a.Domain() != "":
		return "", fmt.Errorf("%s: cannot alias non-local names", shown(key))
	case err == nil && !a.IsNull():
		return fold(a.Unquoted()), nil
	case strings.ContainsAny(key, "\" \t\\@"):
		return "", fmt.Errorf("%s: not a name", shown(key))
	}
	return fold(key), nil // dots anywhere, and other things that no mail system minds
}

// head is an entry without its members.
func (t *table) head(name string, l located) Entry {
	return Entry{Name: name, File: t.file, Line: l.line, owner: t.owner, secret: t.secret}
}

// entry reads the members of an entry.
func (t *table) entry(name string, l located) Entry {
	e := t.head(name, l)
	v := join(l.entryLines, l.value)
	at := cursor{v: &v}
	split(v.text, func(off int, piece string, open bool) {
		line := at.line(off)
		e.Members = append(e.Members, parseMember(piece, open, func() string { return place(t.file, line) }))
	})
	if len(e.Members) == 0 { // nothing but escapes
		e.Members = []Member{{Kind: Error, Err: place(t.file, l.line) + ": missing value for alias"}}
	}
	return e
}
