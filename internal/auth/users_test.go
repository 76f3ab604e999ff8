package auth

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postrider/internal/config"
)

// Hashes that take no time.
const (
	quick      = "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"                                         // password
	quickKeys  = "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=" // pencil
	quickCrypt = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"                                                                           // U*U*
)

// clock is a time that tests set.
type clock struct{ t time.Time }

func newClock() *clock { return &clock{time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time       { return c.t }
func (c *clock) pass(d time.Duration) { c.t = c.t.Add(d) }
func (c *clock) options() Options     { return Options{Now: c.now} }

// usersFile writes a file of users.
func usersFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	writeUsers(t, path, lines...)
	return path
}

func writeUsers(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func withUsers(t *testing.T, lines ...string) *Authenticator {
	t.Helper()
	a, err := New(config.Auth{File: usersFile(t, lines...)}, false, newClock().options())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestUsersAreRead(t *testing.T) {
	u, err := parseUsers("users", []byte("# people\r\n\nalice:"+quick+":"+quickKeys+"\nbob@here.example:"+quickCrypt+
		":1000:1000::/home/bob:/bin/sh:userdb_x=y\ncarl:*\ndora:!"+quickCrypt+"\nj\u00fcrgen:"+quickKeys))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"alice": "ARGON2ID and keys", "bob@here.example": "BLF-CRYPT", "carl": "none", "dora": "none", "jürgen": "SCRAM-SHA-256 and keys",
	} {
		a := u.byName[name]
		if a == nil {
			t.Errorf("no user %s", name)
			continue
		}
		got := "none"
		if a.password != nil {
			got = a.password.scheme()
		}
		if a.keys != nil {
			got += " and keys"
		}
		if got != want {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
	if len(u.byName) != 5 {
		t.Errorf("%d users", len(u.byName))
	}
}

func TestBadLinesOfUsersAreErrors(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"a user without a hash", "alice", `user "alice" has no hash of a password; "*" stands for none`},
		{"a user with an empty hash, whom no password would be asked", "alice::1000", `user "alice" has no hash of a password; "*" stands for none`},
		{"a line without a user", ":" + quick, "the line does not begin with a user's name"},
		{"a user with a blank", "al ice:" + quick, "the line does not begin with a user's name"},
		{"a line that is indented", " alice:" + quick, "the line does not begin with a user's name"},
		{"a user with a control character", "al\x1bice:" + quick, "the line does not begin with a user's name"},
		{"a user that is not UTF-8", "al\xffice:" + quick, "the line does not begin with a user's name"},
		{"a long user", strings.Repeat("a", 256) + ":" + quick, "the line does not begin with a user's name"},
		{"a long line", "alice:" + strings.Repeat("x", maxLine), "line is longer than 4096 bytes"},
		{"a password in clear", "alice:{PLAIN}secret", `user "alice": a password in clear; only hashes are allowed`},
		{"keys that are broken", "alice:" + quick + ":{SCRAM-SHA-256}x", `user "alice": malformed keys of SCRAM`},
		{"a user in two lines", "root:*", `user "root" was in line 1 already`},
		{"a user in two spellings", "ro\u00adot:*", `user "root" was in line 1 already`},
	} {
		_, err := parseUsers("/etc/users", []byte("root:*\n# next\n"+c.line+"\n"))
		if want := "/etc/users:3: " + c.want; err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", c.name, err, want)
		}
	}
}

func TestAFileThatCannotBeUsedIsAnErrorAtTheStart(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxUsers+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		dir:                        "not a regular file",
		huge:                       "larger than 64 MiB",
		usersFile(t, "alice:x"):    "users:1: user \"alice\": malformed hash",
	} {
		if _, err := New(config.Auth{File: path}, false, Options{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

func TestAChangedFileIsReadAgain(t *testing.T) {
	path := usersFile(t, "alice:"+quick)
	clk := newClock()
	var reports []string
	a, err := New(config.Auth{File: path}, false, Options{Now: clk.now, Report: func(err error) { reports = append(reports, err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	has := func(name string) bool { return a.file.current().byName[name] != nil }

	writeUsers(t, path, "bob:"+quick)
	if !has("alice") {
		t.Error("the file was looked at twice within a second")
	}
	clk.pass(lookEvery)
	if has("alice") || !has("bob") {
		t.Error("the file was not read again")
	}

	// A bad version is refused, once, and the one before stays.
	writeUsers(t, path, "carl:nonsense")
	for range 3 {
		clk.pass(lookEvery)
		if !has("bob") {
			t.Error("a bad version took the users away")
		}
	}
	if want := "the users as they were are still used: " + path + ":1: user \"carl\": malformed hash"; len(reports) != 1 || reports[0] != want {
		t.Errorf("reports %q, want %q", reports, want)
	}

	// So it is with one that is gone, and with one that comes back.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		clk.pass(lookEvery)
		if !has("bob") {
			t.Error("a missing file took the users away")
		}
	}
	if len(reports) != 2 {
		t.Errorf("reports %q", reports)
	}
	writeUsers(t, path, "dora:"+quick)
	clk.pass(lookEvery)
	if has("bob") || !has("dora") {
		t.Error("the file that came back was not read")
	}
	// A clock that was set back does not keep the file from being looked at.
	writeUsers(t, path, "erna:"+quick)
	clk.pass(-time.Hour)
	if !has("erna") {
		t.Error("the file was not read after the clock was set back")
	}
}

func TestALargeFileIsReadInLinearTime(t *testing.T) {
	read := func(n int) time.Duration {
		var text bytes.Buffer
		for i := range n {
			text.WriteString("user")
			text.WriteString(strconv.Itoa(i))
			text.WriteString(":*\n")
		}
		start := time.Now()
		u, err := parseUsers("users", text.Bytes())
		if err != nil || len(u.byName) != n {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	small, large := max(read(1_000), time.Millisecond), read(50_000)
	for range 3 { // the machine may have stalled; if time grew with the square it would be 2500 times as much
		large = min(large, read(50_000))
	}
	if large > 500*small {
		t.Errorf("50 times the users took %v instead of %v", large, small)
	}
}
