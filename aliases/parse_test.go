package aliases

import (
	"fmt"
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	for _, c := range []struct{ name, text, ask, want string }{
		{"an entry", "a: bob", "a", "bob"},
		{"several members", "a: bob, carol@x.example,dave", "a", "bob; carol@x.example; dave"},
		{"no entry", "a: bob", "b", "none"},
		{"no name", "a: bob", "", "none"},
		{"a name in any case", "PostMaster: bob", "postMASTER", "bob"},
		{"blanks around the colon", "a \t:\tbob", "a", "bob"},
		{"a name in quotes", `"with space": c`, "with space", "c"},
		{"a colon in quotes", `"a:b": c`, "a:b", "c"},
		{"no line end at the end", "a: bob\nb: carol", "b", "carol"},
		{"line ends of other systems", "a: bob,\r\n carol\r\nb: dave\r\n", "a", "bob; carol"},

		{"a comment", "# a: b\na: c\n  # a: d\n", "a", "c"},
		{"a # in a line begins no comment", "a: bob # the builder", "a", "error bob # the builder"},
		{"continuation by a blank", "a: bob,\n  carol,\n\tdave\nb: erin", "a", "bob; carol; dave"},
		{"a line after a continuation", "a: bob,\n  carol\nb: erin", "b", "erin"},
		{"a comment among continuations", "a: bob,\n# dave,\n  # erin,\n\n  carol", "a", "bob; carol"},
		{"a value that begins on the next line", "a:\n bob", "a", "bob"},
		{"continuation by a backslash", "a: bo\\\nb, carol\nc: d", "a", "bob; carol"},
		{"a backslash joins the next entry, as in Sendmail", "a: b\\\nc: d", "a", "error bc: d"},
		{"a backslash does not join over an empty line", "a: b\\\n\nc: d", "c", "d"},
		{"a backslash at the end", "a: b\\", "a", "b"},
		{"a first line that continues nothing", " a: b\nc: d", "c", "d"},

		{"the last of two lines counts", "a: bob\nA: carol", "a", "carol"},
		{"an empty member is none", "a: bob,, carol,", "a", "bob; carol"},

		{"no more aliases", `a: \a, b@x.example`, "a", `\a; b@x.example`},
		{"a command in quotes", `a: "|/bin/p -x, \"y z\"", b`, "a", `|/bin/p -x, "y z"; b`},
		{"a command with its argument in quotes", `a: |"/usr/bin/vacation alice"`, "a", "|/usr/bin/vacation alice"},
		{"a command without quotes", `a: |/bin/p -f "a, b" (c, b`, "a", `|/bin/p -f "a, b" (c; b`},
		{"a file", "a: /var/mail/archive, /dev/null", "a", "file /var/mail/archive; file /dev/null"},
		{"a file in quotes", `a: "/tmp/a b"`, "a", "file /tmp/a b"},
		{"a Maildir", "a: /srv/mail/", "a", "maildir /srv/mail"},
		{"an included file", "a: :include:/etc/list", "a", "include /etc/list"},
		{"an included file with a blank", `a: ":Include: /etc/my list", b`, "a", "include /etc/my list; b"},
		{"the root is no Maildir", "a: /", "a", "error /"},
		{"a command must be something", "a: |", "a", "error |"},
		{"an included file must have a full path", "a: :include:list", "a", "error :include:list"},
		{"a path with a control character", "a: /tmp/\x01", "a", "error /tmp/\x01"},

		{"a full name", "a: Bob B. Smith <bob@x.example>, carol", "a", "bob@x.example (Bob B. Smith); carol"},
		{"a full name in quotes", `a: "Smith, Bob" <bob@x.example>`, "a", "bob@x.example (Smith, Bob)"},
		{"a full name in a comment", "a: bob@x.example (Bob, the builder), c", "a", "bob@x.example (Bob, the builder); c"},
		{"quotes in an address", `a: "q r"@x.example, "q,r"`, "a", `"q r"@x.example; "q,r"`},
		{"two addresses without comma", "a: bob carol", "a", "error bob carol"},
		{"no address", "a: bob@, carol", "a", "error bob@; carol"},
		{"the null address", "a: <>", "a", "error <>"},
		{"a quote that does not end", `a: "|p, b`, "a", `error "|p, b`},
		{"a comment that does not end", "a: b (c, d", "a", "error b (c, d"},
		{"a member that is too long", "a: |" + strings.Repeat("x", maxText), "a", "error |" + strings.Repeat("x", maxText-1)},

		{"detail", "a: b\na+x: c", "a+x", "c"},
		{"any detail", "a: b\na+*: c\na+x: d", "a+y", "c"},
		{"detail that has no entry", "a: b", "A+y", "b"},
		{"what begins with a plus has no detail", ": b\n+y: c", "+y", "c"},
	} {
		if got := lookup(open(t, c.text), c.ask); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"all well", "a: b\n#c\nd: e,\n f\n", ""},
		{"a stray continuation", " b\na: b", "F: line 1: a line that begins with a blank continues nothing"},
		{"no colon", "a: b\nroot bob@x\n", "F: line 2: root bob@x: missing colon"},
		{"no value", "a:\nb: c", "F: line 1: a: missing value for alias"},
		{"commas are no value", "b: c\na: , ,\n  ,", "F: line 2: a: missing value for alias"},
		{"no name", "x: y\n: b", "F: line 2: missing name"},
		{"a domain", "a@b: c", "F: line 1: warning: a@b: cannot alias non-local names; the line does not count"},
		{"two words", "a b: c", "F: line 1: a b: not a name"},
		{"twice", "a: b\n\nA: c", "F: line 3: warning: duplicate alias name a: line 1 does not count"},
		{"a backslash", "a: b,\\\n c\nd: e", "F: line 1: warning: a: a backslash at the end joins the next line"},
		{"a member of a later line", "a: b,\n# c\n c d,\n e, f@\n",
			"F: line 3: a: c d: not one address: members are separated by commas, and a # begins a comment only at the start of a line\n" +
				"F: line 4: a: f@: not an address: missing domain after @"},
		{"what is quoted is clean", "a\x1b[2J b\n", `F: line 1: a\x1B[2J b: missing colon`},
	} {
		path := write(t, t.TempDir(), "aliases", c.text)
		rep, err := Check(path)
		var lines []string
		for _, p := range rep.Problems {
			lines = append(lines, strings.Replace(p.Error(), path, "F", 1))
		}
		if got := strings.Join(lines, "\n"); got != c.want || err != nil {
			t.Errorf("%s:\n%s (%v), want\n%s", c.name, got, err, c.want)
		}
	}
	if _, err := Check(t.TempDir() + "/none"); err == nil {
		t.Error("a file that is not there was checked")
	}
}

