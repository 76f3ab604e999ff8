package route

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestPasswd(t *testing.T) {
	uid := os.Getuid()
	path := filepath.Join(t.TempDir(), "passwd")
	text := "root:x:0:0:root:/root:/bin/sh\n" +
		"alice:x:" + strconv.Itoa(uid+1) + ":20:A:/home/alice:/bin/sh\n" +
		"alice:x:7:7:second:/:/bin/sh\n" +
		"+nis:x:8:8::/:\nshort:x:1\nbad:x:-1:1::/:\n../x:x:9:9::/:\n..:x:9:9::/:\n:x:9:9::/:\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := NewPasswd(path)
	if u, ok, err := p.Lookup("alice"); !ok || err != nil || u != (User{"alice", uid + 1, 20, "/home/alice"}) {
		t.Errorf("alice: %v, %v, %v", u, ok, err)
	}
	for _, name := range []string{"Alice", "+nis", "short", "bad", "../x", "..", ""} {
		if u, ok, err := p.Lookup(name); ok || err != nil {
			t.Errorf("%q: %v, %v", name, u, err)
		}
	}
	if err := os.WriteFile(path, []byte(text+"new:x:12:12::/home/new:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := p.Lookup("new"); !ok || err != nil {
		t.Errorf("a user added later: %v, %v", ok, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, []byte(text+"newer:x:13:13::/home/newer:\n"), 0o600), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := p.Lookup("newer"); !ok || err != nil {
		t.Errorf("a user added at the same moment: %v, %v", ok, err)
	}
	if _, _, err := NewPasswd(path + ".none").Lookup("alice"); err == nil {
		t.Error("a missing file is an empty one")
	}
}

func TestCaller(t *testing.T) {
	uid := strconv.Itoa(os.Getuid())
	for _, c := range []struct{ name, passwd, logname, want string }{
		{"the user of this number", "me:x:" + uid + ":1::/home/me:\n", "other", "me"},
		{"of several, the one logged in", "a:x:" + uid + ":1::/a:\nb:x:" + uid + ":1::/b:\n", "b", "b"},
		{"of several, the first in order", "b:x:" + uid + ":1::/b:\na:x:" + uid + ":1::/a:\n", "", "a"},
		{"unknown: as the environment says", "x:x:4000000000:1::/x:\n", "someone", "someone"},
		{"unknown: nobody takes another's name", "x:x:4000000000:1::/x:\n", "x", uid},
		{"unknown: a path is no name", "", "../../etc", uid},
		{"unknown and no environment", "", "", uid},
	} {
		path := filepath.Join(t.TempDir(), "passwd")
		if err := os.WriteFile(path, []byte(c.passwd), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("LOGNAME", c.logname)
		t.Setenv("USER", "")
		if u, err := NewPasswd(path).Caller(); err != nil || u.Name != c.want || u.UID != os.Getuid() {
			t.Errorf("%s: %v, %v", c.name, u, err)
		}
	}
}

func FuzzParsePasswd(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:\n")
	f.Add("+::::::\n/x:x:1:1::/:\n\x00:x:1:1::/:")
	f.Fuzz(func(t *testing.T, text string) {
		users, _ := parsePasswd(strings.NewReader(text))
		for name, u := range users {
			if name != u.Name || name == "" || strings.ContainsAny(name, "/\x00\n:") || u.UID < 0 || u.GID < 0 {
				t.Fatalf("%q: %+v", name, u)
			}
		}
	})
}
