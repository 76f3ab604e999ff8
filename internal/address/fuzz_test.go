package address

import (
	"strings"
	"testing"
	"unicode/utf8"
)

var seeds = []string{
	"", "joe", "joe@example.org", "<joe@us> SIZE=1", "<>", "<@a,@b:joe@us>", `"user@evil"@us`, `"a\"b > c"@us`, "u@[IPv6:::1]",
	"jürgen@bücher.example", "u@us.", "b@r c@r", "friends: b@r, c@r;", "undisclosed-recipients:;", `\joe, b\@c@r`,
	`"Doe, John" <b@r> (x, y), c@r (Carol (nested))`, "<foo@bar", "foo@@bar", "a . b @ c . d", "x: y: b@r; c@r", "J\xf6rg <b@r>",
	"((((", "\"\\", "[[[", "u@\u3002", "a\u00a0@b", "b@r. c@r", "<@a:>", `"".x@r`, ". @r", "=?utf-8?q?b?= <b@r>", "b@r:25", "a\x00@b",
}

// checkAddress proves what every address that a parser made must be.
func checkAddress(t *testing.T, a Address) {
	t.Helper()
	w := a.String()
	if a.IsNull() {
		t.Fatal("a null address where none can be")
	}
	if !utf8.ValidString(w) || strings.ContainsAny(w, "\x00\r\n\t") || len(w) > maxAddress {
		t.Fatalf("unsafe address %q", w)
	}
	if outside := outsideQuotes(t, w); strings.ContainsAny(outside, "<> ,;\\") {
		t.Fatalf("unquoted special in %q", w)
	}
	if b, err := Parse(w); err != nil || b != a {
		t.Fatalf("%q parses as %q, %v", w, b, err)
	}
	if b, rest, err := ParsePath("<" + w + "> X"); err != nil || b != a || rest != " X" {
		t.Fatalf("<%q> parses as %q, %q, %v", w, b, rest, err)
	}
	if b := (Address{quoteLocal(a.Unquoted()), len(a.Local())}); b.wire != a.Local() {
		t.Fatalf("localpart of %q is not in wire form: %q", w, b.wire)
	}
	if d := a.Domain(); d != "" && domainKey(d) == "" {
		t.Fatalf("%q has no key", w)
	}
	if a.WithDomain("us.test").Domain() == "" && len(w) <= maxLocal {
		t.Fatalf("%q cannot be completed", w)
	}
}

// outsideQuotes is w without its quoted string.
func outsideQuotes(t *testing.T, w string) string {
	if w[0] != '"' {
		return w
	}
	for i := 1; i < len(w); i++ {
		switch w[i] {
		case '\\':
			i++
		case '"':
			return w[i+1:]
		}
	}
	t.Fatalf("open quote in %q", w)
	return ""
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := Parse(s); err == nil {
			checkAddress(t, a)
		} else if !a.IsNull() {
			t.Fatalf("address %q with error %v", a, err)
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
		f.Add("<" + s + ">")
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, rest, err := ParsePath(s)
		switch {
		case !strings.HasSuffix(s, rest):
			t.Fatalf("%q is no rest of %q", rest, s)
		case err != nil:
			if !a.IsNull() || rest != s {
				t.Fatalf("%q, rest %q with error %v", a, rest, err)
			}
		case !a.IsNull():
			checkAddress(t, a)
		case s != "<>"+rest:
			t.Fatalf("%q is the null path", s)
		}
	})
}

func FuzzParseList(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, "Bob")
		f.Add("<"+s+">", s)
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		list, err := ParseList(s, Lenient)
		if err != nil && len(s) <= MaxList {
			t.Fatal(err)
		}
		checkSpans(t, s, list)
		for _, m := range list {
			if m.Err == nil {
				checkMailbox(t, m, s[m.Start:m.End])
				checkFormat(t, name, m.Address)
			}
		}
		if strict, err := ParseList(s, Strict); err == nil && show(strict) != show(list) {
			t.Fatalf("strict %q, lenient %q", show(strict), show(list))
		}
	})
}

// checkSpans proves that the elements stand in order and apart.
func checkSpans(t *testing.T, s string, list []Mailbox) {
	pos := 0
	for _, m := range list {
		if m.Start < pos || m.End < m.Start || m.End > len(s) {
			t.Fatalf("element at [%d,%d) after %d in %q", m.Start, m.End, pos, s)
		}
		pos = m.End
	}
}

// checkMailbox proves that the bytes of an addr-spec alone are the same address.
func checkMailbox(t *testing.T, m Mailbox, spec string) {
	checkAddress(t, m.Address)
	if m.Name != cleanName(m.Name) {
		t.Fatalf("name %q is not clean", m.Name)
	}
	if alone, _ := ParseList(spec, Lenient); len(alone) != 1 || alone[0].Err != nil || alone[0].Address != m.Address {
		t.Fatalf("%q alone is %s, in the list %s", spec, show(alone), m.Address)
	}
}

// checkFormat proves that a formatted mailbox is one line and, for both modes, this one mailbox.
func checkFormat(t *testing.T, name string, a Address) {
	line := FormatMailbox(name, a)
	if strings.ContainsAny(line, "\x00\r\n") || !utf8.ValidString(line) {
		t.Fatalf("unsafe line %q", line)
	}
	for _, mode := range []Mode{Strict, Lenient} {
		if list, err := ParseList(line, mode); err != nil || len(list) != 1 || list[0].Address != a {
			t.Fatalf("%q is %s, %v", line, show(list), err)
		}
	}
}
