package aliases

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

func TestAFileThatCannotBeReadHidesNobody(t *testing.T) {
	for _, c := range []struct {
		name, want string
		make       func(path string) error
	}{
		{"a file that is not there", "none", func(string) error { return nil }},
		{"a directory", "error: the aliases cannot be read: read F: not a regular file", func(p string) error { return os.Mkdir(p, 0o755) }},
		{"a FIFO", "error: the aliases cannot be read: read F: not a regular file", func(p string) error { return syscall.Mkfifo(p, 0o644) }},
		{"a file that everybody may write", "error: the aliases cannot be read: read F: everybody may write it",
			func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o644), os.Chmod(p, 0o646)) }},
		{"a file that is no text", "error: the aliases cannot be read: F: not text: line 2 has a zero byte",
			func(p string) error { return os.WriteFile(p, []byte("a: b\nx\x00y"), 0o644) }},
		{"a file that is too long", "error: the aliases cannot be read: F: longer than 67108864 bytes",
			func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o644), os.Truncate(p, maxFile+1)) }},
		{"a link to itself", "error: the aliases cannot be read: stat F: too many levels of symbolic links",
			func(p string) error { return os.Symlink(p, p) }},
		{"a link to a file", "bob", func(p string) error {
			return errors.Join(os.WriteFile(p+"2", []byte("a: bob\n"), 0o644), os.Symlink(p+"2", p))
		}},
		{"a link to nothing", "error: the aliases cannot be read: stat F: no such file or directory", func(p string) error { return os.Symlink(p+"2", p) }},
		{"a file of which there is only the index", "error: the aliases cannot be read: stat F: no such file or directory",
			func(p string) error { return os.WriteFile(p+IndexSuffix, nil, 0o644) }},
	} {
		path := filepath.Join(t.TempDir(), "aliases")
		if err := c.make(path); err != nil {
			t.Fatal(err)
		}
		d := Open([]string{path}, Options{})
		for range 2 {
			if got := strings.ReplaceAll(lookup(d, "a"), path, "F"); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
		if _, _, err := d.Lookup("a"); err != nil && status.From(err).Class() != status.Temporary {
			t.Errorf("%s: %v is not temporary", c.name, err)
		}
	}
}

