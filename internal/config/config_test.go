package config

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/status"
)

// testHost is a machine of which only a directory exists.
func testHost(t testing.TB, etc map[string]string) surroundings {
	t.Helper()
	dir := t.TempDir()
	for name, text := range etc {
		write(t, filepath.Join(dir, name), text)
	}
	env := map[string]string{"HOME": "/home/u"}
	return surroundings{
		getenv:   func(k string) string { return env[k] },
		hostname: func() (string, error) { return "host", nil },
		uid:      1000,
		etc:      dir,
	}
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadText loads text as the system's file.
func loadText(t testing.TB, text string) (Config, error) {
	t.Helper()
	s := testHost(t, nil)
	c, err := s.load(write(t, s.etc+"/postrider/postrider.toml", text))
	if err != nil && !strings.HasPrefix(c.Path, s.etc) && !reflect.DeepEqual(c, Config{}) {
		t.Errorf("a configuration with the error %v", err)
	}
	return c, err
}

// onHost is the default configuration as Load completes it.
func onHost(c Config) Config {
	c.Hostname, c.Origin = "host", "host"
	return c
}

func TestNoFileAndEmptyFileAreTheDefault(t *testing.T) {
	for _, text := range []string{"", "\n\n", "# nothing\n", "\ufeff", "\ufeff# a mark of order\n", "[smarthost]\n[queue]\n", `hostname = ""` + "\n" + `log = ""`} {
		c, err := loadText(t, text)
		c.Path = ""
		if want := onHost(Default()); err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("%q: %v\n got %+v\nwant %+v", text, err, c, want)
		}
	}
	c, err := testHost(t, nil).load("")
	want := onHost(Default())
	want.User, want.Spool, want.Log = true, "/home/u/.local/state/postrider/spool", "/home/u/.local/state/postrider/log"
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("no file: %v\n got %+v\nwant %+v", err, c, want)
	}
}

const everything = `
hostname = "mail.example.org"
origin = "example.org"
domains = ["example.org", "example.net",
  "xn--mnchen-3ya.example"]
spool = "/srv/spool"
log = "json:/var/log/mail.json"
aliases = ["/etc/aliases", "/etc/postrider/aliases"]
message_size_limit = 1000000
hop_limit = 25
mailq_format = "postfix"
masquerade = "example.org"
masquerade_domains = ["example.net", ".example.org"]
exposed_users = ["root", "cron"]
[tables]
virtusertable = "/t/v"
mailertable = "/t/m"
domaintable = "/t/d"
genericstable = "/t/g"
generics_domains = "/t/gd"
local_host_names = "/t/n"
relay_domains = "/t/r"
smarthosts = "/t/s"
[smarthost]
url = "submission://me%40example.com@smtp.example.com"
password_file = "/etc/postrider/secret"
[relay]
networks = ["192.0.2.0/24", "2001:db8::/32", "192.0.2.1"]
domains = ["example.com", ".example.com"]
[local]
mailbox = "maildir:{home}/Maildir"
root = "admin@example.org"
socket = "/s"
default_user = "mail"
concurrency = 7
command_time_limit = "1m"
command_directory = "/d"
[[listen]]
address = ":25"
tls = { certificate = "/c", key = "/k" }
[[listen]]
address = "[::1]:587"
mode = "submission"
[listen.auth]
dovecot = "/run/dovecot/auth-client"
[[listen]]
address = "systemd:smtp"
mode = "lmtp"
[smtpd]
user = "mail"
sessions = 100
client_sessions = 1
client_connections = 2
client_messages = 3
client_recipients = 4
client_auth_failures = 5
recipients = 200
timeout = "1m"
session_time = "30m"
greeting_delay = "2s"
vrfy = "all"
expn = "off"
etrn = "all"
access = "/a"
helo = "known"
reverse_name = "match"
dns_lists = ["bl.example*2", "wl.example=127.0.0.[2..9]*-1"]
dns_score = 3
sender_logins = "/l"
ask_next_hop = true
proxies = ["192.0.2.9"]
xclient = ["127.0.0.1"]
[queue]
retry_min = "90s"
retry_max = "1h30m"
lifetime = "1w"
warn_after = "0"
concurrency = 3
host_concurrency = 2
`

