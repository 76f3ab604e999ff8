package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postrider/internal/address"
	"postrider/internal/fsys"
	"postrider/internal/status"
)

// safeHome makes a home that nobody else can write, nor any directory above it.
func safeHome(t *testing.T) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "alice")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	return home
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// plainAlice is a user with a shell, who is not root whoever runs the tests.
func plainAlice(home string) User {
	return User{Name: "alice", Home: home, UID: max(os.Geteuid(), 1)}
}

func forwardAgent(t *testing.T) Agent {
	t.Helper()
	shells := filepath.Join(t.TempDir(), "shells")
	put(t, shells, "# shells\n/bin/sh\n  /bin/bash \n", 0o644)
	return Agent{Shells: shells}
}

func TestReadForward(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       string // members, separated by blanks
		note       string
	}{
		{"one address", "bob@x.test\n", "bob@x.test", ""},
		{"several, on lines and between commas", "a@x.test, b@x.test\n# no\n\nc@x.test", "a@x.test b@x.test c@x.test", ""},
		{"a copy for the mailbox", "\\alice, a@x.test", `\alice a@x.test`, ""},
		{"each once", "a@x.test\na@x.test", "a@x.test", ""},
		{"a full name", "Bob <b@x.test>", "b@x.test", ""},
		{"a command, a file and a Maildir", "\"|vacation alice\", /m/box\n/m/dir/", "|vacation alice /m/box /m/dir/", ""},
		{"a command with a comma", `"|prog a,b"`, "|prog a,b", ""},
		{"nothing", "", "", ""},
		{"addresses that look like a command and a path", "\"|id\"@x.test, \"/x\"@x.test, a@x.test; |b", `"|id"@x.test "/x"@x.test \alice`, ".forward:1: "},
		{"comments only", "# a@x.test\n", "", ""},
		{"what nobody understands stands for the mailbox", "a@@x\nb@x.test", `\alice b@x.test`, ".forward:1: "},
		{"an open quote", "\"|prog\nb@x.test", `\alice b@x.test`, "does not end"},
		{"a control character", "|prog\x01", `\alice`, "control character"},
		{"a member that is too long", "|" + strings.Repeat("x", 1000), `\alice`, "longer than 900 bytes"},
		{"a zero byte", "a@x.test\x00", "!", "not text"},
		{"too many", strings.Repeat("x", 0) + manyMembers(1001), "!", "more than 1000 recipients"},
		{"as many as may be", manyMembers(1000), "1000", ""},
		{"too long", strings.Repeat("#\n", maxForward/2+1), "!", "longer than 65536 bytes"},
		{"an included file", ":include:HOME/list\nb@x.test", `a@x.test |p b@x.test`, ""},
		{"one that is not safe", ":include:HOME/open\nb@x.test", `\alice b@x.test`, "everybody may write"},
		{"one that includes itself", ":include:HOME/self", "s@x.test", ""},
	} {
		home := safeHome(t)
		put(t, filepath.Join(home, "list"), "a@x.test\n|p\n", 0o644)
		put(t, filepath.Join(home, "open"), "a@x.test\n", 0o666)
		put(t, filepath.Join(home, "self"), "s@x.test, :include:"+home+"/self", 0o644)
		put(t, filepath.Join(home, ".forward"), strings.ReplaceAll(c.text, "HOME", home), 0o644)
		u := plainAlice(home)
		if os.Geteuid() == 0 { // files are root's, and that is allowed
			u.UID = 12345
			os.Chown(home, 12345, -1)
		}
		f, err := forwardAgent(t).ReadForward(u, "")
		got := strings.Join(f.Members, " ")
		switch {
		case len(f.Members) > 100:
			got = fmt.Sprint(len(f.Members))
		case err == nil && f.Path == "":
			got = "!"
		}
		notes := strings.Join(f.Notes, "; ")
		if err != nil || got != c.want || (c.note == "") != (notes == "") || !strings.Contains(notes, c.note) {
			t.Errorf("%s: %q, %v, notes %q", c.name, got, err, notes)
		}
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "u%d@x.test\n", i)
	}
	return b.String()
}

