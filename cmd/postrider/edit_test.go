package main

import (
	"testing"
	"unicode/utf8"

	"postrider/internal/config"
)

func TestEdit(t *testing.T) {
	root := setting{"local", "root", "a@b.example"}
	origin := setting{"", "origin", "b.example"}
	for _, c := range []struct {
		name     string
		text     string
		settings []setting
		want     string
	}{
		{"an empty file gets a table", "", []setting{root}, "[local]\nroot = \"a@b.example\"\n"},
		{"an empty file gets a key", "", []setting{origin}, "origin = \"b.example\"\n"},
		{"a key is replaced where it stands", "x = 1\norigin = 'old' # why\ny = 2\n", []setting{origin}, "x = 1\norigin = \"b.example\"\ny = 2\n"},
		{"a key of another table is not it", "[listen]\norigin = 1\n", []setting{origin}, "origin = \"b.example\"\n[listen]\norigin = 1\n"},
		{"a new key at the top follows the last one", "# c\nx = 1\n\n[t]\n", []setting{origin}, "# c\nx = 1\norigin = \"b.example\"\n\n[t]\n"},
		{"a new key stays below the comment at the top", "# c\n# d\n\n[t]\n", []setting{origin}, "# c\n# d\norigin = \"b.example\"\n\n[t]\n"},
		{"a table without keys gets one", "[local]\n[queue]\n", []setting{root}, "[local]\nroot = \"a@b.example\"\n[queue]\n"},
		{"a table's header may have blanks and a comment", " [ local ] # c\nx = 1\n", []setting{root}, " [ local ] # c\nx = 1\nroot = \"a@b.example\"\n"},
		{"a key without a value goes", "[local]\nroot = 'x'\nx = 1\n", []setting{{"local", "root", ""}}, "[local]\nx = 1\n"},
		{"what is not there need not go", "x = 1\n", []setting{{"local", "root", ""}}, "x = 1\n"},
		{"a value is quoted", "", []setting{{"", "k", "a\"b\\c\nd"}}, "k = \"a\\\"b\\\\c\\nd\"\n"},
		{"a missing end of the last line is mended", "x = 1", []setting{origin}, "x = 1\norigin = \"b.example\"\n"},
	} {
		got := edit(c.text, c.settings)
		if got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		if again := edit(got, c.settings); again != got {
			t.Errorf("%s: the second time: %q", c.name, again)
		}
	}
}

func TestParseSmarthost(t *testing.T) {
	for _, c := range []struct {
		in    string
		login bool
		want  string // the URL, or "error"
	}{
		{"none", false, ""},
		{"", false, ""},
		{"smtp.example", false, "smtp://smtp.example:25"},
		{"smtp.example", true, "submission://smtp.example:587"},
		{"smtp.example:587", false, "submission://smtp.example:587"},
		{"smtp.example:465", true, "submissions://smtp.example:465"},
		{"smtp.example:25", true, "smtp://smtp.example:25"},
		{"[2001:db8::1]:2525", false, "smtp://[2001:db8::1]:2525"},
		{"submissions://me@smtp.example", false, "submissions://me@smtp.example:465"},
		{"lmtp+unix:/run/lmtp", false, "lmtp+unix:/run/lmtp"},
		{"smtp://a:b@smtp.example", false, "error"},
		{"gopher://x", false, "error"},
		{"a b", false, "error"},
		{"smtp.example:0", false, "error"},
	} {
		target, _, err := parseSmarthost(c.in, c.login)
		got := smarthostURL(target)
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%q, login %v: %s, want %s", c.in, c.login, got, c.want)
		}
	}
}

func TestSmarthostURLIsReadAsItWasMeant(t *testing.T) {
	for _, want := range []config.SmarthostTarget{
		{Scheme: "submission", User: "me@example.org", Host: "smtp.example", Port: "587"},
		{Scheme: "smtp", User: "dom/me:x%y", Host: "2001:db8::1", Port: "26"},
		{Scheme: "lmtp+unix", Socket: "/run/lmtp"},
	} {
		if got, ok, err := (config.Smarthost{URL: smarthostURL(want)}).Target(); got != want || !ok || err != nil {
			t.Errorf("%s: %+v, %v", smarthostURL(want), got, err)
		}
	}
}

func FuzzEdit(f *testing.F) {
	f.Add("# c\n[local]\nroot = 'x'\n[[listen]]\n", "a@b.example")
	f.Add("[local\n]]\n=\n\"\"\"\n[a]", "\x00\"")
	f.Fuzz(func(t *testing.T, text, value string) {
		if !utf8.ValidString(value) || value == "" {
			return // no such value passes the reading of a configuration
		}
		s := []setting{{"local", "root", value}, {"", "origin", value}}
		once := edit(text, s)
		if len(once) > len(text)+12*len(value)+100 {
			t.Fatalf("%d bytes became %d", len(text), len(once))
		}
		if twice := edit(once, s); twice != once {
			t.Fatalf("%q\nbecame %q\n  then %q", text, once, twice)
		}
	})
}
