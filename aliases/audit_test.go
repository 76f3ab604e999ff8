package aliases

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAudit(t *testing.T) {
	dir := tempDir(t)
	write(t, dir, "list", "bob\nx y\n|true\n")
	text := strings.ReplaceAll(`# all is well with these
a: bob, c@far.example, \ann, |true, /tmp/x
c: a, :include:DIR/list
# and not with these
d: :include:DIR/none
e: nobody1, nobody2@us.example, \nobody3, nobody4@far.example
aaaa: bbbb
bbbb: aaaa
f: one two
`, "DIR", dir) + nest(11) + "dup: nobody5\ndup: bob\n"
	path := write(t, dir, "aliases", text)
	known := func(m Member) error {
		if strings.HasPrefix(m.Address.Local(), "nobody") {
			return errors.New("there is no such user")
		}
		return nil
	}
	list, err := Open([]string{filepath.Join(dir, "missing"), path}, testOptions).Audit(known)
	var got []string
	for _, p := range list {
		got = append(got, strings.ReplaceAll(strings.TrimPrefix(p.Error(), path+": line "), dir, "DIR"))
	}
	want := `3: c: DIR/list:2: not one address: members are separated by commas, and a # begins a comment only at the start of a line
3: c: DIR/list:3: an included file may not name commands or files
5: d: the list of recipients cannot be read: open DIR/none: no such file or directory
6: warning: e: nobody1: there is no such user
6: warning: e: nobody2@us.example: there is no such user
6: warning: e: \nobody3: there is no such user
7: aaaa: aliases lead in a circle: aaaa, bbbb, aaaa
8: bbbb: aliases lead in a circle: bbbb, aaaa, bbbb
10: d1: d11: more than 10 aliases inside each other`
	if err != nil || strings.Join(got, "\n") != want {
		t.Errorf("%v\n%s\nwant\n%s", err, strings.Join(got, "\n"), want)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Open([]string{path}, testOptions).Audit(known); !errors.Is(err, ErrUnsafe) {
		t.Error(err)
	}
}

func TestIndexState(t *testing.T) {
	dir := tempDir(t)
	path := write(t, dir, "aliases", "a: b\n")
	if err := IndexState(path); !errors.Is(err, ErrNoIndex) {
		t.Error(err)
	}
	rebuild(t, path)
	if err := IndexState(path); err != nil {
		t.Error(err)
	}
	write(t, dir, "aliases", "a: c, d\n")
	if err := IndexState(path); !errors.Is(err, ErrStale) {
		t.Error(err)
	}
	if err := os.Truncate(path+IndexSuffix, 10); err != nil {
		t.Fatal(err)
	}
	if err := IndexState(path); err == nil || errors.Is(err, ErrNoIndex) || errors.Is(err, ErrStale) {
		t.Error(err)
	}
}
