package aliases

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
)

func TestAddTo(t *testing.T) {
	for _, c := range []struct{ name, text, alias, members, want string }{
		{"to nothing", "", "a", "b", "a: b\n"},
		{"a new alias goes to the end", "# top\nx: y\n# end", "a", "b;c@x.example", "# top\nx: y\n# end\na: b, c@x.example\n"},
		{"behind the members", "# top\na: b # c\na:\tb\n# end\nx: y\n", "A", "c", "# top\na: b # c\na:\tb, c\n# end\nx: y\n"},
		{"in the last line of the entry", "a: b,\n # one\n  c\t\n # two\n\nx: y", "a", "d", "a: b,\n # one\n  c, d\t\n # two\n\nx: y"},
		{"behind a comma", "a: b,\nx: y", "a", "c", "a: b, c\nx: y"},
		{"in front of a backslash", "a: b\\\n\nx: y", "a", "c", "a: b, c\\\n\nx: y"},
		{"at the end of a file", "x: y\na: b", "a", "c", "x: y\na: b, c"},
		{"behind a backslash at the end of a file", "x: y\\\n", "a", "c", "x: y\\\n\na: c\n"},
		{"with the line ends of the file", "x: y\r\na: b\r\n", "a", "c", "x: y\r\na: b, c\r\n"},
		{"a new one with them", "x: y\r\n", "a", "c", "x: y\r\na: c\r\n"},
		{"who is there already", "a: Bob <b@x.example>, c\n", "a", "b@X.example;C", "a: Bob <b@x.example>, c\n"},
		{"somebody twice", "a: b\n", "a", "c;c", "a: b, c\n"},
		{"a name that needs quotes", "", "a: b#", "c", "\"a: b#\": c\n"},
		{"a name that looks like a comment", "", "#a", "c", "\"#a\": c\n"},
		{"a command with a comma", "a: b", "a", "|/bin/p -x a,b \"c\"", `a: b, "|/bin/p -x a,b \"c\""`},
		{"a file and a list", "a: b", "a", "/tmp/a,b/;:include:/etc/list;\\c", `a: b, "/tmp/a,b/", :include:/etc/list, \c`},
		{"a long list", "a: " + strings.Repeat("x", 70) + "\n", "a", strings.Repeat("y", 30) + ";" + strings.Repeat("z", 40) + ";c",
			"a: " + strings.Repeat("x", 70) + ",\n\t" + strings.Repeat("y", 30) + ",\n\t" + strings.Repeat("z", 40) + ", c\n"},
		{"a member that cannot be understood stays", "a: x y\n", "a", "b", "a: x y, b\n"},

		{"a domain", "", "a@b", "c", "error: a@b: cannot alias non-local names: it cannot stand in the file"},
		{"no name", "", "", "c", "error: : not a name: it cannot stand in the file"},
		{"a name with a line end", "", "a\nb", "c", `error: a\x0Ab: not a name: it cannot stand in the file`},
		{"a name that is too long", "", strings.Repeat("a", 300), "c", "error: " + strings.Repeat("a", 80) + "...: not a name: it cannot stand in the file"},
		{"two members in one", "", "a", "b, c", "error: b, c: not one member: it cannot stand in the file"},
		{"no address", "", "a", "b c", "error: b c: not one address: members are separated by commas, and a # begins a comment only at the start of a line: it cannot stand in the file"},
		{"a member with a line end", "", "a", "|x\nroot: y", `error: |x\x0Aroot: y: there is a control character in it: it cannot stand in the file`},
		{"an empty member", "", "a", " ", "error: : not one member: it cannot stand in the file"},
		{"a line without members", "a:\n", "a", "b", "error: line 1 has no members: edit the file by hand"},
		{"an open quote", "a: \"b\n", "a", "c", "error: a would have other members: edit the file by hand"},
	} {
		got, err := addTo(c.text, c.alias, strings.Split(c.members, ";"))
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n%q, want\n%q", c.name, got, c.want)
		}
	}
}

