package policy

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/route"
	"postrider/internal/smtpd"
)

// fakeUsers are users by name; nobody knows about "unreadable".
type fakeUsers map[string]bool

func (u fakeUsers) Lookup(name string) (route.User, bool, error) {
	if name == "unreadable" {
		return route.User{}, false, errors.New("input/output error")
	}
	return route.User{Name: name, UID: 1000, Home: "/home/" + name}, u[name], nil
}

func (u fakeUsers) Caller() (route.User, error) { return route.User{Name: "alice", UID: 1000}, nil }

// hostsZone is a zone that has a hosts file as well.
type hostsZone struct {
	dns.Resolver
	hosts map[netip.Addr]string
}

func (z hostsZone) KnownNames(a netip.Addr) []string {
	if name := z.hosts[a]; name != "" {
		return []string{name}
	}
	return nil
}

const zone = `
	5.2.0.192.in-addr.arpa.   PTR mail.good.example.
	mail.good.example.        A   192.0.2.5
	good.example.             MX  10 mail.good.example.
	6.2.0.192.in-addr.arpa.   PTR mail.good.example.
	7.2.0.192.in-addr.arpa.   PTR two.example.
	7.2.0.192.in-addr.arpa.   PTR three.example.
	two.example.              A   192.0.2.2
	three.example.            A   192.0.2.7
	8.2.0.192.in-addr.arpa.   PTR slow.example.
	5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR six.good.example.
	six.good.example.         AAAA 2001:db8::5
	$TIMEOUT slow.example.
	$SERVFAIL 9.2.0.192.in-addr.arpa.

	10.2.0.192.bl.example.    A 127.0.0.2
	10.2.0.192.bl.example.    TXT "see https://bl.example/10"
	11.2.0.192.bl.example.    A 127.0.0.11
	12.2.0.192.bl.example.    A 127.0.0.2
	12.2.0.192.wl.example.    A 127.0.0.1
	13.2.0.192.bl.example.    A 127.255.255.254
	14.2.0.192.bl.example.    A 203.0.113.1
	15.2.0.192.other.example. A 127.0.0.2
	15.2.0.192.third.example. A 127.0.0.2
	5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example. A 127.0.0.3
	$SERVFAIL 16.2.0.192.bl.example.
`

// rig is a Policy and what it stands on.
type rig struct {
	*Policy
	t       *testing.T
	dir     string
	clock   time.Time
	reports []string
}

// build makes a Policy of the default configuration with edits, an access table and a table of senders.
func build(t *testing.T, table string, edits ...func(*rig, *config.Config, *Options)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), clock: time.Unix(1_000_000_020, 0)}
	conf := config.Default()
	conf.Hostname, conf.Origin = "mx.ours.example", "ours.example"
	conf.Domains = []string{"ours.example", "bücher.example"}
	conf.Aliases, conf.Tables = nil, config.Tables{} // this machine's own
	conf.Relay.Networks = []string{"127.0.0.0/8", "::1", "10.1.0.0/16"}
	conf.Relay.Domains = []string{"backup.example", ".below.example"}
	conf.Smtpd.Access = r.file("access", table)
	o := Options{
		Resolver: hostsZone{dns.Zone(zone), map[netip.Addr]string{netip.MustParseAddr("10.1.0.9"): "desk.corp.example"}},
		Now:      func() time.Time { return r.clock },
		Addrs: func() []netip.Addr {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1%eth0")}
		},
		Report: func(err error) { r.reports = append(r.reports, err.Error()) },
	}
	for _, edit := range edits {
		edit(r, &conf, &o)
	}
	if o.Router == nil {
		o.Router = route.New(conf, o.Resolver, fakeUsers{"root": true, "jürgen": true, "alice": true, "bob": true})
	}
	p, err := New(conf, o)
	if err != nil {
		t.Fatal(err)
	}
	r.Policy = p
	return r
}

func (r *rig) file(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	old := r.clock.Add(-time.Hour) // a young file does not count yet
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, old, old)); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// client is a client at addr that has been let in.
func (r *rig) client(addr string, edits ...func(*smtpd.Client)) *smtpd.Client {
	r.t.Helper()
	c := &smtpd.Client{UID: -1, Helo: "mail.good.example"}
	if addr != "" {
		c.Addr = netip.MustParseAddr(addr)
	}
	for _, edit := range edits {
		edit(c)
	}
	if v := r.Connect(context.Background(), c); v.Status != nil {
		r.t.Fatalf("%s: %s", addr, v.Status.Diagnostic())
	}
	return c
}

func login(name string) func(*smtpd.Client) { return func(c *smtpd.Client) { c.Login = name } }
func mode(m smtpd.Mode) func(*smtpd.Client) { return func(c *smtpd.Client) { c.Mode = m } }
func helo(name string) func(*smtpd.Client)  { return func(c *smtpd.Client) { c.Helo = name } }
func uid(n int) func(*smtpd.Client)         { return func(c *smtpd.Client) { c.UID = n } }
func (r *rig) mail(c *smtpd.Client, s string) string {
	return told(r.Mail(context.Background(), c, &smtpd.Transaction{Sender: parse(r.t, s)}))
}

// rcpt gives a recipient as it stands in RCPT, with its brackets.
func (r *rig) rcpt(c *smtpd.Client, path string) string {
	r.t.Helper()
	a, rest, err := address.ParsePath(path)
	if err != nil || rest != "" {
		return "syntax"
	}
	return told(r.Rcpt(context.Background(), c, &smtpd.Transaction{}, a))
}

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	if s == "" {
		return address.Address{}
	}
	a, err := address.Parse(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return a
}

// told is a verdict as text.
func told(v smtpd.Verdict) string {
	parts := []string{"ok"}
	if v.Status != nil {
		parts[0] = v.Status.Diagnostic()
	}
	if v.Close {
		parts = append(parts, "close")
	}
	if v.Discard {
		parts = append(parts, "discard")
	}
	if v.Hold != "" {
		parts = append(parts, "hold: "+v.Hold)
	}
	if v.Reason != "" {
		parts = append(parts, "why: "+v.Reason)
	}
	return strings.Join(parts, ", ")
}