// The figures are those that Sendmail prints for the same text.
func TestSummary(t *testing.T) {
	for _, c := range []struct {
		text string
		want Summary
	}{
		{"", Summary{}},
		{"a: b,\n  c,\n\td\n", Summary{1, 8, 9}},
		{"dup: alice\ndup: bob\n", Summary{2, 5, 14}},
		{"a: b\\\nc: d\n", Summary{1, 5, 6}},
		{"bad\na: b\n", Summary{1, 1, 2}},
	} {
		if got, err := Check(write(t, t.TempDir(), "aliases", c.text)); got.Summary != c.want || err != nil {
			t.Errorf("%q: %v, %v, want %v", c.text, got, err, c.want)
		}
	}
}

func TestMembersNameTheirLine(t *testing.T) {
	d := open(t, "# top\na: b,\n\n  c d, e,\n  f@\n")
	e, _, err := d.Lookup("a")
	if err != nil || e.Line != 2 {
		t.Fatalf("%+v, %v", e, err)
	}
	for i, line := range []int{1: 4, 3: 5} {
		if want := fmt.Sprintf("%s:%d: ", e.File, line); line > 0 && !strings.HasPrefix(e.Members[i].Err, want) {
			t.Errorf("member %d: %q, want %q", i, e.Members[i].Err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a: b, c\n", "\"a b\": \"|p \\\" x\", /f, /d/, :include:/x\n", "a: b\\\nc: d\n", " x\n: y\nz\n", "a: (x, <b@c>\n# d\n e\n",
		"a:\r\n \\b,\r\n\tB C <d@e> (f)\r\n", "owner-a: b\na+*: c", "a:\rb",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + 1
		table := parse("F", text, 0)
		if len(table.entries)+len(table.broken) > lines {
			t.Fatalf("%d lines, %d entries, %d broken", lines, len(table.entries), len(table.broken))
		}
		for name, l := range table.entries {
			if name != fold(name) || l.line < 1 || l.line > lines {
				t.Fatalf("entry %q in line %d", name, l.line)
			}
			e := table.entry(name, l)
			if len(e.Members) == 0 {
				t.Fatalf("%q stands for nobody", name)
			}
			for _, m := range e.Members {
				checkMember(t, m)
			}
		}
	})
}

// checkMember looks for what no member may have.
func checkMember(t *testing.T, m Member) {
	t.Helper()
	switch m.Kind {
	case Address, User:
		if m.Address.IsNull() || m.Err != "" {
			t.Fatalf("address %+v", m)
		}
	case Error:
		if m.Err == "" {
			t.Fatalf("no reason: %+v", m)
		}
		return
	case File, Maildir, Include:
		if !strings.HasPrefix(m.Text, "/") {
			t.Fatalf("path %q", m.Text)
		}
	}
	if strings.ContainsAny(m.Text, "\r\n\x00") || m.Text == "" || len(m.Text) > maxText {
		t.Fatalf("%+v", m)
	}
}
