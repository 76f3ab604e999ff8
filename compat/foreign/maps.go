package foreign

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Table is a file in one of our formats, made of what the other system says.
type Table struct {
	Kind    string // a key of [tables], or "aliases" for a file that comes before the others
	Entries []Entry
}

// Entry is a line of a table.
type Entry struct {
	Key, Value string
	From       Place
	Secret     string // of a sender's smarthost: the password, whose file the line names
}

// addEntry puts a line into a table.
func (m *Import) addEntry(kind string, e Entry) {
	for i := range m.Tables {
		if m.Tables[i].Kind == kind {
			m.Tables[i].Entries = append(m.Tables[i].Entries, e)
			return
		}
	}
	m.Tables = append(m.Tables, Table{kind, []Entry{e}})
}

// indexed are Postfix's types of tables that are made of a text file of the same name.
var indexed = map[string]bool{"hash": true, "lmdb": true, "texthash": true, "btree": true, "dbm": true, "sdbm": true, "cdb": true}

// knownMaps are all of Postfix's types of tables.
var knownMaps = map[string]bool{"hash": true, "lmdb": true, "texthash": true, "btree": true, "dbm": true, "sdbm": true, "cdb": true, "cidr": true,
	"environ": true, "fail": true, "inline": true, "internal": true, "ldap": true, "memcache": true, "mongodb": true, "mysql": true, "netinfo": true,
	"nis": true, "nisplus": true, "pcre": true, "pgsql": true, "pipemap": true, "proxy": true, "randmap": true, "regexp": true, "socketmap": true,
	"sqlite": true, "static": true, "tcp": true, "thash": true, "unionmap": true, "unix": true}

// mapName is one of the tables that a value names: "type:name".
type mapName struct{ kind, name string }

func (n mapName) String() string { return n.kind + ":" + n.name }

// file is the text file that a table is made of, "" when it is made of none.
func (n mapName) file() string {
	if !indexed[n.kind] || !path.IsAbs(n.name) {
		return ""
	}
	return n.name
}

// mapNames reads a list of tables. What is no table is returned as well.
func mapNames(value string) (maps []mapName, others []string) {
	for value = strings.TrimSpace(value); value != ""; {
		var word string
		word, value = cutWord(value)
		kind, name, ok := strings.Cut(strings.TrimPrefix(word, "proxy:"), ":")
		if !ok || strings.HasPrefix(word, "[") || strings.HasPrefix(word, "/") {
			others = append(others, word)
			continue
		}
		maps = append(maps, mapName{kind, name})
	}
	return maps, others
}

// cutWord cuts the first word off a list that commas and blanks separate. Braces hold a word together.
func cutWord(s string) (word, rest string) {
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '{':
			depth++
		case c == '}':
			depth--
		case depth <= 0 && strings.IndexByte(", \t", c) >= 0:
			return s[:i], strings.TrimLeft(s[i:], ", \t")
		}
	}
	return s, ""
}

// entries reads the tables that a parameter's value names. What cannot be read is left.
func (p *postfix) entries(param string) (list []Entry, at Place) {
	value, at, _ := p.get(param)
	maps, others := mapNames(value)
	for _, word := range others {
		if param == "smtp_sasl_password_maps" {
			word = "a word"
		}
		p.left(at, "%s: %s is not a table", param, word)
	}
	for _, name := range maps {
		more, err := p.table(name, at)
		if err != nil {
			p.left(at, "%s: %v", param, err)
		}
		list = append(list, more...)
	}
	return list, at
}

// table reads one table.
func (p *postfix) table(n mapName, at Place) ([]Entry, error) {
	switch {
	case n.kind == "inline":
		return inlineEntries(n.name, at)
	case n.kind == "static":
		return []Entry{{Key: "*", Value: strings.Trim(n.name, "{}"), From: at}}, nil
	case n.file() == "":
		if !knownMaps[n.kind] { // it may be no type at all, but a user with a password
			return nil, errors.New("a table of a type that is not known cannot be read")
		}
		return nil, fmt.Errorf("a table of type %s cannot be read", n.kind)
	}
	text, err := p.tree.read(n.file(), maxMap)
	if err != nil {
		return nil, fmt.Errorf("the text file of %s cannot be read: %w", n, cause(err))
	}
	var list []Entry
	for _, l := range lines(n.file(), text, true) {
		key, value := cutBlank(l.text)
		list = append(list, Entry{Key: key, Value: value, From: l.at})
	}
	return list, nil
}

// inlineEntries reads "{ {key = value}, key=value }".
func inlineEntries(s string, at Place) (list []Entry, err error) {
	inner, _, ok := cutBraces(s, '{', '}')
	if !ok {
		return nil, fmt.Errorf("a table of type inline is malformed")
	}
	for inner = strings.TrimLeft(inner, ", \t"); inner != ""; {
		var word string
		word, inner = cutWord(inner)
		if pair, _, ok := cutBraces(word, '{', '}'); ok {
			word = pair
		}
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, fmt.Errorf("a table of type inline is malformed")
		}
		list = append(list, Entry{Key: strings.TrimSpace(key), Value: strings.TrimSpace(value), From: at})
	}
	return list, nil
}

// index has the first entry of each key.
type index map[string]Entry

func indexOf(list []Entry) index {
	x := index{}
	for _, e := range list {
		key := strings.ToLower(e.Key)
		if _, ok := x[key]; !ok {
			x[key] = e
		}
	}
	return x
}

// find is the entry of the first of the keys that has one. "*" is the key of a table that always answers.
func (x index) find(keys ...string) (Entry, bool) {
	for _, key := range append(keys, "*") {
		if e, ok := x[strings.ToLower(key)]; ok {
			return e, true
		}
	}
	return Entry{}, false
}

// patterns are the elements of a list of domains or addresses in which tables and files may stand for theirs.
func (p *postfix) patterns(param string) (list []string, at Place) {
	value, at, _ := p.get(param)
	maps, others := mapNames(value)
	for _, n := range maps {
		entries, err := p.table(n, at)
		if err != nil {
			p.left(at, "%s: %v", param, err)
		}
		for _, e := range entries {
			list = append(list, e.Key)
		}
	}
	for _, word := range others {
		if path.IsAbs(word) {
			list = append(list, p.patternFile(param, word, at)...)
		} else {
			list = append(list, word)
		}
	}
	return list, at
}

// patternFile reads a file of patterns. It may not name further files.
func (p *postfix) patternFile(param, file string, at Place) (list []string) {
	text, err := p.tree.read(file, maxConfig)
	if err != nil {
		p.left(at, "%s: %s cannot be read: %v", param, file, cause(err))
	}
	for _, l := range lines(file, text, true) {
		list = append(list, words(l.text)...)
	}
	return list
}
