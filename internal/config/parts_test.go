package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUnits(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "5d": 5 * day, "2w": 14 * day, "1w1d1h1m1s": 8*day + time.Hour + time.Minute + time.Second,
		"90s": 90 * time.Second,
	} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v", s, got, err)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", time.Millisecond: "0s", 90 * time.Second: "1m30s", 5 * day: "5d", 7 * day: "1w", 8 * day: "8d", 14*day + time.Second: "14d1s", 4 * time.Hour: "4h",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("formatDuration(%v) = %q, want %q", d, got, want)
		}
	}
	for s, want := range map[string]Bytes{"0": 0, "1": 1, "1KiB": 1024, "1KB": 1000, "50MiB": 50 << 20, "10MB": 1e7, "2GiB": 2 << 30, "1GB": 1e9} {
		got, err := parseBytes(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("parseBytes(%q) = %d (%v), %v", s, got, got, err)
		}
	}
	for _, s := range []string{"", "m", "5", "5x", "-5m", "5m ", " 5m", "1.5h", "5m5", "9223372036854775808s"} {
		if d, err := parseDuration(s); err == nil {
			t.Errorf("parseDuration(%q) = %v", s, d)
		}
	}
	for _, s := range []string{"", "MiB", "5 MiB", "5mib", "5M", "-5", "1.5GiB", "9223372036854775808", "9007199254740993GiB"} {
		if n, err := parseBytes(s); err == nil {
			t.Errorf("parseBytes(%q) = %v", s, n)
		}
	}
}

func TestTarget(t *testing.T) {
	for u, want := range map[string]SmarthostTarget{
		"smtp://h":                           {Scheme: "smtp", Host: "h", Port: "25"},
		"smtp://h/":                          {Scheme: "smtp", Host: "h", Port: "25"},
		"smtp://192.0.2.1:2525":              {Scheme: "smtp", Host: "192.0.2.1", Port: "2525"},
		"smtp://[2001:db8::1]":               {Scheme: "smtp", Host: "2001:db8::1", Port: "25"},
		"lmtp://[::1]:2400":                  {Scheme: "lmtp", Host: "::1", Port: "2400"},
		"lmtp://h":                           {Scheme: "lmtp", Host: "h", Port: "24"},
		"submission://user@smtp.example.com": {Scheme: "submission", User: "user", Host: "smtp.example.com", Port: "587"},
		"submissions://me@ex.org@h:1":        {Scheme: "submissions", User: "me@ex.org", Host: "h", Port: "1"},
		"submissions://a%3Ab%40c@h":          {Scheme: "submissions", User: "a:b@c", Host: "h", Port: "465"},
		"smtp://MÜNCHEN.example":             {Scheme: "smtp", Host: "xn--mnchen-3ya.example", Port: "25"},
		"lmtp+unix:/run/lmtp":                {Scheme: "lmtp+unix", Socket: "/run/lmtp"},
		"lmtp+unix:///run/lmtp":              {Scheme: "lmtp+unix", Socket: "/run/lmtp"},
	} {
		if got, ok, err := (Smarthost{URL: u}).Target(); err != nil || !ok || got != want {
			t.Errorf("%s: %+v, %v, %v", u, got, ok, err)
		}
	}
	for _, u := range []string{
		"h", "h:25", "://h", "smtp:h", "smtp:/h", "smtp://", "smtp://h:", "smtp://h:0", "smtp://h:65536", "smtp://h:x", "smtp://h/p", "smtp://h?q", "smtp://@h",
		"smtp://u%zz@h", "smtp://u%0a@h", "smtp://[h]", "smtp://[192.0.2.1]", "smtp://[::1", "smtp://::1", "smtp://a..b", "SMTP://h", "lmtp+unix://run", "lmtp+unix:", "smtp://u:p@h",
	} {
		if got, ok, err := (Smarthost{URL: u}).Target(); err == nil || ok {
			t.Errorf("%s: %+v, %v, %v", u, got, ok, err)
		}
	}
	if _, ok, err := (Smarthost{}).Target(); ok || err != nil {
		t.Errorf("none: %v, %v", ok, err)
	}
}

