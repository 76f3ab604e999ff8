package main

import (
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// setting is one key to write; one without a value is to go.
type setting struct {
	table, key string // the table is "" at the top
	value      string
}

func (s setting) name() string {
	if s.table == "" {
		return s.key
	}
	return s.table + "." + s.key
}

// line is the setting in TOML.
func (s setting) line() string {
	var b strings.Builder
	// Encoding a string into memory cannot fail.
	_ = toml.NewEncoder(&b).Encode(map[string]string{s.key: s.value})
	return strings.TrimSuffix(b.String(), "\n")
}

var (
	header = regexp.MustCompile(`^\s*\[+\s*([^\[\]]*?)\s*\]+\s*(#.*)?$`)
	keyed  = regexp.MustCompile(`^\s*([A-Za-z0-9_-]+)\s*=`)
)

// edit puts settings into the text of a configuration and leaves every other line as it is. It knows lines, not
// TOML: whether the text then means what it should, its caller must find out by reading it.
func edit(text string, settings []setting) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		lines = nil
	}
	for _, s := range settings {
		lines = editOne(lines, s)
	}
	return strings.Join(lines, "\n") + "\n"
}

func editOne(lines []string, s setting) []string {
	table, found := "", s.table == ""
	after := 0 // where the key goes when it is not there: behind the table's last key
	for i, line := range lines {
		if m := header.FindStringSubmatch(line); m != nil {
			if table = m[1]; table == s.table {
				found, after = true, i+1
			}
			continue
		}
		m := keyed.FindStringSubmatch(line)
		if table != s.table || m == nil {
			continue
		}
		if after = i + 1; m[1] == s.key {
			return replaceLine(lines, i, s)
		}
	}
	switch {
	case s.value == "":
		return lines
	case !found:
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		return append(lines, "["+s.table+"]", s.line())
	case s.table == "" && after == 0:
		after = leadingComment(lines)
	}
	return splice(lines, after, after, s.line())
}

func replaceLine(lines []string, i int, s setting) []string {
	if s.value == "" {
		return splice(lines, i, i+1)
	}
	return splice(lines, i, i+1, s.line())
}

// leadingComment is how many lines the comment at the top of a file has, which stays at the top.
func leadingComment(lines []string) int {
	for i, line := range lines {
		if !strings.HasPrefix(line, "#") {
			return i
		}
	}
	return len(lines)
}

// splice is a copy of lines with those from start to end replaced.
func splice(lines []string, start, end int, with ...string) []string {
	out := append([]string(nil), lines[:start]...)
	out = append(out, with...)
	return append(out, lines[end:]...)
}