func TestTakeFrom(t *testing.T) {
	for _, c := range []struct{ name, text, alias, members, want string }{
		{"an alias", "# top\na: b,\n# in\n c\n# end\nx: y\n", "A", "", "# top\n# end\nx: y\n"},
		{"all its lines", "a: b\nx: y\na: c\na:\n", "a", "", "x: y\n"},
		{"the last", "a: b", "a", "", ""},
		{"a malformed line", "a b\nx: y\n", "a", "", "x: y\n"},
		{"the first member", "a: b, c, d\n", "a", "b", "a: c, d\n"},
		{"one in the middle", "a: b, c, d\n", "a", "C", "a: b, d\n"},
		{"the last member", "a: b, c , d # x\n", "a", "d # x", "a: b, c\n"},
		{"several", "a: b,c,d,e\n", "a", "b;d", "a: c,e\n"},
		{"a line of its own", "a: b,\n # one\n  c,\n # two\n\td\nx: y", "a", "c", "a: b,\n # one\n # two\n\td\nx: y"},
		{"the last line", "a: b,\n # one\n  c\n # two\nx: y", "a", "c", "a: b\n # one\n # two\nx: y"},
		{"the first line", "a: b,\n  c\nx: y", "a", "b", "a:\n  c\nx: y"},
		{"by another spelling", "a: Bob <b@x.example>, \"|p, q\", /d/\n", "a", "b@X.example;|p, q", "a: /d/\n"},
		{"one that is there twice", "a: b, c, B\n", "a", "b", "a: c\n"},
		{"the last of a name that has two lines", "a: b\na: c, d\n", "a", "c", "a: b\na: d\n"},
		{"all members", "a: b, c\nx: y\n", "a", "c;b", "x: y\n"},
		{"with empty members between", "a: b,, c,\n", "a", "c", "a: b,\n"},

		{"no alias", "a: b\n", "c", "", "error: c: there is no such alias"},
		{"no member", "a: b\n", "a", "c", "error: c is no member of a: there is no such alias"},
		{"no members", "a:\n", "a", "c", "error: a has no members: there is no such alias"},
		{"behind a backslash", "a: b,\\\nc\nx: y\n", "a", "c", "error: x would change too: edit the file by hand"},
	} {
		var members []string
		if c.members != "" {
			members = strings.Split(c.members, ";")
		}
		got, err := takeFrom(c.text, c.alias, members)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n%q, want\n%q", c.name, got, c.want)
		}
	}
}

func TestAddAndRemove(t *testing.T) {
	path := filepath.Join(tempDir(t), "aliases")
	steps := []struct {
		add     bool
		name    string
		members []string
		want    string
		changed bool
		mode    os.FileMode
	}{
		{true, "a", []string{"b"}, "a: b\n", true, 0o644},
		{true, "a", []string{"b"}, "a: b\n", false, 0o600},
		{true, "a", []string{"c"}, "a: b, c\n", true, 0o600},
		{true, "x", []string{"y"}, "a: b, c\nx: y\n", true, 0o600},
		{false, "a", []string{"b"}, "a: c\nx: y\n", true, 0o600},
		{false, "a", nil, "x: y\n", true, 0o600},
	}
	for i, s := range steps {
		if i == 1 {
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		change := Remove
		if s.add {
			change = Add
		}
		changed, err := change(path, s.name, s.members)
		text, readErr := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err = errors.Join(err, readErr, statErr); err != nil || changed != s.changed || string(text) != s.want || info.Mode().Perm() != s.mode {
			t.Errorf("step %d: %v, %q, %v, %v", i, changed, text, info.Mode(), err)
		}
		if _, err := os.Lstat(aside(path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("step %d: %v", i, err)
		}
	}
}

func TestWhatIsNotEdited(t *testing.T) {
	for _, c := range []struct {
		name, want string
		uid        uint32
		make       func(dir, path string) error
	}{
		{"no file", "no such file or directory", uint32(os.Geteuid()), func(string, string) error { return nil }},
		{"a directory", "not a regular file", uint32(os.Geteuid()), func(_, p string) error { return os.Mkdir(p, 0o755) }},
		{"a file that everybody may write", "everybody may write it", uint32(os.Geteuid()),
			func(_, p string) error {
				return errors.Join(os.WriteFile(p, []byte("a: b\n"), 0o644), os.Chmod(p, 0o646))
			}},
		{"a file that is no text", "line 2 has a zero byte", uint32(os.Geteuid()), func(_, p string) error { return os.WriteFile(p, []byte("a: b\n\x00"), 0o644) }},
		{"a link to somebody else's file", "link to somebody else's file DIR/real", 4_000_001, func(d, p string) error {
			return errors.Join(os.WriteFile(d+"/real", []byte("a: b\n"), 0o644), os.Symlink("real", p))
		}},
		{"a link to nothing", "no such file or directory", uint32(os.Geteuid()), func(_, p string) error { return os.Symlink("real", p) }},
		{"a file that somebody is writing", ErrBusy.Error(), uint32(os.Geteuid()), func(_, p string) error {
			f, err := claim(fsys.OS{}, aside(p))
			if err == nil {
				t.Cleanup(func() { f.Close() })
			}
			return errors.Join(err, os.WriteFile(p, []byte("a: b\n"), 0o644))
		}},
	} {
		dir := tempDir(t)
		path := filepath.Join(dir, "aliases")
		if err := c.make(dir, path); err != nil {
			t.Fatal(err)
		}
		changed, err := editor{fsys.OS{}, c.uid, func(time.Duration) {}}.edit(path, false, func(string) (string, error) { return "x: y\n", nil })
		if changed || err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), c.want) {
			t.Errorf("%s: %v, %v", c.name, changed, err)
		}
		if text, err := os.ReadFile(path); err == nil && !strings.HasPrefix(string(text), "a: b") {
			t.Errorf("%s: %q", c.name, text)
		}
	}
}

