package route

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/status"
)

// fakeUsers are users by name; the caller is the first with uid 1000.
type fakeUsers map[string]User

func (u fakeUsers) Lookup(name string) (User, bool, error) {
	if name == "unreadable" {
		return User{}, false, errors.New("input/output error")
	}
	found, ok := u[name]
	return found, ok, nil
}

func (u fakeUsers) Caller() (User, error) { return u["alice"], nil }

var users = fakeUsers{
	"root":  {Name: "root", UID: 0, Home: "/root"},
	"alice": {Name: "alice", UID: 1000, GID: 1000, Home: "/home/alice"},
	"Bob":   {Name: "Bob", UID: 1001, GID: 1001, Home: "/home/bob"},
	"a+b":   {Name: "a+b", UID: 1002, GID: 1002, Home: "/home/ab"},
}

// system is a configuration of a system installation without a smarthost, with edits.
func system(edits ...func(*config.Config)) config.Config {
	c := config.Config{Hostname: "mail.example.org", Origin: "mail.example.org", Domains: []string{"example.org", "bücher.example"}}
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

func smarthost(url string) func(*config.Config) {
	return func(c *config.Config) { c.Smarthost.URL = url }
}

func rootTo(a string) func(*config.Config) { return func(c *config.Config) { c.Local.Root = a } }
func origin(d string) func(*config.Config) { return func(c *config.Config) { c.Origin = d } }
func userInstallation(c *config.Config)    { c.User = true }
func parse(s string) address.Address       { a, _ := address.Parse(s); return a }
func router(c config.Config) *Router       { return New(c, nil, users).onMachine("192.0.2.1", "2001:db8::1") }
func addrs(texts ...string) (l []netip.Addr) {
	for _, s := range texts {
		l = append(l, netip.MustParseAddr(s))
	}
	return l
}

func (r *Router) onMachine(texts ...string) *Router {
	r.machine = func() []netip.Addr { return addrs(texts...) }
	return r
}

// brief is a decision as one line.
func brief(d Decision) string {
	switch d.Kind {
	case Local:
		switch user := "local " + d.User.Name; {
		case d.Agent == "" || d.Agent == AgentMailbox:
			return strings.TrimLeft(d.Agent+" "+user, " ")
		case d.User.Name != "":
			return d.Agent + " " + d.Member + " of " + d.Address.String() + " for " + d.User.Name
		}
		return d.Agent + " " + d.Member + " of " + d.Address.String()
	case Relay:
		s := "relay " + d.Address.String() + " to " + d.Next.Key + " tls=" + d.Next.TLS
		if d.Next.LMTP {
			s += " lmtp"
		}
		if d.Next.Auth != nil {
			s += " auth=" + d.Next.Auth.User
		}
		return s
	}
	return "refuse " + d.Status.Diagnostic()
}

func TestRoute(t *testing.T) {
	const sub = "submission://me@smtp.example.net"
	null := system(smarthost(sub), origin("example.net"), rootTo("admin@example.net"))
	for _, c := range []struct {
		name string
		conf config.Config
		rcpt string
		want string
	}{
		{"a bare name is local", system(), "alice", "local alice"},
		{"hostname is local", system(), "alice@MAIL.example.org", "local alice"},
		{"localhost is local", system(), "alice@localhost", "local alice"},
		{"domains are local", system(), "alice@example.org", "local alice"},
		{"a local domain in its ASCII form is the same domain", system(), "alice@xn--bcher-kva.example", "local alice"},
		{"a domain below a local one is not local", system(), "alice@sub.example.org", "relay alice@sub.example.org to mx:sub.example.org tls=may"},
		{"origin alone is not local", system(origin("example.net")), "alice@example.net", "relay alice@example.net to mx:example.net tls=may"},
		{"an address literal of this machine is local", system(), "alice@[192.0.2.1]", "local alice"},
		{"its IPv6 address too", system(), "alice@[IPv6:2001:db8::1]", "local alice"},
		{"so is the loopback", system(), "alice@[127.0.0.9]", "local alice"},
		{"another literal is a host", system(), "alice@[192.0.2.9]", "relay alice@[192.0.2.9] to host:192.0.2.9:25 tls=may"},
		{"another IPv6 literal too", system(), "alice@[IPv6:2001:db8::9]", "relay alice@[IPv6:2001:db8::9] to host:[2001:db8::9]:25 tls=may"},
		{"the key of a domain is folded", system(), "X@Example.COM", "relay X@Example.COM to mx:example.com tls=may"},

		{"a name's case does not matter", system(), "ALICE", "local alice"},
		{"a name with capitals is found exactly", system(), "Bob", "local Bob"},
		{"+detail is ignored", system(), "Alice+news", "local alice"},
		{"a name with + comes before +detail", system(), "a+b", "local a+b"},
		{"quotes do not matter", system(), `"alice"`, "local alice"},
		{"an unknown user is refused", system(), "nobody@example.org", "refuse 550 5.1.1 nobody@example.org: no such user here"},
		{"a detail alone is no user", system(), "+x", "refuse 550 5.1.1 +x: no such user here"},
		{"a path is no user", system(), "/etc/passwd", "refuse 550 5.1.1 /etc/passwd: no such user here"},
		{"a percent hack is no user", system(), "alice%example.com@example.org", "refuse 550 5.1.1 alice%example.com@example.org: no such user here"},
		{"an unreadable user database is temporary", system(), "unreadable", "refuse 451 4.3.0 the user database cannot be read"},
		{"the null address is refused", system(), "", "refuse 553 5.1.3 the null address is no recipient"},

		{"root is a user", system(), "root", "local root"},
		{"postmaster stands for root", system(), "Postmaster@example.org", "local root"},
		{"MAILER-DAEMON stands for root", system(), "MAILER-DAEMON", "local root"},
		{"local.root sends root's mail on", system(rootTo("alice")), "root", "local alice"},
		{"local.root sends postmaster's mail on", system(rootTo("alice@example.org")), "postmaster", "local alice"},
		{"local.root may be remote", system(rootTo("admin@example.net")), "root", "relay admin@example.net to mx:example.net tls=may"},
		{"local.root may be remote and the smarthost takes it", null, "root", "relay admin@example.net to submission:smtp.example.net:587:me tls=encrypt auth=me"},
		{"local.root may name root", system(rootTo("root@localhost")), "root", "local root"},
		{"local.root may name postmaster", system(rootTo("postmaster")), "root", "local root"},
		{"local.root at nobody is refused", system(rootTo("nobody")), "root", "refuse 550 5.1.1 nobody: no such user here"},
		{"a malformed local.root is temporary", system(rootTo("a b")), "root", "refuse 451 4.3.5 mail for root has no place to go"},
		{"root at origin is root when local.root is set", null, "root@example.net", "relay admin@example.net to submission:smtp.example.net:587:me tls=encrypt auth=me"},
		{"others at origin are not", null, "alice@example.net", "relay alice@example.net to submission:smtp.example.net:587:me tls=encrypt auth=me"},
		{"root at origin is remote when local.root is not set", system(origin("example.net")), "root@example.net", "relay root@example.net to mx:example.net tls=may"},
		{"local.root may be root at origin", system(origin("example.net"), rootTo("root@example.net")), "root", "relay root@example.net to mx:example.net tls=may"},

		{"a user installation has root's mail", system(userInstallation), "root", "local alice"},
		{"a user installation delivers to its caller", system(userInstallation), "alice", "local alice"},
		{"and to nobody else", system(userInstallation), "Bob", "refuse 550 5.7.1 Bob: delivery to other users needs the system installation"},
		{"local.root may name root in a user installation", system(userInstallation, rootTo("root")), "root", "local alice"},
		{"local.root may be another user's", system(userInstallation, rootTo("Bob")), "root", "refuse 550 5.7.1 Bob: delivery to other users needs the system installation"},

		{"smtp is opportunistic", system(smarthost("smtp://relay.example.net")), "x@example.com", "relay x@example.com to smtp:relay.example.net:25 tls=may"},
		{"submission requires STARTTLS", system(smarthost("submission://relay.example.net")), "x@example.com", "relay x@example.com to submission:relay.example.net:587 tls=encrypt"},
		{"submissions is TLS from the start", system(smarthost("submissions://u@relay.example.net:4650")), "x@example.com", "relay x@example.com to submissions:relay.example.net:4650:u tls=implicit auth=u"},
		{"lmtp has its protocol", system(smarthost("lmtp://relay.example.net:2400")), "x@example.com", "relay x@example.com to lmtp:relay.example.net:2400 tls=may lmtp"},
		{"a Unix socket needs no TLS", system(smarthost("lmtp+unix:///run/lmtp")), "x@example.com", "relay x@example.com to lmtp+unix:unix:/run/lmtp tls=none lmtp"},
		{"literals go to the smarthost as well", system(smarthost(sub)), "x@[192.0.2.9]", "relay x@[192.0.2.9] to submission:smtp.example.net:587:me tls=encrypt auth=me"},
		{"local mail does not", system(smarthost(sub)), "alice@example.org", "local alice"},
		{"a malformed smarthost is temporary", system(smarthost("gopher://x")), "x@example.com", "refuse 451 4.3.5 the smarthost is not configured correctly"},
	} {
		d := router(c.conf).Route(parse(c.rcpt))
		if got := brief(d); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s\n%s", c.name, c.rcpt, got, c.want, steps(d))
		}
		if len(d.Steps) == 0 || (d.Kind == Refuse) != (d.Status != nil) {
			t.Errorf("%s: steps %v, status %v", c.name, d.Steps, d.Status)
		}
	}
}

