package aliases

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestSyntax has a line for each element of aliases(5) on which Sendmail and Postfix agree, or on which we have chosen: what
// a name comes to, and what newaliases says. Both are asked with the text and with its index.
func TestSyntax(t *testing.T) {
	for _, c := range []struct{ element, text, ask, want, problems string }{
		{"entry", "name: value, value2", "name", "value; value2", ""},
		{"key that is not local", "x@y.example: b\nx: c", "x", "c", "1: warning: x@y.example: cannot alias non-local names; the line does not count"},
		{"key that is local, with its domain", "x@us.example: b", "x", "none", "1: warning: x@us.example: cannot alias non-local names; the line does not count"},
		{"key case", "NaMe: b", "nAmE", "b", ""},
		{"quoted key", `"with space": c`, "with space", "c", ""},
		{"quoted key with a colon", `"a:b" : c`, "a:b", "c", ""},
		{"blanks around the colon", "a \t : \t b", "a", "b", ""},
		{"comment", "# a: x\n  # a: y\n#\n\na: b", "a", "b", ""},
		{"trailing comment is none", "a: alice # not a comment", "a", "error alice # not a comment",
			"1: a: alice # not a comment: not one address: members are separated by commas, and a # begins a comment only at the start of a line"},
		{"continuation", "a: b,\n c\n\t, d\nx: y", "a", "b; c; d", ""},
		{"continuation of an empty first line", "a:\n b", "a", "b", ""},
		{"comment inside an entry", "a: b,\n# x\n c", "a", "b; c", ""},
		{"backslash at line end", "a: b\\\n, c\nx: y", "a", "b; c", "1: warning: a: a backslash at the end joins the next line"},
		{"backslash at line end swallows an entry", "a: b\\\nc: d", "c", "none", "1: a: bc: d: not an address: there is a colon in it|1: warning: a: a backslash at the end joins the next line"},
		{"first line that starts with a blank", " a: b\nc: d", "c", "d", "1: a line that begins with a blank continues nothing"},
		{"missing colon", "a b\nc: d", "c", "d", "1: a b: missing colon"},
		{"missing colon makes mail wait", "a b\nc: d", "a", "waits", "1: a b: missing colon"},
		{"empty value", "a:\nc: d", "c", "d", "1: a: missing value for alias"},
		{"empty value makes mail wait", "a: ,\nc: d", "a", "waits", "1: a: missing value for alias"},
		{"missing name", ": b\nc: d", "c", "d", "1: missing name"},
		{"duplicate: the last wins", "dup: alice\nDUP: bob", "dup", "bob", "2: warning: duplicate alias name dup: line 1 does not count"},
		{"duplicate that is malformed does not count", "dup: alice\ndup:", "dup", "alice", "2: dup: missing value for alias"},
		{":include:", "a: :include:DIR/list, x", "a", "m; n@far.example; x", ""},
		{":include: in any case, in quotes", `a: ":Include: DIR/list"`, "a", "m; n@far.example", ""},
		{":include: of what is not there", "a: :include:DIR/none", "a", "waits", ""},
		{":include: that has commands", "a: :include:DIR/commands", "a", "error true; error /tmp/x; m", ""},
		{":include: without a full path", "a: :include:list", "a", "error :include:list", "1: a: :include:list: the path of an included file must begin with a slash"},
		{"command", `a: "|command args, more"`, "a", "|command args, more", ""},
		{"command with the quote inside", `a: |"/bin/vacation alice", b`, "a", "|/bin/vacation alice; b", ""},
		{"file", "a: /var/mail/archive", "a", "file /var/mail/archive", ""},
		{"file with a blank", `a: "/tmp/a b"`, "a", "file /tmp/a b", ""},
		{"maildir", "a: /srv/mail/", "a", "maildir /srv/mail", ""},
		{"escaped user", "a: \\b\nb: c", "a", `\b`, ""},
		{"quoted address", `a: "q r"@x.example`, "a", `"q r"@x.example`, ""},
		{"full names", "a: Bob <b@x.example>, c@x.example (Carol)", "a", "b@x.example (Bob); c@x.example (Carol)", ""},
		{"owner", "l: a@x.example\nowner-l: b", "l", "a@x.example for owner-l", ""},
		{"owner of an owner", "owner-l: b\nowner-owner: c", "owner-l", "b for owner-owner", ""},
		{"request names are as any other", "l-request: b\nl: c", "l-request", "b", ""},
		{"nested lists", "a: b, c\nb: d, e\nc: d, f", "a", "d; e; f", ""},
		{"self reference", "alice: alice, b@x.example", "alice", `\alice; b@x.example`, ""},
		{"a loop", "aaaa: bbbb\nbbbb: aaaa", "aaaa", "error aaaa", ""}, // no users: their names have three letters
		{"a loop that a user ends", "bob: team\nteam: bob", "team", `\bob`, ""},
		{"ten deep", nest(10), "d1", "end", ""},
		{"more than ten deep", nest(11), "d1", "error d11", ""},
		{"detail", "u: a\nu+x: b\nu+*: c", "u+x", "b", ""},
		{"any detail", "u: a\nu+x: b\nu+*: c", "u+y", "c", ""},
		{"no entry for the detail", "u: a", "u+y", "a", ""},
		{"postmaster without an entry", "root: a", "PostMaster", "a", ""},
		{"mailer-daemon without an entry", "root: a", "MAILER-DAEMON", "a", ""},
		{"root without an entry", "a: b", "root", "none", ""}, // it is the user root, or local.root
		{"line ends of other systems", "a: b,\r\n c\r\n#x\r\n", "a", "b; c", ""},
	} {
		dir := tempDir(t)
		write(t, dir, "list", "# list\nm\n n@far.example\n")
		write(t, dir, "commands", "|true\n/tmp/x\nm\n")
		path := write(t, dir, "aliases", strings.ReplaceAll(c.text, "DIR", dir))
		for _, how := range []string{"text", "index"} {
			if how == "index" {
				rebuild(t, path)
			}
			d := Open([]string{path}, testOptions)
			got := expand(d, c.ask)
			if strings.HasPrefix(got, "error: ") {
				got = "waits"
			}
			if got != c.want || byIndex(d) != (how == "index") {
				t.Errorf("%s, by %s: %q, want %q", c.element, how, got, c.want)
			}
		}
		rep, err := Check(path)
		var problems []string
		for _, p := range rep.Problems {
			problems = append(problems, strings.TrimPrefix(strings.ReplaceAll(p.Error(), dir, "DIR"), "DIR/aliases: line "))
		}
		if got := strings.Join(problems, "|"); got != c.problems || err != nil {
			t.Errorf("%s: problems %q (%v), want %q", c.element, got, err, c.problems)
		}
	}
}

