package route

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/status"
)

// directory is a name service that is a script, and counts its questions.
type directory struct {
	*Passwd
	t   *testing.T
	dir string
	now time.Time
}

const directoryScript = `#!/bin/sh
echo "$# $*" >>DIR/asked
[ -z "$SECRET" ] || exit 9
case $1 in
ldap) echo 'ldap:*:70000:70001:L:/net/ldap:/bin/sh' ;;
other) echo 'alike:*:70002:70001:L:/net/alike:/bin/sh' ;;
broken) exit 1 ;;
killed) kill -9 $$ ;;
hangs) exec sleep 60 ;;
garbage) echo garbage ;;
*) exit 2 ;;
esac
`

func newDirectory(t *testing.T, conf string) *directory {
	t.Helper()
	d := &directory{t: t, dir: t.TempDir(), now: time.Unix(1e9, 0)}
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(d.dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	d.Passwd = NewPasswd(write("passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n", 0o600))
	d.nss = newNSS(write("nsswitch.conf", conf, 0o600), write("getent", strings.ReplaceAll(directoryScript, "DIR", d.dir), 0o700))
	d.nss.now = func() time.Time { return d.now }
	t.Setenv("SECRET", "of our caller")
	return d
}

// asked is what was asked since it was asked last.
func (d *directory) asked() string {
	b, _ := os.ReadFile(filepath.Join(d.dir, "asked"))
	os.Remove(filepath.Join(d.dir, "asked"))
	return strings.TrimSpace(string(b))
}

func TestUsersOfADirectory(t *testing.T) {
	d := newDirectory(t, "passwd: files ldap\n")
	for _, c := range []struct {
		name, user string
		want       User
		asked      string
	}{
		{"one in the file", "alice", User{"alice", 1000, 1000, "/home/alice"}, ""},
		{"one in the directory", "ldap", User{"ldap", 70000, 70001, "/net/ldap"}, "1 ldap"},
		{"once more, from memory", "ldap", User{"ldap", 70000, 70001, "/net/ldap"}, ""},
		{"one whom nobody knows", "eve", User{}, "1 eve"},
		{"once more", "eve", User{}, ""},
		{"another of an alike name", "other", User{}, "1 other"},
		{"what is no line of passwd", "garbage", User{}, "1 garbage"},
		{"a number is no name", "70000", User{}, ""},
		{"an option is none", "-s", User{}, ""},
		{"nor is a long option", "--service=files", User{}, ""},
		{"nor are words", "a b", User{}, ""},
		{"nor a command", "$(id)", User{}, ""},
		{"nor a path", "../ldap", User{}, ""},
		{"nor a line end", "ldap\nx", User{}, ""},
		{"nor nothing", "", User{}, ""},
		{"nor what is very long", strings.Repeat("x", 300), User{}, ""},
		{"a domain's user", "DOM\\user", User{}, `1 DOM\user`},
	} {
		u, ok, err := d.Lookup(c.user)
		if u != c.want || ok != (c.want != User{}) || err != nil {
			t.Errorf("%s: %+v, %v, %v", c.name, u, ok, err)
		}
		if got := d.asked(); got != c.asked {
			t.Errorf("%s: asked %q, want %q", c.name, got, c.asked)
		}
	}
	d.now = d.now.Add(userTime)
	d.Lookup("ldap")
	if got := d.asked(); got != "1 ldap" {
		t.Errorf("a minute later: asked %q", got)
	}
}

func TestADirectoryThatFailsIsTemporary(t *testing.T) {
	d := newDirectory(t, "passwd: files sss")
	d.nss.limit = 50 * time.Millisecond
	for _, name := range []string{"broken", "killed", "hangs"} {
		for range 2 { // nothing is kept of it
			if _, ok, err := d.Lookup(name); ok || err == nil {
				t.Errorf("%s: %v, %v", name, ok, err)
			}
		}
		if got := len(strings.Split(d.asked(), "\n")); got != 2 {
			t.Errorf("%s: asked %d times", name, got)
		}
	}
	d.nss.command = []string{filepath.Join(d.dir, "none")}
	if _, _, err := d.Lookup("eve"); err == nil {
		t.Error("no getent: no error")
	}
	for range getentMost {
		d.nss.busy <- struct{}{}
	}
	if _, _, err := d.Lookup("eve"); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("a crowd: %v", err)
	}
	r := New(system(), nil, d.Passwd)
	if got := r.Route(parse("broken@example.org")); got.Status.Class() != status.Temporary {
		t.Errorf("%s", brief(got))
	}
}

func TestOnlyOtherSourcesAreAsked(t *testing.T) {
	for conf, want := range map[string]bool{
		"passwd: files": false, "passwd: compat": false, "passwd:\tfiles systemd": true, "passwd: sss files": true, "": false,
		"group: ldap\npasswd: files\n": false, "# passwd: ldap\npasswd: files # ldap\n": false, " passwd : files [NOTFOUND=return] ldap": true,
		"passwd: files [!UNAVAIL=return]": false, "passwd: files [NOTFOUND=return": false, "passwd: db": true, "shadow: ldap": false,
	} {
		if got := otherSources(conf); got != want {
			t.Errorf("%q: %v", conf, got)
		}
		d := newDirectory(t, conf)
		d.Lookup("eve")
		if got := d.asked() != ""; got != want {
			t.Errorf("%q: asked %v", conf, got)
		}
	}
	d := newDirectory(t, "")
	os.Remove(d.nss.conf)
	if _, ok, err := d.Lookup("ldap"); ok || err != nil || d.asked() != "" {
		t.Errorf("no nsswitch.conf: %v, %v", ok, err)
	}
	if err := os.WriteFile(d.nss.conf, []byte("passwd: files ldap"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(2 * userTime)
	if _, ok, err := d.Lookup("ldap"); !ok || err != nil {
		t.Errorf("one that is there later: %v, %v", ok, err)
	}
}

func TestTheNumberOfAnswersIsBounded(t *testing.T) {
	n := newNSS("/nonexistent", "/nonexistent")
	for i := range maxAnswers + 10 {
		n.keep(strings.Repeat("x", i%100)+string(rune(i)), answer{})
	}
	if len(n.known) > maxAnswers {
		t.Errorf("%d", len(n.known))
	}
}

func FuzzOtherSources(f *testing.F) {
	f.Add("passwd: files [NOTFOUND=return] ldap # x\n")
	f.Fuzz(func(t *testing.T, s string) {
		if otherSources(s) && !strings.Contains(s, "passwd") {
			t.Fatal(s)
		}
	})
}