func steps(d Decision) string {
	var b strings.Builder
	for _, s := range d.Steps {
		fmt.Fprintln(&b, s.Text)
	}
	return b.String()
}

func TestStepsNameTheSettingsThatDecided(t *testing.T) {
	for _, c := range []struct{ rcpt, want string }{
		{"alice@example.org", `example.org is one of the local domains (domains): it is local
user alice exists: local.mailbox says where the mail is kept
`},
		{"postmaster", `postmaster has no domain: it is local
postmaster stands for root
local.root sends mail for root to admin@example.net
example.net is not local (hostname, domains)
smarthost.url is set: mail that is not local goes to smtp.example.net:587 with STARTTLS required and the certificate verified, as user me
`},
		{"Eve+x@localhost", `localhost is always this machine: it is local
there is no user Eve+x nor eve+x nor Eve nor eve
it is refused: Eve+x@localhost: no such user here
`},
	} {
		conf := system(smarthost("submission://me@smtp.example.net"), rootTo("admin@example.net"))
		if got := steps(router(conf).Route(parse(c.rcpt))); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.rcpt, got, c.want)
		}
	}
}

func TestPassword(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeOld(t, path, text)
		return path
	}
	for _, c := range []struct {
		name string
		conf config.Smarthost
		want string // "" means unavailable
	}{
		{"the file's first line", config.Smarthost{PasswordFile: file("a", "geheim wort\r\nmore\n")}, "geheim wort"},
		{"a file without a line end", config.Smarthost{PasswordFile: file("b", "x")}, "x"},
		{"an empty file", config.Smarthost{PasswordFile: file("c", "\n")}, ""},
		{"a missing file", config.Smarthost{PasswordFile: filepath.Join(dir, "none")}, ""},
		{"the command's first line", config.Smarthost{PasswordCommand: "echo 'from a command'; echo more"}, "from a command"},
		{"a failing command", config.Smarthost{PasswordCommand: "echo no; exit 3"}, ""},
		{"a flood is cut", config.Smarthost{PasswordCommand: "head -c 100000 /dev/zero | tr '\\0' x"}, strings.Repeat("x", maxPassword)},
		{"no source", config.Smarthost{}, ""},
	} {
		c.conf.URL = "submission://me@smtp.example.net"
		d := router(system(func(conf *config.Config) { conf.Smarthost = c.conf })).Route(parse("x@example.com"))
		got, err := d.Next.Auth.Password()
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %.80q (%d bytes), %v", c.name, got, len(got), err)
		}
		if err != nil && status.From(err).Diagnostic() != "451 4.3.5 the smarthost's password is not available" {
			t.Errorf("%s: %v", c.name, status.From(err).Diagnostic())
		}
	}
}