func TestForwardsThatAreNotTrusted(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(path string) error
		note string
	}{
		{"its group may write it", func(p string) error { return evil(p, 0o664) }, "its group or everybody may write it"},
		{"everybody may write it", func(p string) error { return evil(p, 0o646) }, "its group or everybody may write it"},
		{"a link", func(p string) error { return errors.Join(evil(p+"x", 0o644), os.Symlink(p+"x", p)) }, "not a regular file"},
		{"a link to nowhere", func(p string) error { return os.Symlink("none", p) }, "not a regular file"},
		{"another name of it", func(p string) error { return errors.Join(evil(p, 0o644), os.Link(p, p+"x")) }, "more than one name"},
		{"a pipe", func(p string) error { return syscall.Mkfifo(p, 0o644) }, "not a regular file"},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o755) }, "not a regular file"},
		{"a home that everybody may write", func(p string) error { return errors.Join(evil(p, 0o644), os.Chmod(filepath.Dir(p), 0o777)) }, "everybody may write directory"},
		{"a directory above that everybody may write", func(p string) error {
			return errors.Join(evil(p, 0o644), os.Chmod(filepath.Dir(filepath.Dir(p)), 0o777))
		}, "everybody may write directory"},
	} {
		home := safeHome(t)
		if err := c.make(filepath.Join(home, ".forward")); err != nil {
			t.Fatal(err)
		}
		f, err := forwardAgent(t).ReadForward(me(home), "")
		if err != nil || f.Path != "" || len(f.Members) > 0 || len(f.Notes) != 1 || !strings.Contains(f.Notes[0], c.note) {
			t.Errorf("%s: %+v, %v", c.name, f, err)
		}
	}
}

func evil(path string, mode os.FileMode) error {
	return errors.Join(os.WriteFile(path, []byte("evil@x.test\n"), mode), os.Chmod(path, mode))
}

func TestFewNotesAreMade(t *testing.T) {
	home := safeHome(t)
	put(t, home+"/.forward", strings.Repeat("b@@\n", 500), 0o600)
	f, err := forwardAgent(t).ReadForward(plainAlice(home), "")
	if err != nil || len(f.Notes) != MaxNotes || f.Notes[MaxNotes-1] != "and more of the kind" {
		t.Errorf("%q, %v", f.Notes, err)
	}
}

func TestForwardOfSomebodyElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can give files away; the rule is tested with a user that we are not")
	}
	home := safeHome(t)
	put(t, filepath.Join(home, ".forward"), "evil@x.test\n", 0o644)
	u := me(home)
	if os.Geteuid() == 0 {
		os.Chown(filepath.Join(home, ".forward"), 12346, -1)
	} else {
		u.UID++
	}
	f, err := forwardAgent(t).ReadForward(u, "")
	if err != nil || f.Path != "" || len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "belongs neither") {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestForwardCandidates(t *testing.T) {
	for _, c := range []struct{ extension, files, want string }{
		{"", ".forward", ".forward"},
		{"lists", ".forward", ".forward"},
		{"Lists", ".forward .forward+lists", ".forward+lists"},
		{"", ".forward+lists", ""},
		{"../x", ".forward", ".forward"},
		{"a/b", ".forward", ".forward"},
		{"..", ".forward ", ".forward"},
		{"a\x00", ".forward", ".forward"},
		{strings.Repeat("x", 65), ".forward", ".forward"},
	} {
		home := safeHome(t)
		for _, name := range strings.Fields(c.files) {
			put(t, filepath.Join(home, name), "a@x.test", 0o644)
		}
		f, err := forwardAgent(t).ReadForward(me(home), c.extension)
		if err != nil || strings.TrimPrefix(f.Path, home+"/") != c.want {
			t.Errorf("%q: %q, %v", c.extension, f.Path, err)
		}
	}
}

func TestCommandsAndFilesNeedAShellAndAreNotForRoot(t *testing.T) {
	home := safeHome(t)
	put(t, filepath.Join(home, ".forward"), "|x\n/f\n/d/\n:include:"+home+"/list\nb@x.test", 0o644)
	put(t, filepath.Join(home, "list"), "c@x.test\n", 0o644)
	os.Chown(home, 12345, -1)
	for _, c := range []struct {
		name string
		u    User
		want string
	}{
		{"a user with a shell", User{Shell: "/bin/bash", UID: 12345}, `|x /f /d/ c@x.test b@x.test`},
		{"one with the usual shell", User{UID: 12345}, `|x /f /d/ c@x.test b@x.test`},
		{"one who may not log in", User{Shell: "/usr/sbin/nologin", UID: 12345}, `\alice c@x.test b@x.test`},
		{"root", User{Shell: "/bin/sh", UID: 0}, `\alice b@x.test`},
	} {
		if os.Geteuid() != 0 && c.u.UID != 0 {
			c.u.UID = os.Geteuid()
		} else if c.u.UID == 0 {
			os.Chown(home, 0, -1)
		}
		if os.Geteuid() != 0 && c.u.UID == 0 {
			continue // somebody else's files: root's are not to be had
		}
		c.u.Name, c.u.Home = "alice", home
		f, err := forwardAgent(t).ReadForward(c.u, "")
		if got := strings.Join(f.Members, " "); err != nil || got != c.want || (len(f.Notes) > 0) != strings.HasPrefix(got, `\`) {
			t.Errorf("%s: %q, %v, %q", c.name, got, err, f.Notes)
		}
	}
}

func TestWithoutTheFileOfShells(t *testing.T) {
	a := Agent{Shells: "/nonexistent/shells"}
	for shell, want := range map[string]bool{"": true, "/bin/sh": true, "/bin/csh": true, "/bin/false": false} {
		if a.hasShell(User{Shell: shell}) != want {
			t.Errorf("%q", shell)
		}
	}
}

// A home that is not there may be on a disk that is not there, with a .forward.
func TestHomesThatAreNotThere(t *testing.T) {
	a := forwardAgent(t)
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "", 0o644)
	for _, home := range []string{"/nonexistent/home", file, file + "/below"} {
		_, err := a.ReadForward(me(home), "")
		if s := status.From(err); s == nil || s.Class() != status.Temporary {
			t.Errorf("%s: %v", home, err)
		}
	}
	for _, home := range []string{"", "/", "/nonexistent", "/dev/null", "relative"} {
		if f, err := a.ReadForward(me(home), ""); err != nil || f.Path != "" {
			t.Errorf("%q: %+v, %v", home, f, err)
		}
	}
}

func TestAMissingIncludeIsTemporary(t *testing.T) {
	home := safeHome(t)
	put(t, filepath.Join(home, ".forward"), "a@x.test\n:include:/nonexistent/list", 0o644)
	u := plainAlice(home)
	if os.Geteuid() == 0 {
		u.UID = 12345
		os.Chown(home, 12345, -1)
	}
	_, err := forwardAgent(t).ReadForward(u, "")
	if s := status.From(err); s == nil || s.Class() != status.Temporary {
		t.Errorf("%v", err)
	}
}

// A disk that fails gives no wrong answer: the same, or none for now.
func TestForwardFaults(t *testing.T) {
	home := safeHome(t)
	put(t, filepath.Join(home, ".forward"), "a@x.test", 0o644)
	faulty := fsys.NewFaulty(fsys.OS{})
	a := forwardAgent(t)
	a.FS = faulty
	for n := 1; ; n++ {
		faulty.FailAt(n, 1, syscall.EIO, nil)
		f, err := a.ReadForward(me(home), "")
		if !faulty.Struck() {
			break
		}
		if err == nil && strings.Join(f.Members, " ") != "a@x.test" {
			t.Errorf("operation %d: %+v", n, f)
		}
	}
}

func TestMailbox(t *testing.T) {
	for name, want := range map[string]string{"alice": `\alice`, "a.b": `\a.b`, `EX\al`: `\"EX\\al"`, "a@b": `\"a@b"`} {
		if got := (User{Name: name}).Mailbox(); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Whatever stands in a .forward, its members are few, short, in one line, and readable again.
func FuzzForward(f *testing.F) {
	for _, s := range []string{"", "a@x.test, \\alice", "|p \"a\"\n/f/\n:include:/x", "\"|a, b\"", "a@@", "\x00", "|\\\n\"", "//", "| /", "/", " ;/", "\"|x\"@y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxForward || strings.Contains(text, ":include:") || strings.Contains(strings.ToLower(text), ":include:") {
			return
		}
		r := forwardReader{fs: fsys.OS{}, u: User{Name: "alice", UID: 1000, Shell: "/bin/sh"}, trusted: true, seen: map[string]bool{}}
		if err := r.list("f", text); err != nil && !errors.Is(err, errTooMany) {
			t.Fatal(err)
		}
		if len(r.result.Members) > maxForwards {
			t.Fatal("too many")
		}
		for _, m := range r.result.Members {
			if m == "" || len(m) > maxSpelling || strings.ContainsAny(m, "\r\n\x00") {
				t.Fatalf("member %q", m)
			}
			if m[0] != '|' && m[0] != '/' {
				if _, err := address.Parse(strings.TrimPrefix(m, `\`)); err != nil {
					t.Fatalf("%q: %v", m, err)
				}
				continue
			}
			if again, err := ParseMember(m); err != nil || Spell(again) != m {
				t.Fatalf("%q is read as %+v, %v", m, again, err)
			}
		}
	})
}