func TestAChangedFileIsReadAgain(t *testing.T) {
	dir := tempDir(t)
	path := filepath.Join(dir, "aliases")
	d := Open([]string{path}, Options{})
	check := func(what, want string) {
		t.Helper()
		if got := lookup(d, "a"); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	check("no file", "none")
	write(t, dir, "aliases", "a: one")
	check("a new file", "one")
	write(t, dir, "aliases", "a: two") // as long, and perhaps within the same tick
	check("another text", "two")
	if err := os.Rename(write(t, dir, "new", "a: six"), path); err != nil {
		t.Fatal(err)
	}
	check("another file", "six")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("no file any more", "error: the aliases cannot be read: stat "+path+": no such file or directory")
}

func TestAnUnchangedFileIsNotReadAgain(t *testing.T) {
	f := newFile(write(t, tempDir(t), "aliases", "a: one"), nil)
	first, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.stat()
	if err != nil {
		t.Fatal(err)
	}
	f.stamp = st // as if the change had been long ago
	if again, err := f.load(); again != first || err != nil {
		t.Errorf("%p, %v; was %p", again, err, first)
	}
	f.stamp.Changed = f.stamp.Changed.Add(-time.Second)
	if again, err := f.load(); again == first || err != nil {
		t.Errorf("another time of change: %p, %v; was %p", again, err, first)
	}
}

func TestWhatATextIsTakenFor(t *testing.T) {
	f := newFile(write(t, tempDir(t), "aliases", "a: one"), nil)
	if _, err := f.load(); err != nil || f.stamp != (fsys.Info{}) {
		t.Errorf("changed a moment ago: %v, stamp %v", err, f.stamp)
	}
	once := true
	f.clock = func() time.Time { // between a look at the file and its reading
		if !once {
			return time.Now().Add(time.Hour)
		}
		once = false
		if err := os.Chmod(f.name, 0o600); err != nil {
			t.Fatal(err)
		}
		return time.Now().Add(time.Hour)
	}
	src, err := f.load()
	st, statErr := f.stat()
	if err := errors.Join(err, statErr); err != nil || f.stamp != st || !src.about().secret {
		t.Errorf("changed while it was read: %v, stamp %v, secret %v", err, f.stamp, src.about().secret)
	}
}

func TestIncludedFiles(t *testing.T) {
	dir := tempDir(t)
	list := func(name, text string) string { return write(t, dir, name, text) }
	include := func(path string) string { return "error: the list of recipients cannot be read: " + path }
	plain := list("plain", "# us\nann@x.example, Bob <bob@x.example>\n\n  c\n\\d\n")
	ours := list("ours", "e")
	nested := list("nested", ":include:"+ours+"\nf\n:include:"+dir+"/nested\n")
	bad := list("bad", "x y\n|rm -rf /\n/etc/passwd\n/d/\nok")
	group := list("group", "x")
	twice := list("twice", "x")
	huge := list("huge", "")
	binary := list("binary", "a\x00b")
	loose := filepath.Join(dir, "loose")
	if err := errors.Join(os.Chmod(group, 0o664), os.Link(twice, dir+"/other"), os.Symlink(ours, dir+"/link"), os.Truncate(huge, maxInclude+1),
		syscall.Mkfifo(dir+"/fifo", 0o644), os.Mkdir(loose, 0o755), os.Chmod(loose, 0o775), os.Symlink(loose, dir+"/way"), os.Mkdir(loose+"/in", 0o755),
		os.Symlink(loose+"/in", dir+"/deep"), os.WriteFile(loose+"/in/list", nil, 0o644),
		os.WriteFile(loose+"/list", nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, path, want string }{
		{"a list", plain, `ann@x.example; bob@x.example (Bob); c9; \d`},
		{"lists inside each other, and themselves", nested, "e; f"},
		{"commands and files", bad, "error x y; error rm -rf /; error /etc/passwd; error /d; ok"},
		{"no such file", dir + "/none", include("open D/none: no such file or directory")},
		{"no such directory", dir + "/none/list", include("lstat D/none: no such file or directory")},
		{"a link", dir + "/link", include("open D/link: too many levels of symbolic links")},
		{"a FIFO", dir + "/fifo", include("D/fifo: not a regular file")},
		{"a file that its group may write", group, include("D/group: its group or everybody may write it")},
		{"a file of two names", twice, include("D/twice: it has more than one name")},
		{"a file that is too long", huge, include("D/huge: longer than 16777216 bytes")},
		{"a file that is no text", binary, include("D/binary: not text: it has a zero byte")},
		{"a directory that its group may write", loose + "/list", include("D/loose/list: the group or everybody may write directory D/loose")},
		{"a link to below a loose directory", dir + "/deep/list", include("D/deep/list: the group or everybody may write directory D/loose")},
		{"a way through a link", dir + "/way/list", include("D/way/list: the group or everybody may write directory D/way")},
	} {
		d := open(t, "c: c9\na: :include:"+c.path+"\n")
		if got := strings.ReplaceAll(expand(d, "a"), dir, "D"); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWhoseIncludedFilesCount(t *testing.T) {
	for _, c := range []struct {
		name       string
		uid, owner uint32
		good       bool
	}{{"the aliases' owner's", 1000, 1000, true}, {"root's", 0, 1000, true}, {"another user's", 1001, 1000, false}, {"a user's for root", 1000, 0, false}} {
		err := suspicious(fsys.Info{Regular: true, Links: 1, Mode: 0o644, UID: c.uid}, c.owner)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Whatever operation fails, the list is not taken for shorter than it is.
func TestIncludeFaults(t *testing.T) {
	dir := tempDir(t)
	d := open(t, "a: :include:"+write(t, dir, "list", "b\nc\n"))
	faulty := fsys.NewFaulty(fsys.OS{})
	d.fs = faulty
	for n := 1; ; n++ {
		faulty.FailAt(n, 1, syscall.EIO, func(op fsys.Op) bool { return op.Name != "close" })
		got := expand(d, "a")
		if !faulty.Struck() {
			if got != "b; c" || n < 3 {
				t.Errorf("after %d faults: %q", n-1, got)
			}
			return
		}
		if !strings.HasPrefix(got, "error: ") {
			t.Errorf("fault %d: %q", n, got)
		}
	}
}

func TestListsAndPrivacy(t *testing.T) {
	dir := tempDir(t)
	open1, secret := write(t, dir, "open", "x, y\n"), write(t, dir, "secret", "x\n")
	inner := write(t, dir, "inner", ":include:"+secret)
	if err := os.Chmod(secret, 0o640); err != nil {
		t.Fatal(err)
	}
	d := open(t, "one: b\ntwo: b, c\nowned: b\nowner-owned: c\nnone: :include:"+dir+"/none\nb: z\nboth: :include:"+open1+", :include:"+open1+
		", b\nopen: :include:"+open1+"\nsecret: :include:"+secret+"\ninner: :include:"+inner+"\n")
	for _, c := range []struct {
		name          string
		list, private bool
		members       string
	}{
		{"one", false, false, "b"},
		{"two", true, false, "b; c"},
		{"owned", false, true, "b"},
		{"open", true, false, "x; y"},
		{"both", true, false, "x; y; b"},
		{"secret", true, true, "x"},
		{"inner", true, true, "x"},
		{"none", true, true, ""},
	} {
		e, ok, err := d.Lookup(c.name)
		members, listErr := d.Members(e)
		if !ok || err != nil || e.List() != c.list || d.Private(e) != c.private || spellAll(members) != c.members || (listErr != nil) != (c.name == "none") {
			t.Errorf("%s: %v, %v, list %v, private %v, members %q, %v", c.name, ok, err, e.List(), d.Private(e), spellAll(members), listErr)
		}
	}
}

func TestAFileThatNotEverybodyMayReadIsPrivate(t *testing.T) {
	dir := tempDir(t)
	open1, secret := write(t, dir, "open", "one: b\nlist: b, c\n"), write(t, dir, "secret", "away: x@far.example\nteam: b, c\n")
	chmod := func(mode os.FileMode) {
		if err := os.Chmod(secret, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(0o640)
	d := Open([]string{open1, secret}, testOptions)
	private := func() string {
		var names []string
		for _, name := range []string{"one", "list", "away", "team"} {
			e, ok, err := d.Lookup(name)
			if !ok || err != nil {
				t.Fatal(name, ok, err)
			}
			if d.Private(e) {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	if got := private(); got != "away team" {
		t.Errorf("private: %s", got)
	}
	chmod(0o644)
	if got := private(); got != "" {
		t.Errorf("private, though everybody may read it: %s", got)
	}
	chmod(0o600)
	if got := private(); got != "away team" {
		t.Errorf("private once more: %s", got)
	}
}
