package table

import (
	"strings"
	"testing"
)

// FuzzTable holds what is found to what a plain reading of the lines finds.
func FuzzTable(f *testing.F) {
	f.Add(sample, "alice@example.org", false)
	f.Add("one two\n three# four\r\n", "three", true)
	f.Add(" a b\nc\n"+strings.Repeat("x", 3000)+"\n", "a", false)
	f.Add("a \x00b\n", "a", false)
	f.Fuzz(func(t *testing.T, text, key string, list bool) {
		x, err := newIndexed("f", Spec{Words: list}, memory(text))
		if err != nil {
			if len(x.notes) > maxNotes || strings.Count(err.Error(), "\n") >= maxErrors || strings.ContainsAny(strings.ReplaceAll(err.Error(), "\n", ""), "\r\x00\x1b") {
				t.Fatalf("%q, %q", err, x.notes)
			}
			return
		}
		value, line := plainLookup(text, strings.ToLower(key), list)
		e, ok, err := x.lookup(strings.ToLower(key))
		if err != nil || ok != (line > 0) || e.Value != value || ok && e.Line() != line {
			t.Fatalf("%q: %q at %d, %v, %v; want %q at %d", key, e.Value, e.Line(), ok, err, value, line)
		}
		if x.keys.n > strings.Count(text, "\n")+1 && !list || 4*x.keys.n > 3*len(x.keys.slots)+3 {
			t.Fatalf("%d keys in %d slots", x.keys.n, len(x.keys.slots))
		}
	})
}

// plainLookup is a lookup without an index.
func plainLookup(text, key string, list bool) (value string, line int) {
	for i, l := range strings.Split(text, "\n") {
		l = strings.TrimRight(l, "\r \t")
		if l == "" || l[0] == '#' {
			continue
		}
		if list {
			l, _, _ = strings.Cut(l, "#")
			for _, w := range strings.FieldsFunc(l, func(r rune) bool { return r == ' ' || r == '\t' }) {
				if strings.ToLower(w) == key {
					return "", i + 1
				}
			}
			continue
		}
		end := strings.IndexAny(l, " \t")
		if strings.ToLower(l[:end]) == key {
			return strings.TrimLeft(l[end:], " \t"), i + 1
		}
	}
	return "", 0
}
