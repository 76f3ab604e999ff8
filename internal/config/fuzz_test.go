package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"postrider/internal/status"
)

// FuzzLoad: whatever the text, an error is one line that names a line of the file, and what loads can be
// written by Diff and loaded again.
func FuzzLoad(f *testing.F) {
	shipped, err := os.ReadFile(shippedFile)
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"", everything, string(shipped), uncomment(string(shipped)), "a = [[1, 2], {b = 1}] # c\n", "a = '''\n'''''\n\"b\\\"\" = 1\r\n", "a.b . \"c\" = \"\"\"\\\n\\\"\"\"\"\"\n"} {
		f.Add(text)
	}
	s := testHost(f, nil)
	f.Fuzz(func(t *testing.T, text string) {
		c := Default()
		if err := decode(&c, "f", text); err != nil {
			line := strings.Count(text, "\n") + 1
			var st *status.Status
			if !errors.As(err, &st) || st.Exit() != status.ExitConfig || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
			if n := lineOf(err.Error()); n < 1 || n > line {
				t.Errorf("line %d of %d: %v", n, line, err)
			}
			return
		}
		again := Default()
		if err := decode(&again, "f", strings.Join(c.diff(s), "\n")); err != nil {
			t.Fatalf("%v\n%q", err, c.diff(s))
		}
		if a, b := c.diff(s), again.diff(s); !reflect.DeepEqual(a, b) {
			t.Errorf("\n%q\n%q", a, b)
		}
	})
}

// lineOf is the line number in "...: f:LINE: ...".
func lineOf(msg string) (n int) {
	_, rest, _ := strings.Cut(msg, " f:")
	for i := 0; i < len(rest) && rest[i] >= '0' && rest[i] <= '9'; i++ {
		n = n*10 + int(rest[i]-'0')
	}
	return n
}

// FuzzScan: what is TOML, within the limits, can be scanned, every key outside inline tables is found, and the
// text without comments means the same.
func FuzzScan(f *testing.F) {
	for _, text := range []string{everything, "[a.\"b c\"]\nd.e = {f.g = 1, h = [1.5, 2]}\n[[i]]\n[i.j]\nk = 1\n[[i]]\n", "a = \"\"\"\"\"\"\"\"\n'b' = '''''x'''\n", "[ a . b ]#c\n\t[[ c ]] \r\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 || strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
			return
		}
		s, err := scan(text)
		if err != nil && (strings.Contains(err.Error(), "more than") || s.line < 1 || s.line > strings.Count(text, "\n")+1) {
			return
		}
		var table map[string]any
		if _, syntax := toml.Decode(text, &table); syntax != nil {
			return
		}
		if err != nil {
			t.Fatalf("TOML that cannot be scanned: %d: %v\n%q", s.line, err, text)
		}
		var stripped map[string]any
		if _, err := toml.Decode(s.code.String(), &stripped); err != nil || fmt.Sprint(table) != fmt.Sprint(stripped) {
			t.Errorf("without comments: %v\n%q\n%q", err, text, s.code.String())
		}
		for key := range table {
			_, direct := s.found[place{}.child(key).at]
			_, element := s.found[place{}.child(key).at.element(0)]
			if !direct && !element && !strings.ContainsAny(text, `\`) {
				t.Errorf("key %q was not found in %q", key, text)
			}
		}
	})
}
