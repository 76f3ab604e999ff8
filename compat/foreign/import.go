package foreign

import (
	"fmt"
	"slices"
	"strings"
)

// Place is where something stands in a foreign configuration.
type Place struct {
	File string
	Line int // 0: the file as a whole
}

// String is the place as compilers write it.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Setting is one of our settings, as the other system has it.
type Setting struct {
	Key   string // as in postrider.toml, with its table: "smarthost.url"
	Value any    // string, []string, int or bool
	From  Place
}

// Listen is an address at which the other system takes mail.
type Listen struct {
	Address, Mode    string
	Certificate, Key string
	ClientCA         string
	Dovecot          string // authentication socket
	From             Place
}

// Note is what the administrator should know.
type Note struct {
	From Place
	Text string
	Left bool // something is missing now that was there
}

// Import is what was read of a configuration.
type Import struct {
	System   string // "postfix"
	File     string // the main file
	Settings []Setting
	Listen   []Listen
	Tables   []Table
	Notes    []Note

	NeedsPassword bool   // the smarthost's user has a password, which no command prints
	Password      string // it; "" when it is not known
	PasswordFrom  Place
}

// Left counts what could not be carried over.
func (m *Import) Left() (n int) {
	for _, note := range m.Notes {
		if note.Left {
			n++
		}
	}
	return n
}

// Get is the value of a setting, nil when there is none.
func (m *Import) Get(key string) any {
	for _, s := range m.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return nil
}

// set puts a setting in the place of what it was. One that says nothing is not set.
func (m *Import) set(key string, value any, from Place) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
	}
	s := Setting{key, value, m.place(from)}
	if i := m.index(key); i >= 0 {
		m.Settings[i] = s
		return
	}
	m.Settings = append(m.Settings, s)
}

func (m *Import) index(key string) int {
	return slices.IndexFunc(m.Settings, func(s Setting) bool { return s.Key == key })
}

// add appends to a setting that is a list.
func (m *Import) add(key string, from Place, values ...string) {
	if i := m.index(key); i >= 0 {
		old, _ := m.Settings[i].Value.([]string)
		m.Settings[i] = Setting{key, append(old, values...), m.place(from)}
		return
	}
	m.set(key, slices.Clone(values), from)
}

// tidy takes away what lists have twice.
func (m *Import) tidy() {
	for i, s := range m.Settings {
		if list, ok := s.Value.([]string); ok && len(list) > 0 {
			m.Settings[i].Value = unique(list)
		}
	}
}

// left notes that something is missing.
func (m *Import) left(from Place, format string, args ...any) {
	m.Notes = append(m.Notes, Note{m.place(from), fmt.Sprintf(format, args...), true})
}

// differs notes a difference.
func (m *Import) differs(from Place, format string, args ...any) {
	m.Notes = append(m.Notes, Note{m.place(from), fmt.Sprintf(format, args...), false})
}

// place is a place, that of the main file when it is not known.
func (m *Import) place(p Place) Place {
	if p.File == "" {
		p.File = m.File
	}
	return p
}

// unique is a list without what it has twice or is empty.
func unique(list []string) (out []string) {
	seen := map[string]bool{"": true}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// isTrue reads what the systems call a boolean.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "true", "on", "1", "y", "t":
		return true
	}
	return false
}

// words are the elements of a list that commas or blanks separate.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
}
