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
	Warning bool // it harms nothing else, and newaliases succeeds all the same
}

// Error is the problem as newaliases says it.
func (p Problem) Error() string {
	text := p.Text
	if p.Warning {
		text = "warning: " + text
	}
	return fmt.Sprintf("%s: line %d: %s", p.File, p.Line, text)
}

// maxName is how long a name can be. Longer ones are in no address.
const maxName = 255

// origin is the file that entries are from.
type origin struct {
	file   string
	owner  uint32
	secret bool // not everybody may read the file
}

// table is one file that was read.
type table struct {
	origin
	entries map[string]located
	broken  map[string]Problem // names whose line is malformed
	end     int64              // where the last entry begins
}

// located is the text of an entry that was not parsed yet.
type located struct {
	entryLines
	value int // where the value begins in text
}

func newTable(file string, owner uint32) *table {
	return &table{origin: origin{file: file, owner: owner}, entries: map[string]located{}, broken: map[string]Problem{}}
}

// parse reads a file. Members are only read when their entry is looked up.
func parse(file, text string, owner uint32) *table {
	t := newTable(file, owner)
	s := scanner{entry: t.add, stray: func(int) {}}
	s.scan(text, true)
	return t
}

// add takes one entry in.
func (t *table) add(e entryLines) {
	name, l, problem := e.key()
	t.end = e.off
	switch {
	case problem == nil:
		t.entries[name] = l
	case name != "":
		problem.File = t.file
		t.broken[name] = *problem
	}
}

// find is the entry of exactly this name. Its error is the Problem of a name that has nothing but malformed lines.
func (t *table) find(name string, _ int) (located, bool, error) {
	if l, ok := t.entries[name]; ok {
		return l, true, nil
	}
	if p, ok := t.broken[name]; ok {
		return located{}, false, p
	}
	return located{}, false, nil
}

func (t *table) about() *origin { return &t.origin }
func (t *table) release()       {}

// key reads an entry up to its value. When there is something wrong, the name is the one whose mail must wait; "" when
// nobody's must.
func (e entryLines) key() (string, located, *Problem) {
	line, _ := cutLine(e.text, 0)
	key, from, ok := cutKey(line)
	if !ok {
		return meant(line), located{}, &Problem{Line: e.line, Text: shown(line) + ": missing colon"}
	}
	name, err := keyName(key)
	switch {
	case errors.Is(err, errNotLocal):
		return "", located{}, &Problem{Line: e.line, Text: fmt.Sprintf("%s: %v; the line does not count", shown(key), err), Warning: true}
	case err != nil:
		return meant(line), located{}, &Problem{Line: e.line, Text: err.Error()}
	case strings.Trim(join(e, from).text, " \t,") == "":
		return name, located{}, &Problem{Line: e.line, Text: shown(name) + ": missing value for alias"}
	}
	return name, located{e, from}, nil
}

// meant is the name that a malformed line is likely to be for: its first word, without a quote that does not end.
func meant(line string) string {
	line = strings.TrimLeft(line, "\" \t")
	if end := strings.IndexAny(line, "\" \t:="); end >= 0 {
		line = line[:end]
	}
	if len(line) > maxName {
		return ""
	}
	return fold(line)
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

var errNotLocal = errors.New("cannot alias non-local names")

// keyName is the name that an entry has.
func keyName(key string) (string, error) {
	if key == "" {
		return "", errors.New("missing name")
	}
	a, err := address.Parse(key)
	name := fold(key) // dots anywhere, and other things that no mail system minds
	switch {
	case err == nil && a.Domain() != "":
		return "", errNotLocal
	case err == nil && !a.IsNull():
		name = fold(a.Unquoted())
	case strings.ContainsAny(key, "\" \t\\@"):
		return "", fmt.Errorf("%s: not a name", shown(key))
	}
	if len(name) > maxName {
		return "", fmt.Errorf("%s: a name is longer than %d bytes", shown(key), maxName)
	}
	return name, nil
}

// head is an entry without its members.
func (o *origin) head(name string, l located) Entry {
	return Entry{Name: name, File: o.file, Line: l.line, owner: o.owner, secret: o.secret}
}

// entry reads the members of an entry.
func (o *origin) entry(name string, l located) Entry {
	e := o.head(name, l)
	v := join(l.entryLines, l.value)
	at := cursor{v: &v}
	split(v.text, func(off int, piece string, open bool) {
		line := at.line(off)
		e.Members = append(e.Members, parseMember(piece, open, func() string { return place(o.file, line) }))
	})
	if len(e.Members) == 0 { // nothing but escapes
		e.Members = []Member{{Kind: Error, Err: place(o.file, l.line) + ": missing value for alias"}}
	}
	return e
}
