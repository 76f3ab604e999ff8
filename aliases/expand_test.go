package aliases

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	for _, c := range []struct{ name, text, ask, want string }{
		{"no alias", "a: b", "b", "none"},
		{"an alias of an alias", "a: b\nb: c@x.example", "a", "c@x.example"},
		{"members in their order", "a: b, c\nb: d, e\n", "a", "d; e; c"},
		{"a local address with its domain", "a: b@US.example\nb: c", "a", "c"},
		{"a foreign address is no alias", "a: b@x.example\nb: c", "a", "b@x.example"},
		{"everybody once", "a: b, c, B@us.example, \\b, x@X.example, x@x.example, X@x.example, |p, |p", "a",
			"b; c; x@X.example; X@x.example; |p"},
		{"a list twice", "a: b, c\nb: d\nc: d, b, e", "a", "d; e"},
		{"detail", "a: b+x\nb+*: c, b+x", "a", `c; \b+x`},

		{"an escaped name", "a: \\b\nb: c", "a", `\b`},
		{"an escaped address of elsewhere", "a: \\b@x.example", "a", `b@x.example`},
		{"oneself", "bob: bob, b@x.example", "bob", `\bob; b@x.example`},
		{"oneself with domain and detail", "bob: Bob+x@us.example, c", "bob", `\Bob+x@us.example; c`},
		{"a circle ends at a user", "bob: team\nteam: bob, ann", "bob", `\bob; ann`},
		{"wherever it begins", "bob: team\nteam: bob, ann", "team", `\bob; ann`},
		{"a circle without a user", "aa: bb\nbb: cc\ncc: aa, ann", "bb", "error bb; ann"},

		{"an owner", "a: b\nowner-a: c", "a", "b for owner-a"},
		{"an owner's owner", "owner-a: b\nowner-owner: c", "owner-a", "b for owner-owner"},
		{"the owner of requests", "a-request: b\nowner-owner: c", "a-request", "b for owner-owner"},
		{"an inner owner", "a: b, c\nb: d\nowner-a: x\nowner-b: y", "a", "d for owner-b; c for owner-a"},
		{"an outer owner", "a: b\nb: d\nowner-a: x", "a", "d for owner-a"},
		{"the first of two owners", "a: b, c\nb: d\nc: d\nowner-b: x\nowner-c: y", "a", "d for owner-b"},

		{"names that stand for root", "root: bob", "Postmaster+x", "bob"},
		{"have their own entry first", "root: bob\npostmaster: c", "postmaster", "c"},
		{"as members too", "a: mailer-daemon\nroot: bob", "a", "bob"},
		{"and are root in a circle", "root: postmaster, bob", "root", `\postmaster; bob`},

		{"what cannot be read is told", "a: b c, d", "a", "error b c; d"},
		{"a malformed alias inside", "a: b, c\nb d\n", "a", "error: an alias is not written as it should be: F: line 2: b d: missing colon"},
	} {
		d := open(t, c.text)
		if got := strings.ReplaceAll(expand(d, c.ask), d.files[0].name, "F"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRootSetting(t *testing.T) {
	for _, c := range []struct{ name, setting, text, ask, want string }{
		{"root's mail", "bob@x.example", "", "root", "bob@x.example"},
		{"postmaster's", "bob@x.example", "", "postmaster", "bob@x.example"},
		{"a member that is root", "bob@x.example", "a: root, ann", "a", "bob@x.example; ann"},
		{"a file comes first", "bob@x.example", "root: ann", "root", "ann"},
		{"an alias", "bob", "bob: ann", "root", "ann"},
		{"root itself", "root", "", "root", `\root`},
		{"what is malformed", "bob ann", "", "root", "error bob ann"},
	} {
		d := open(t, c.text)
		d.o.Root = c.setting
		if got := expand(d, c.ask); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	d := Open(nil, Options{Root: "bob"})
	if e, _, _ := d.Lookup("root"); e.Where() != "root (local.root)" {
		t.Errorf("%+v", e)
	}
}

func TestProbe(t *testing.T) {
	some := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprint("x", i))
		}
		return strings.Join(list, "; ")
	}
	comma := strings.NewReplacer(";", ",").Replace
	d := open(t, "one: two, TWO\ntwo: b\nmany: one, c\nfew: "+comma(some(probeMembers))+"\nmore: "+comma(some(probeMembers+1))+"\nlist: :include:/nonexistent\nbad: b c\nloop: loop, loop+x\nlong: b,\n # "+strings.Repeat("x", 3*maxText)+"\n b\nlonger: long\n")
	for _, c := range []struct{ ask, want string }{
		{"one", "b"}, {"many", "b; c"}, {"few", some(probeMembers)}, {"more", ""}, {"list", ""}, {"bad", "error b c"}, {"loop", `\loop; \loop+x`}, {"none", "none"}, {"long", ""}, {"longer", ""},
	} {
		x, ok, err := d.Probe(c.ask)
		got := "none"
		if ok {
			var list []string
			for _, r := range x.Recipients {
				list = append(list, spell(r.Member))
			}
			got = strings.Join(list, "; ")
		}
		if got != c.want || err != nil || ok && x.Entry.Name != c.ask {
			t.Errorf("%s: %q, %v", c.ask, got, err)
		}
	}
	d.files[0].name = "/"
	if _, _, err := d.Probe("one"); err == nil {
		t.Error("aliases that cannot be read do not matter")
	}
}

