package table

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/status"
)

// open makes a Map of a file with this text, and its clock.
func open(t testing.TB, text string, spec Spec) (*Map, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "table")
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))); err != nil {
		t.Fatal(err)
	}
	return Open(path, spec, FileOptions{Missing: true}), path
}

// domainOf is the group of the keys of tests.
func domainOf(key string) string { return key[strings.IndexByte(key, '@')+1:] }

const sample = "# a comment\n" +
	"\n" +
	"   \t\r\n" +
	"Alice@Example.org\talice\n" +
	"bob@example.org   bob  \tand more # no comment \t \r\n" +
	"@example.net x y\n" +
	"alice@example.org second\n" +
	"last@example.com end"

func TestLookup(t *testing.T) {
	for _, long := range []bool{false, true} {
		text, extra := sample, 0
		if long {
			text, extra = strings.Repeat("#"+strings.Repeat("-", 1023)+"\n", 1100)+text, 1100
		}
		m, path := open(t, text, Spec{Group: domainOf})
		for _, c := range []struct {
			name string
			keys []string
			want string
		}{
			{"keys are folded", []string{"alice@example.org"}, "alice at 4 as Alice@Example.org"},
			{"a value has blanks inside", []string{"bob@example.org"}, "bob  \tand more # no comment at 5 as bob@example.org"},
			{"the first of several keys", []string{"eve@example.net", "@example.net", "bob@example.org"}, "x y at 6 as @example.net"},
			{"the last line needs no end", []string{"last@example.com"}, "end at 8 as last@example.com"},
			{"no key", []string{"eve@example.org", "alice@example.orgx"}, ""},
			{"none at all", nil, ""},
			{"a comment is no key", []string{"#"}, ""},
		} {
			e, ok, err := m.Lookup(c.keys...)
			got := ""
			if ok {
				got = fmt.Sprintf("%s at %d as %s", e.Value, e.Line()-extra, e.Key)
			}
			if got != c.want || err != nil {
				t.Errorf("%s: %q, %v", c.name, got, err)
			}
			if ok && e.Where() != fmt.Sprintf("%s:%d", path, e.Line()) {
				t.Errorf("%s: %s", c.name, e.Where())
			}
		}
		for group, want := range map[string]bool{"example.org": true, "example.net": true, "example.com": true, "org": false, "": false} {
			if has, err := m.HasGroup(group); has != want || err != nil {
				t.Errorf("group %s: %v, %v", group, has, err)
			}
		}
		if n, _ := m.Len(); n != 4 {
			t.Errorf("%d keys", n)
		}
		_, notes, _ := m.State()
		if want := fmt.Sprintf("[%s:%d: alice@example.org is in line %d already, which counts]", path, 7+extra, 4+extra); fmt.Sprint(notes) != want {
			t.Errorf("notes %s, want %s", notes, want)
		}
	}
}

func TestWords(t *testing.T) {
	m, _ := open(t, "one two\n# comment\n three four# not five\n\tSIX\none\n", Spec{Words: true})
	for key, line := range map[string]int{"one": 1, "two": 1, "three": 3, "four": 3, "six": 4} {
		if e, ok, err := m.Lookup(key); !ok || err != nil || e.Line() != line || e.Value != "" {
			t.Errorf("%s: %+v, %v, %v", key, e, ok, err)
		}
	}
	for _, key := range []string{"five", "not", "#", "comment", ""} {
		if _, ok, _ := m.Lookup(key); ok {
			t.Errorf("%q is there", key)
		}
	}
	if n, _ := m.Len(); n != 5 {
		t.Errorf("%d words", n)
	}
}