func TestHostname(t *testing.T) {
	for _, tt := range []struct{ name, host, hosts, mailname, hostname, origin string }{
		{"already qualified", "a.example", "192.0.2.1 a.other\n", "", "a.example", "a.example"},
		{"first name of the line", "a", "127.0.0.1 localhost\n127.0.1.1 a.example.org a\n", "", "a.example.org", "a.example.org"},
		{"short name first", "a", "127.0.1.1\ta b.example a.example.org # a.no\n", "", "a.example.org", "a.example.org"},
		{"alias of another name", "a", "192.0.2.1 b.example a\n", "", "b.example", "b.example"},
		{"not on a line of another", "a", "192.0.2.1 b.example b\n", "", "a", "a"},
		{"localhost's domain is not ours", "a", "127.0.0.1 localhost.localdomain localhost a\n", "", "a", "a"},
		{"only in a comment", "a", "# 127.0.1.1 a.example.org a\n", "", "a", "a"},
		{"folded", "A", "127.0.1.1 A.Example a\n", "", "a.example", "a.example"},
		{"origin from mailname", "a.example", "", "Example.ORG\nsecond\n", "a.example", "example.org"},
		{"wrong mailname", "a.example", "", "not a name\n", "a.example", "a.example"},
		{"no name at all", "", "", "", "localhost", "localhost"},
		{"no name that can be", "(none)", "", "", "localhost", "localhost"},
	} {
		s := testHost(t, map[string]string{"hosts": tt.hosts, "mailname": tt.mailname})
		s.hostname = func() (string, error) { return tt.host, nil }
		if c, err := s.load(""); err != nil || c.Hostname != tt.hostname || c.Origin != tt.origin {
			t.Errorf("%s: %q, %q, %v", tt.name, c.Hostname, c.Origin, err)
		}
	}
}

func TestLocate(t *testing.T) {
	home := t.TempDir()
	user := filepath.Join(home, ".config/postrider/postrider.toml")
	s := testHost(t, nil)
	env := map[string]string{"HOME": home}
	s.getenv = func(k string) string { return env[k] }
	expect := func(what, override, want string) {
		t.Helper()
		if got, err := s.locate(override); err != nil || got != want {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	expect("nothing there", "", "")
	write(t, user, "")
	expect("the user's", "", user)
	env["XDG_CONFIG_HOME"] = filepath.Join(home, "xdg")
	expect("not in XDG_CONFIG_HOME", "", "")
	env["XDG_CONFIG_HOME"] = "relative"
	expect("a relative XDG_CONFIG_HOME is ignored", "", user)
	system := write(t, filepath.Join(s.etc, "postrider/postrider.toml"), "")
	expect("the system's goes before the user's", "", system)
	env["POSTRIDER_CONFIG"] = "/env"
	expect("the environment's goes before the system's", "", "/env")
	expect("the override goes before all", "/override", "/override")
	if c, err := s.load(system); err != nil || c.User || c.Spool != Default().Spool {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestUserInstallation(t *testing.T) {
	s := testHost(t, map[string]string{"passwd": "root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/p:/bin/sh\n"})
	env := map[string]string{}
	s.getenv = func(k string) string { return env[k] }
	expect := func(what, spool, log string) {
		t.Helper()
		if c, err := s.load(""); err != nil || !c.User || c.Spool != spool || c.Log != log {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	expect("home of /etc/passwd", "/home/p/.local/state/postrider/spool", "/home/p/.local/state/postrider/log")
	env["HOME"] = "/h"
	expect("HOME", "/h/.local/state/postrider/spool", "/h/.local/state/postrider/log")
	env["XDG_STATE_HOME"] = "/s"
	expect("XDG_STATE_HOME", "/s/postrider/spool", "/s/postrider/log")

	clear(env)
	s.uid = 7
	if c, err := s.load(""); err == nil || !strings.Contains(err.Error(), "HOME is not set") {
		t.Errorf("no home: %+v, %v", c, err)
	}
	given := write(t, filepath.Join(t.TempDir(), "p"), "spool = '/a'\nlog = 'stderr'\n")
	if c, err := s.load(given); err != nil || c.Spool != "/a" || c.Log != "stderr" {
		t.Errorf("no home, and none needed: %+v, %v", c, err)
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := write(t, filepath.Join(dir, name), "")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c := Config{Path: file("conf", 0o644), Smarthost: Smarthost{PasswordFile: file("ok", 0o640)}}
	if errs := c.CheckFiles(); len(errs) != 0 {
		t.Errorf("all is well: %v", errs)
	}
	c = Config{
		Path:      file("open", 0o664),
		Smarthost: Smarthost{PasswordFile: file("secret", 0o644)},
		Listen:    []Listen{{}, {TLS: TLS{Key: file("key", 0o604)}, Auth: Auth{File: filepath.Join(dir, "none")}}},
	}
	var got []string
	for _, err := range c.CheckFiles() {
		got = append(got, strings.ReplaceAll(err.Error(), dir, "DIR"))
	}
	want := []string{
		"configuration: DIR/open is writable by others (mode 0664); run: chmod go-w DIR/open",
		"smarthost.password_file: DIR/secret is accessible by others (mode 0644); run: chmod o-rwx DIR/secret",
		"listen 2 tls.key: DIR/key is accessible by others (mode 0604); run: chmod o-rwx DIR/key",
		"listen 2 auth.file: stat DIR/none: no such file or directory",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEditDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"spol", "spool", 1}} {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("editDistance(%q, %q) = %d", tt.a, tt.b, got)
		}
	}
}