// nest is aliases so deep inside each other.
func nest(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("d" + strconv.Itoa(i+1) + ": d" + strconv.Itoa(i+2) + "\n")
	}
	return strings.ReplaceAll(b.String(), ": d"+strconv.Itoa(n+1)+"\n", ": end\n")
}

func TestSyntaxOfSeveralFiles(t *testing.T) {
	dir := tempDir(t)
	one, two := write(t, dir, "one", "a: x\nlist: a, b\n"), write(t, dir, "two", "a: y\nb: z\nowner-list: o\n")
	for _, indexed := range []string{"", one, two} {
		if indexed != "" {
			rebuild(t, indexed)
		}
		d := Open([]string{one, filepath.Join(dir, "none"), two}, testOptions)
		if got := expand(d, "list"); got != "x for owner-list; z for owner-list" {
			t.Errorf("with an index of %s: %q", indexed, got)
		}
	}
}

func TestTheNameOfAMalformedLineWaits(t *testing.T) {
	d := open(t, "\"info: root\ninfo2= root\nInfo3 root\ninfo4 x: root\n= x\nok: y\n")
	for _, name := range []string{"info", "info2", "info3", "info4"} {
		if got := lookup(d, name); !strings.HasPrefix(got, "error: an alias is not written as it should be") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := lookup(d, "ok") + " " + lookup(d, "root"); got != "y none" {
		t.Error(got)
	}
}