func TestWhatIsWrongIsToldWithItsLine(t *testing.T) {
	spec := Spec{
		Key: func(key string) (string, error) {
			if strings.Contains(key, "!") {
				return "", errors.New("no key")
			}
			return key, nil
		},
		Value: func(_, value string) error {
			if value == "bad" {
				return errors.New("no value")
			}
			return nil
		},
	}
	for _, c := range []struct{ name, text, want string }{
		{"no value", "a b\nc\n", "2: c has no value"},
		{"only blanks for a value", "c   \t\n", "1: c has no value"},
		{"a line that begins with a blank", "a b\n\tc d\n", "2: a line begins with a blank; none continues another"},
		{"a key", "# x\na!b c\n", "2: a!b: no key"},
		{"a value", "a bad\n", "1: a: no value"},
		{"a zero byte", "a b\n\na b\x00\n", "3: not text: it has a zero byte"},
		{"a long line", "a b\n" + strings.Repeat("x", maxLine) + "\na!b c\n", "2: the line is longer than 2048 bytes\n3: a!b: no key"},
		{"a very long line", strings.Repeat("x", 200_000) + "\na!b c\n", "1: the line is longer than 2048 bytes\n2: a!b: no key"},
		{"a long last line", "a b\n" + strings.Repeat("x y", maxLine), "2: the line is longer than 2048 bytes"},
		{"a longest line", "a " + strings.Repeat("x", maxLine-3) + "\n!\n", "2: ! has no value"},
		{"what is hostile is cleaned", "a\x1b[2J\n", `1: a\x1B[2J has no value`},
		{"ten errors at most", strings.Repeat("a\n", 12), "1: a has no value\n2: a has no value\n3: a has no value\n4: a has no value\n5: a has no value\n6: a has no value\n7: a has no value\n8: a has no value\n9: a has no value\n10: a has no value"},
	} {
		m, path := open(t, c.text, spec)
		_, ok, err := m.Lookup("a")
		st := status.From(err)
		if ok || st == nil {
			t.Fatalf("%s: no error", c.name)
		}
		if got := strings.ReplaceAll(errors.Unwrap(st).Error(), path+":", ""); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
		if got := st.Diagnostic(); got != "451 4.3.5 a table cannot be used" {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestNoMapIsEmpty(t *testing.T) {
	var m *Map
	if _, ok, err := m.Lookup("a"); ok || err != nil || m.Path() != "" {
		t.Error(ok, err)
	}
	if has, err := m.HasGroup("a"); has || err != nil {
		t.Error(has, err)
	}
}

func TestAFileThatIsMissingIsEmpty(t *testing.T) {
	m := Open("/nonexistent/table", Spec{}, FileOptions{Missing: true})
	if _, ok, err := m.Lookup("a"); ok || err != nil {
		t.Error(ok, err)
	}
	m = Open("/nonexistent/table", Spec{}, FileOptions{})
	if _, ok, err := m.Lookup("a"); ok || err == nil {
		t.Error("one that must be there:", ok, err)
	}
	m = Open("/", Spec{}, FileOptions{Missing: true})
	if _, ok, err := m.Lookup("a"); ok || err == nil {
		t.Error("a directory:", ok, err)
	}
}

// longText is a table that is too long to be kept, of key-N with a value.
func longText(value string) string {
	var b strings.Builder
	for i := 0; b.Len() <= maxShort; i++ {
		fmt.Fprintf(&b, "key-%d %s-%d\n", i, value, i)
	}
	return b.String()
}

func TestALongTableThatIsReplacedStaysUntilTheNewOneIsRead(t *testing.T) {
	m, path := open(t, longText("old"), Spec{})
	clock, reports := time.Unix(1e9, 0), 0
	m.file.o.Now = func() time.Time { return clock }
	m.file.o.Report = func(error) { reports++ }
	want := func(name, value string) {
		t.Helper()
		if e, ok, err := m.Lookup("key-77"); err != nil || !ok || e.Value != value || e.Line() != 78 {
			t.Errorf("%s: %q, %v, %v", name, e.Value, ok, err)
		}
	}
	replace := func(text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Chtimes(path+".new", time.Unix(1, 0), time.Unix(1, 0)), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	want("at first", "old-77")
	replace(longText("new"))
	want("within a second", "old-77")
	clock = clock.Add(time.Second)
	want("after a second", "new-77")
	replace(longText("broken") + "nothing\n")
	clock = clock.Add(time.Second)
	want("when the next is broken", "new-77")
	if reports != 1 {
		t.Errorf("%d reports", reports)
	}
}

func TestALongTableThatIsWrittenInPlace(t *testing.T) {
	m, path := open(t, longText("old"), Spec{})
	if _, ok, err := m.Lookup("key-77"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	later := time.Unix(1e9, 0)
	write := func(text string) {
		t.Helper()
		later = later.Add(time.Minute)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, later, later)); err != nil {
			t.Fatal(err)
		}
	}
	write(longText("new"))
	if e, ok, err := m.Lookup("key-77"); !ok || err != nil || e.Value != "new-77" {
		t.Errorf("whole: %+v, %v, %v", e, ok, err)
	}
	write(longText("newer")[:maxShort/2] + "\nkey\n")
	for _, key := range []string{"key-77", "nobody"} {
		if e, ok, err := m.Lookup(key); ok || err == nil {
			t.Errorf("broken: %+v, %v, %v", e, ok, err)
		}
	}
	write(longText("newest"))
	if e, ok, err := m.Lookup("key-77"); !ok || err != nil || e.Value != "newest-77" {
		t.Errorf("whole again: %+v, %v, %v", e, ok, err)
	}
}

func TestAFileThatIsTooLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, maxFile+1), os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(path, Spec{}, FileOptions{}).Lookup("a"); err == nil || !strings.Contains(err.Error(), "larger than 1073741824 bytes") {
		t.Error(err)
	}
}

func TestManyKeysAreAllFound(t *testing.T) {
	m, _ := open(t, longText("v"), Spec{Group: func(key string) string { return "g" + key[len(key)-1:] }})
	n, err := m.Len()
	if err != nil || n < 10_000 {
		t.Fatal(n, err)
	}
	for i := range n {
		key := fmt.Sprintf("key-%d", i)
		if e, ok, err := m.Lookup(key); !ok || err != nil || e.Key != key || e.Line() != i+1 {
			t.Fatalf("%s: %+v, line %d, %v, %v", key, e, e.Line(), ok, err)
		}
	}
	if _, ok, err := m.Lookup(fmt.Sprintf("key-%d", n)); ok || err != nil {
		t.Error(ok, err)
	}
}