func TestEverything(t *testing.T) {
	c, err := loadText(t, everything)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Path: c.Path, Hostname: "mail.example.org", Origin: "example.org",
		Domains: []string{"example.org", "example.net", "xn--mnchen-3ya.example"},
		Spool:   "/srv/spool", Log: "json:/var/log/mail.json", Aliases: []string{"/etc/aliases", "/etc/postrider/aliases"},
		MessageSizeLimit: 1e6, HopLimit: 25, MailqFormat: "postfix",
		Masquerade: "example.org", MasqueradeDomains: []string{"example.net", ".example.org"}, ExposedUsers: []string{"root", "cron"},
		Tables: Tables{Virtusertable: "/t/v", Mailertable: "/t/m", Domaintable: "/t/d", Genericstable: "/t/g", GenericsDomains: "/t/gd",
			LocalHostNames: "/t/n", RelayDomains: "/t/r", Smarthosts: "/t/s"},
		Smarthost: Smarthost{URL: "submission://me%40example.com@smtp.example.com", PasswordFile: "/etc/postrider/secret"},
		Relay:     Relay{Networks: []string{"192.0.2.0/24", "2001:db8::/32", "192.0.2.1"}, Domains: []string{"example.com", ".example.com"}},
		Local: Local{
			Mailbox: "maildir:{home}/Maildir", Root: "admin@example.org", Socket: "/s", DefaultUser: "mail",
			Concurrency: 7, CommandTimeLimit: time.Minute, CommandDirectory: "/d",
		},
		Smtpd: Smtpd{User: "mail", Sessions: 100, ClientSessions: 1, ClientConnections: 2, ClientMessages: 3, ClientRecipients: 4,
			ClientAuthFailures: 5, Recipients: 200, Timeout: time.Minute, SessionTime: 30 * time.Minute, GreetingDelay: 2 * time.Second,
			Vrfy: "all", Expn: "off", Etrn: "all", Access: "/a", Helo: "known", ReverseName: "match",
			DNSLists: []string{"bl.example*2", "wl.example=127.0.0.[2..9]*-1"}, DNSScore: 3, SenderLogins: "/l", AskNextHop: true,
			ProxyNetworks: []string{"192.0.2.9"}, XClient: []string{"127.0.0.1"}},
		Listen: []Listen{
			{Address: ":25", Mode: "smtp", TLS: TLS{Certificate: "/c", Key: "/k"}},
			{Address: "[::1]:587", Mode: "submission", Auth: Auth{Dovecot: "/run/dovecot/auth-client"}},
			{Address: "systemd:smtp", Mode: "lmtp"},
		},
		Queue: Queue{RetryMin: 90 * time.Second, RetryMax: 90 * time.Minute, Lifetime: 7 * day, Concurrency: 3, HostConcurrency: 2},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("\n got %+v\nwant %+v", c, want)
	}
	for d, want := range map[string]bool{
		"example.org": true, "EXAMPLE.NET": true, "mail.example.org": true, "localhost": true, "LOCALHOST": true, "example.org.": true,
		"münchen.example": true, "example.com": false, "org": false, "": false, "sub.example.org": false, "[192.0.2.1]": false,
	} {
		if got := c.IsLocalDomain(d); got != want {
			t.Errorf("IsLocalDomain(%q) = %v", d, got)
		}
	}
}

// A file that Diff has made loads as what it was made from.
func TestDiffLoads(t *testing.T) {
	for _, text := range []string{"", everything,
		`relay.networks = []`, `smarthost.password_command = "pass show\t\"mail\" \\ \u0007é"`,
		`listen = [{address = ":25", tls.certificate = "/c", tls.key = "/k"}, {address = "/s"}]`} {
		c, err := loadText(t, text)
		if err != nil {
			t.Fatal(err)
		}
		lines := c.diff(testHost(t, nil))
		again, err := loadText(t, strings.Join(lines, "\n"))
		again.Path = c.Path
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%s\n%q: %v\n got %+v\nwant %+v", text, lines, err, again, c)
		}
	}
}

func TestDiff(t *testing.T) {
	c, err := loadText(t, `
hostname = "host"
domains = ["a.example", "b.example"]
message_size_limit = "10MB"
[queue]
lifetime = "120h"
retry_min = "90m"
concurrency = 5
[[listen]]
address = ":25"
`)
	if err != nil {
		t.Fatal(err)
	}
	want := `domains = ["a.example", "b.example"]
message_size_limit = "10MB"
listen = [{address = ":25", mode = "smtp"}]
queue.retry_min = "1h30m"
queue.concurrency = 5`
	if got := strings.Join(c.diff(testHost(t, nil)), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := Default().Diff(); len(got) != 0 {
		t.Errorf("the default differs from itself: %q", got)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "cannot read " + dir + "/none: no such file or directory",
		dir:                        "not a regular file",
		fifo:                       "not a regular file",
		"/dev/zero":                "not a regular file",
		write(t, filepath.Join(dir, "big"), strings.Repeat("#", 1<<20+1)): "larger than 1048576 bytes",
	} {
		_, err := Load(path)
		var s *status.Status
		if !errors.As(err, &s) || s.Exit() != status.ExitConfig || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if got := unreadable("/f", &os.PathError{Op: "open", Path: "/f", Err: syscall.EMFILE}).(*status.Status).Exit(); got != status.ExitTempFail {
		t.Errorf("too many open files: exit %d", got)
	}
}

func TestRelativePathIsMadeAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "p.toml", `spool = "/s"`)
	c, err := Load("p.toml")
	if err != nil || c.Path != filepath.Join(dir, "p.toml") || !c.User {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestDoesNotLinkNet(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if dep == "net" || dep == "os/user" || dep == "runtime/cgo" || strings.HasPrefix(dep, "crypto/") {
			t.Errorf("imports %s", dep)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	small := write(b, filepath.Join(dir, "small"), "[smarthost]\nurl = \"submission://u@smtp.example.com\"\npassword_file = \"/p\"\n")
	shipped, err := os.ReadFile(shippedFile)
	if err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{
		"none": "", "small": small, "shipped": write(b, filepath.Join(dir, "shipped"), string(shipped)), "everything": write(b, filepath.Join(dir, "all"), uncomment(string(shipped))),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Our own name is in every message: it must not be what makes one need SMTPUTF8.
func TestInternationalNamesAreKeptInASCII(t *testing.T) {
	c, err := loadText(t, "hostname = 'Mäil.example'\norigin = 'Öx.example'\ndomains = ['ä.example']")
	if err != nil || c.Hostname != "xn--mil-qla.example" || c.Origin != "xn--x-0ga.example" {
		t.Errorf("%q, %q, %v", c.Hostname, c.Origin, err)
	}
	for _, d := range []string{"mäil.EXAMPLE", "xn--mil-qla.example", "Ä.example"} {
		if !c.IsLocalDomain(d) {
			t.Errorf("%s is not local", d)
		}
	}
	if c, err = loadText(t, "hostname = 'Mail.example'"); err != nil || c.Hostname != "Mail.example" {
		t.Errorf("%q, %v", c.Hostname, err)
	}
}
