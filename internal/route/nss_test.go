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

// The source ldap has the users ldap, alice and those whose names are in the file "more". While the file "down" is there,
// it is out of reach. In the file "all" is what it has when it is asked for everybody.
const directoryScript = `#!/bin/sh
cd DIR
from=
[ "$1" != -s ] || { from=$2; shift 2; }
echo "$#${from:+ $from:} $2" >>asked
[ "$1" = passwd ] || exit 9
[ -z "$SECRET" ] || exit 9
case $from in
systemd|none) exit 2 ;;
esac
[ ! -e down ] || exit 2
[ -n "$2" ] || exec cat all
case $2 in
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
	write("all", "ldap:*:70000:70001:L:/net/ldap:/bin/sh\n", 0o600)
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
		{"one in the directory", "ldap", User{"ldap", 70000, 70001, "/net/ldap"}, "2 ldap\n2 ldap: ldap"},
		{"once more, from memory", "ldap", User{"ldap", 70000, 70001, "/net/ldap"}, ""},
		{"one whom nobody knows", "eve", User{}, "2 eve"},
		{"once more", "eve", User{}, ""},
		{"another of an alike name", "other", User{}, "2 other"},
		{"what is no line of passwd", "garbage", User{}, "2 garbage"},
		{"a number is no name", "70000", User{}, ""},
		{"an option is none", "-s", User{}, ""},
		{"nor is a long option", "--service=files", User{}, ""},
		{"nor are words", "a b", User{}, ""},
		{"nor a command", "$(id)", User{}, ""},
		{"nor a path", "../ldap", User{}, ""},
		{"nor a line end", "ldap\nx", User{}, ""},
		{"nor nothing", "", User{}, ""},
		{"nor what is very long", strings.Repeat("x", 300), User{}, ""},
		{"a domain's user", "DOM\\user", User{}, `2 DOM\user`},
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
	if got := d.asked(); got != "2 ldap" { // the source has answered a minute ago
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
	d.nss.getent = filepath.Join(d.dir, "none")
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
		if got := len(otherSources(conf)) > 0; got != want {
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

func TestNobodyIsUnknownWhileASourceMayNotWork(t *testing.T) {
	const empty, all = "", "ldap:*:70000:70001:L:/net/ldap:/bin/sh\n"
	long := strings.Repeat("user"+strings.Repeat("x", 100)+":*:70000:70001:L:/net/ldap:/bin/sh\n", 5000)
	for _, c := range []struct {
		name, conf, all string
		steps           string // "ldap" and "eve" are asked for, "down" and "up" are the directory, and "later" comes in two minutes
		want            string // of the last
	}{
		{"Debian's default", "passwd: files systemd", empty, "eve", "unknown"},
		{"also when it is old", "passwd: compat mymachines systemd", empty, "down eve", "unknown"},
		{"one that lists its users", "passwd: files ldap", all, "eve", "unknown"},
		{"one that has very many", "passwd: files ldap", long, "eve", "unknown"},
		{"one that lists no whole line", "passwd: files ldap", strings.TrimSpace(all), "eve", "error"},
		{"one that lists nobody", "passwd: files ldap systemd", empty, "eve", "error"},
		{"one that has told of somebody", "passwd: files ldap", empty, "ldap eve", "unknown"},
		{"one that has told of somebody long ago, and does so again", "passwd: files ldap", empty, "ldap later eve", "unknown"},
		{"one that is out of reach", "passwd: files ldap", all, "down eve", "error"},
		{"one that was in reach", "passwd: files ldap", all, "ldap eve later down eve", "error"},
		{"one that is in reach again", "passwd: files ldap", all, "down eve later up eve", "unknown"},
		{"one of two that is not there", "passwd: none ldap", all, "ldap eve", "error"},
		{"one of which nothing is needed", "passwd: files ldap", empty, "down alice", "found"},
	} {
		d := newDirectory(t, c.conf)
		down := filepath.Join(d.dir, "down")
		if err := os.WriteFile(filepath.Join(d.dir, "all"), []byte(c.all), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, step := range strings.Fields(c.steps) {
			switch step {
			case "down":
				os.WriteFile(down, nil, 0o600)
			case "up":
				os.Remove(down)
			case "later":
				d.now = d.now.Add(2 * time.Minute)
			default:
				switch _, ok, err := d.Lookup(step); {
				case err != nil:
					got = "error"
				case ok:
					got = "found"
				default:
					got = "unknown"
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	d := newDirectory(t, "passwd: files ldap")
	os.WriteFile(filepath.Join(d.dir, "down"), nil, 0o600)
	for range 3 {
		if got := briefly(New(system(), nil, d.Passwd).Route(parse("eve@example.org"))); got != "refuse 451 4.3.0 the user database cannot be read" {
			t.Error(got)
		}
	}
	if got := d.asked(); got != "2 eve\n1 ldap: \n2 eve\n2 eve" && got != "2 eve\n1 ldap:\n2 eve\n2 eve" {
		t.Errorf("whether it works is asked too often: %q", got)
	}
}

func TestWhileTheSourcesCannotBeToldNobodyIsUnknown(t *testing.T) {
	d := newDirectory(t, "passwd: files")
	if err := os.Remove(d.nss.conf); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.nss.conf, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := d.Lookup("eve"); ok || err == nil {
		t.Errorf("%v, %v", ok, err)
	}
	if err := os.Remove(d.nss.conf); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := d.Lookup("eve"); ok || err != nil {
		t.Errorf("and it is not kept: %v, %v", ok, err)
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
		if len(otherSources(s)) > 0 && !strings.Contains(s, "passwd") {
			t.Fatal(s)
		}
	})
}
