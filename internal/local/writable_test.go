package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWritable(t *testing.T) {
	home := t.TempDir()
	for name, make := range map[string]func(string) error{
		"file":   func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"dir":    func(p string) error { return os.Mkdir(p, 0o700) },
		"link":   func(p string) error { return os.Symlink("dir", p) },
		"badbox": func(p string) error { return os.Symlink("file", p) },
	} {
		if err := make(filepath.Join(home, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, spec, want string }{
		{"a mailbox that can be made", "mbox:{home}/{user}", ""},
		{"one that is there", "mbox:{home}/file", ""},
		{"a Maildir that can be made", "maildir:{home}/dir/Maildir", ""},
		{"one that is there", "maildir:{home}/dir", ""},
		{"one that is a link", "maildir:{home}/link", ""},
		{"a directory for a mailbox", "mbox:{home}/dir", "is not a plain file of user"},
		{"a link for a mailbox", "mbox:{home}/badbox", "is not a plain file of user"},
		{"a mailbox without its directory", "mbox:{home}/none/box", "does not exist and cannot be made: write "},
		{"a Maildir below a file", "maildir:{home}/file/Maildir", "not a directory"},
		{"no specification", "mh:{home}/Mail", "is none of"},
	} {
		path, err := Writable(c.spec, me(home))
		if c.want == "" && (err != nil || !strings.HasPrefix(path, home)) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %q, %v", c.name, path, err)
		}
	}
	other := me(home)
	other.UID++
	if _, err := Writable("mbox:{home}/file", other); err == nil {
		t.Error("somebody else's mailbox is writable")
	}
}