func TestExpansionTellsItsWay(t *testing.T) {
	d := open(t, "a: b, d@x.example\nb: \\c\n")
	x, _, err := d.Expand("A+y")
	if err != nil {
		t.Fatal(err)
	}
	file := d.files[0].name
	if x.Entry.Name != "a" || !slices.Equal(x.Aliases, []string{"a", "b"}) ||
		x.Recipients[0].Via != "b ("+file+":2)" || x.Recipients[1].Via != "a ("+file+":1)" {
		t.Errorf("%+v", x)
	}
}

func TestDepth(t *testing.T) {
	var text strings.Builder
	for i := range maxDepth + 5 {
		fmt.Fprintf(&text, "a%d: a%d, m%d\n", i, i+1, i)
	}
	d := open(t, text.String())
	got := strings.Split(expand(d, "a0"), "; ")
	if len(got) != maxDepth+1 || !strings.HasPrefix(got[0], "error a") || got[maxDepth] != "m0" {
		t.Errorf("%q", got)
	}
	if got := expand(d, "a5"); strings.Contains(got, "error") {
		t.Errorf("%d inside each other: %q", maxDepth, got)
	}
}

// Each alias names the next one twice: the ways through them are more than anybody can walk.
func TestManyWaysThroughAliases(t *testing.T) {
	var text strings.Builder
	for i := range 9 {
		fmt.Fprintf(&text, "a%d: %s\n", i, strings.Repeat(fmt.Sprintf("a%d, ", i+1), 100))
	}
	if got := expand(open(t, text.String()), "a0"); got != "a9" {
		t.Errorf("%.100q", got)
	}
}

func TestTooManyRecipients(t *testing.T) {
	var text strings.Builder
	text.WriteString("a: x0")
	for i := range maxMembers {
		fmt.Fprintf(&text, ",x%d", i+1)
	}
	d := open(t, text.String())
	const want = "error: the list has too many recipients: a (F:1): more than 250000"
	if got := strings.ReplaceAll(expand(d, "a"), d.files[0].name, "F"); got != want {
		t.Errorf("%.100q", got)
	}
}

func TestSeveralFiles(t *testing.T) {
	dir := tempDir(t)
	one, two := write(t, dir, "one", "a: x\nbad"), write(t, dir, "two", "a: y\nb: z\nbad: w\nowner-a: o\n")
	d := Open([]string{one, dir + "/none", two}, Options{})
	for _, c := range [][2]string{{"a", "x for owner-a"}, {"b", "z"}, {"c", "none"}} {
		if got := expand(d, c[0]); got != c[1] {
			t.Errorf("%s: %q, want %q", c[0], got, c[1])
		}
	}
	if got := lookup(d, "bad"); !strings.HasPrefix(got, "error") {
		t.Errorf("a later file answers for a malformed line: %q", got)
	}
	if err := os.Chmod(two, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := lookup(d, "a"); got != "x" {
		t.Errorf("a name that does not need the second file: %q", got)
	}
	if got := lookup(d, "c"); !strings.HasPrefix(got, "error: the aliases cannot be read") {
		t.Errorf("a name that the second file might know: %q", got)
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("a: b, c\nb: a, d\nc: |p, b+x\nowner-a: d\n", "a")
	f.Add("a: a\na+*: a\n", "a+b")
	f.Fuzz(func(t *testing.T, text, name string) {
		table := parse("F", text, 0)
		x := expander{d: &Database{o: testOptions}, view: view{{src: table}}, most: maxMembers, seen: map[string]bool{}, have: map[string]bool{}}
		e, ok, err := x.view.find(name)
		if !ok || err != nil || x.entry(e, scope{}) != nil {
			return
		}
		if len(x.path) != 0 || len(x.result.Aliases) > len(table.entries) {
			t.Fatalf("%+v", x)
		}
		for _, r := range x.result.Recipients {
			if r.Kind == Include {
				t.Fatal("an included file is left")
			}
			if a, found, _ := x.view.find(r.Address.Unquoted()); r.Kind == Address && r.Address.Domain() == "" && found {
				t.Fatalf("%s is an alias", a.Name)
			}
		}
	})
}