func TestALinkToOnesOwnFileStays(t *testing.T) {
	dir := tempDir(t)
	write(t, dir, "real", "a: b\n")
	link := filepath.Join(dir, "aliases")
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	if changed, err := Add(link, "a", []string{"c"}); !changed || err != nil {
		t.Fatal(changed, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "real"))
	info, linkErr := os.Lstat(link)
	if err = errors.Join(err, linkErr); err != nil || string(text) != "a: b, c\n" || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("%q, %v", text, err)
	}
}

// Somebody saves the file with an editor that knows nothing of our lock.
func TestAFileThatOthersChangeMeanwhileStays(t *testing.T) {
	dir := tempDir(t)
	path := write(t, dir, "aliases", "a: b\n")
	changed, err := here().edit(path, false, func(string) (string, error) {
		write(t, dir, "aliases", "a: b, more\n")
		return "a: c\n", nil
	})
	if text, _ := os.ReadFile(path); changed || !errors.Is(err, ErrBusy) || string(text) != "a: b, more\n" {
		t.Errorf("%v, %v, %q", changed, err, text)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	changed, err = here().edit(path, true, func(string) (string, error) {
		write(t, dir, "aliases", "a: b\n")
		return "a: c\n", nil
	})
	if changed || !errors.Is(err, ErrBusy) {
		t.Errorf("a file that was missing: %v, %v", changed, err)
	}
}

// Whatever operation fails, the file is the old one or the new one, whole.
func TestEditFaults(t *testing.T) {
	dir := tempDir(t)
	path := write(t, dir, "aliases", "a: b\n")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, cause := range []error{syscall.EIO, fsys.ErrShort} {
		for n := 1; ; n++ {
			if err := os.WriteFile(path, []byte("a: b\n"), 0o640); err != nil {
				t.Fatal(err)
			}
			faulty := fsys.NewFaulty(unsynced{})
			faulty.FailAt(n, 1, cause, nil)
			changed, err := editor{faulty, uint32(os.Geteuid()), func(time.Duration) {}}.edit(path, false, func(text string) (string, error) { return addTo(text, "a", []string{"c"}) })
			text, readErr := os.ReadFile(path)
			info, statErr := os.Stat(path)
			if errors.Join(readErr, statErr) != nil || info.Mode().Perm() != 0o640 || !slices.Contains([]string{"a: b\n", "a: b, c\n"}, string(text)) ||
				changed != (string(text) == "a: b, c\n") {
				t.Fatalf("fault %d: %v, %v, %q", n, changed, err, text)
			}
			if !faulty.Struck() {
				if err != nil || n < 8 {
					t.Errorf("after %d faults: %v", n-1, err)
				}
				break
			}
			if op := faulty.Ops()[n-1].Name; err == nil && op != "close" {
				t.Errorf("fault %d, %s: nothing is said", n, op)
			}
			if _, err := os.Lstat(aside(path)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("fault %d: %v", n, err)
			}
		}
	}
}

// What was added is there, what was taken is not, and all else is as it was.
func FuzzEdit(f *testing.F) {
	f.Add("# x\na: b,\n # y\n c\nd: e\\\n, f\n", "a", "c", "b")
	f.Add("a: \"|x, y\", z\r\n", "a b", "|p, q", "z")
	f.Add("a b\na:\n :x\n", "a", "b", "")
	f.Fuzz(func(t *testing.T, text, name, member, gone string) {
		before := parse("", text, 0)
		if after, err := addTo(text, name, []string{member}); err == nil {
			_, m, err := spellMember(member)
			if err != nil {
				t.Fatal(err)
			}
			is := parse("", after, 0)
			l, ok := is.entries[fold(name)]
			if !ok || !slices.ContainsFunc(is.entry(name, l).Members, func(h Member) bool { return sameMember(h, m) }) {
				t.Fatalf("%q + %q: %q has become %q", name, member, text, after)
			}
			others(t, before, is, fold(name))
			if again, err := addTo(after, name, []string{member}); again != after || err != nil {
				t.Fatalf("once more: %q, %v", again, err)
			}
		}
		if after, err := takeFrom(text, name, []string{gone}); err == nil {
			others(t, before, parse("", after, 0), fold(name))
			if again, err := takeFrom(after, name, []string{gone}); err == nil {
				t.Fatalf("%q - %q: %q has become %q and %q", name, gone, text, after, again)
			}
		}
		if after, err := takeFrom(text, name, nil); err == nil {
			is := parse("", after, 0)
			others(t, before, is, fold(name))
			if _, ok := is.entries[fold(name)]; ok {
				t.Fatalf("%q is left of %q: %q", name, text, after)
			}
		}
	})
}

func others(t *testing.T, was, is *table, name string) {
	t.Helper()
	for other, l := range was.entries {
		k, ok := is.entries[other]
		if other != name && (!ok || !slices.EqualFunc(was.entry(other, l).Members, is.entry(other, k).Members, sameMember)) {
			t.Fatalf("%q has changed", other)
		}
	}
	for other := range is.entries {
		if _, ok := was.entries[other]; !ok && other != name {
			t.Fatalf("%q is new", other)
		}
	}
}

// A file that the administrator has put beside is not ours to remove.
func TestOnlyWhatACrashHasLeftIsRemoved(t *testing.T) {
	dir := tempDir(t)
	path := write(t, dir, "aliases", "a: b\n")
	mine := write(t, dir, "aliases.new", "a: c\n")
	write(t, dir, filepath.Base(aside(path)), "half")
	if changed, err := Add(path, "a", []string{"c"}); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if text, err := os.ReadFile(mine); err != nil || string(text) != "a: c\n" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Lstat(aside(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestWhoEditsAtTheSameTimeIsWaitedFor(t *testing.T) {
	path := write(t, tempDir(t), "aliases", "a: b\n")
	f, err := claim(fsys.OS{}, aside(path))
	if err != nil {
		t.Fatal(err)
	}
	turns := 0
	e := editor{fsys.OS{}, uint32(os.Geteuid()), func(time.Duration) {
		if turns++; turns == 3 {
			f.Close()
		}
	}}
	if changed, err := e.edit(path, false, func(string) (string, error) { return "a: c\n", nil }); !changed || err != nil || turns != 3 {
		t.Errorf("%v, %v after %d turns", changed, err, turns)
	}
}

// What a machine that stops has left of an edit that was done is the new text.
func TestAnEditIsDurable(t *testing.T) {
	faulty := fsys.NewFaulty(unsynced{})
	path := write(t, tempDir(t), "aliases", "a: b\n")
	e := editor{faulty, uint32(os.Geteuid()), func(time.Duration) {}}
	if changed, err := e.edit(path, false, func(string) (string, error) { return "a: c\n", nil }); !changed || err != nil {
		t.Fatal(changed, err)
	}
	var order []string
	for _, op := range faulty.Ops() {
		if slices.Contains([]string{"write", "fsync", "replace", "syncdir"}, op.Name) {
			order = append(order, op.Name)
		}
	}
	if got := strings.Join(order, " "); got != "write fsync replace syncdir" {
		t.Errorf("%s", got)
	}
}
