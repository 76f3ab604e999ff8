package policy

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/route"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

var denial = status.New("auth", 535, status.Code{5, 7, 8}, "wrong password", nil)

// Each line is a form by which servers have been made to relay.
func TestNobodyIsMadeToRelay(t *testing.T) {
	r := build(t, "")
	for _, c := range []struct{ name, rcpt, want string }{
		{"a recipient elsewhere", "<user@victim.example>", "550 5.7.1 <user@victim.example>: relaying denied, why: relay"},
		{"percent", "<user%victim.example@ours.example>", "550 5.1.1 user%victim.example@ours.example: no such user here"},
		{"percent to our name", "<user%victim.example@mx.ours.example>", "550 5.1.1 user%victim.example@mx.ours.example: no such user here"},
		{"percent to a victim", "<user@victim.example%ours.example>", "syntax"},
		{"a quoted address", `<"user@victim.example"@ours.example>`, `550 5.1.1 "user@victim.example"@ours.example: no such user here`},
		{"a quoted address alone", `<"user@victim.example">`, `553 5.1.3 <"user@victim.example">: a recipient needs a domain`},
		{"two domains", "<user@victim.example@ours.example>", "syntax"},
		{"a source route by us", "<@ours.example:user@victim.example>", "550 5.7.1 <user@victim.example>: relaying denied, why: relay"},
		{"a longer route", "<@ours.example,@victim.example:user@victim.example>", "550 5.7.1 <user@victim.example>: relaying denied, why: relay"},
		{"a route that ends at us", "<@victim.example:alice@ours.example>", "ok, why: local"},
		{"a bang path", "<victim.example!user@ours.example>", "550 5.1.1 victim.example!user@ours.example: no such user here"},
		{"a bang path alone", "<victim.example!user>", "553 5.1.3 <victim.example!user>: a recipient needs a domain"},
		{"a bang path by us", "<ours.example!victim.example!user>", "553 5.1.3 <ours.example!victim.example!user>: a recipient needs a domain"},
		{"our address", "<user%victim.example@[127.0.0.1]>", "550 5.1.1 user%victim.example@[127.0.0.1]: no such user here"},
		{"a user at our address", "<alice@[127.0.0.1]>", "ok, why: local"},
		{"another's address", "<alice@[198.51.100.1]>", "550 5.7.1 <alice@[198.51.100.1]>: relaying denied, why: relay"},
		{"an empty literal", "<user@[]>", "syntax"},
		{"a root dot", "<alice@ours.example.>", "ok, why: local"},
		{"a root dot elsewhere", "<user@victim.example.>", "550 5.7.1 <user@victim.example>: relaying denied, why: relay"},
		{"two root dots", "<user@ours.example..>", "syntax"},
		{"capitals", "<ALICE@OURS.EXAMPLE>", "ok, why: local"},
		{"the U-labels of our domain", "<alice@bücher.example>", "ok, why: local"},
		{"its A-labels", "<alice@xn--bcher-kva.example>", "ok, why: local"},
		{"its twin", "<alice@bu\u0308cher.example>", "ok, why: local"},
		{"a domain that looks like ours", "<alice@b\u00fccher\u3002example>", "syntax"},
		{"Cyrillic letters that look like ours", "<alice@\u043eurs.example>", "550 5.7.1 <alice@\u043eurs.example>: relaying denied, why: relay"},
		{"our domain in front", "<alice@ours.example.victim.example>", "550 5.7.1 <alice@ours.example.victim.example>: relaying denied, why: relay"},
		{"our domain behind", "<alice@notours.example>", "550 5.7.1 <alice@notours.example>: relaying denied, why: relay"},
		{"a host below our domain", "<alice@sub.ours.example>", "550 5.7.1 <alice@sub.ours.example>: relaying denied, why: relay"},
		{"a bare user", "<alice>", "553 5.1.3 <alice>: a recipient needs a domain"},
		{"a command", "<|/bin/sh@ours.example>", "550 5.1.1 |/bin/sh@ours.example: no such user here"},
		{"a path", "</etc/passwd@ours.example>", "550 5.1.1 /etc/passwd@ours.example: no such user here"},
		{"an option", "<-oQ/tmp@ours.example>", "550 5.1.1 -oQ/tmp@ours.example: no such user here"},
		{"localhost", "<user%victim.example@localhost>", "550 5.1.1 user%victim.example@localhost: no such user here"},
		{"a domain that we back up", "<user@backup.example>", "ok, why: relay.domains"},
		{"in its A-labels and capitals", "<user@BACKUP.example.>", "ok, why: relay.domains"},
		{"percent to it", "<user%victim.example@backup.example>", "ok, why: relay.domains"}, // its business
		{"a host below it", "<user@host.backup.example>", "550 5.7.1 <user@host.backup.example>: relaying denied, why: relay"},
		{"a host below one with a dot", "<user@a.b.below.example>", "ok, why: relay.domains"},
		{"the domain with a dot itself", "<user@below.example>", "550 5.7.1 <user@below.example>: relaying denied, why: relay"},
	} {
		// Neither who it says it is, nor who it says the sender is, nor a login that failed makes it a friend.
		for _, client := range []*smtpd.Client{r.client("192.0.2.5"), r.client("192.0.2.6", helo("other.good.example"))} {
			for _, from := range []string{"", "alice@ours.example", "root@mx.ours.example", "x@backup.example"} {
				if got := r.mail(client, from); got != "ok" {
					t.Fatalf("MAIL FROM:<%s>: %s", from, got)
				}
				r.Login(context.Background(), client, true, denial)
				if got := r.rcpt(client, c.rcpt); got != c.want {
					t.Errorf("%s: %s from %s\n got %s\nwant %s", c.name, c.rcpt, from, got, c.want)
				}
			}
			r.Close(client)
		}
	}
}

func TestFriendsRelay(t *testing.T) {
	r := build(t, "Connect:192.0.2.66 RELAY\nConnect:good.example RELAY\nTo:friend.example RELAY\n")
	for _, c := range []struct {
		name   string
		client *smtpd.Client
		rcpt   string
		want   string
	}{
		{"a network", r.client("127.0.0.1"), "<user@victim.example>", "ok, why: relay.networks"},
		{"its IPv4 address in IPv6", r.client("::ffff:10.1.2.3"), "<user@victim.example>", "ok, why: relay.networks"},
		{"a login", r.client("192.0.2.77", login("alice")), "<user@victim.example>", "ok, why: login"},
		{"a user of this machine", r.client("", mode(smtpd.Local), uid(1000)), "<user@victim.example>", "ok, why: uid"},
		{"a user over a pipe", r.client("", uid(0)), "<user@victim.example>", "ok, why: uid"},
		{"nobody over a pipe", r.client(""), "<user@victim.example>", "550 5.7.1 <user@victim.example>: relaying denied, why: relay"},
		{"a network of the access table", r.client("192.0.2.66"), "<user@victim.example>", "ok, why: access(Connect:192.0.2.66)"},
		{"a name of the access table", r.client("192.0.2.5"), "<user@victim.example>", "ok, why: access(Connect:good.example)"},
		{"a name that does not lead back", r.client("192.0.2.6"), "<user@victim.example>", "550 5.7.1 <user@victim.example>: relaying denied, why: relay"},
		{"a destination of the access table", r.client("192.0.2.77"), "<user@a.friend.example>", "ok, why: access(To:friend.example)"},
		{"a friend's bare recipient", r.client("127.0.0.1"), "<alice>", "ok, why: local"},
		{"a friend's unknown recipient", r.client("127.0.0.1"), "<nobody@ours.example>", "550 5.1.1 nobody@ours.example: no such user here"},
		{"a friend's source route", r.client("127.0.0.1"), "<@a.example:user@victim.example>", "ok, why: relay.networks"},
	} {
		if got := r.rcpt(c.client, c.rcpt); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.rcpt, got, c.want)
		}
	}
	// The table's networks are trusted as relay.networks are; a name is enough to relay for and for no more.
	if r.client("192.0.2.5").Trusted || !r.client("192.0.2.66").Trusted || r.client("192.0.2.77").Trusted {
		t.Error("trusted is wrong")
	}
}

// IPv4 in IPv6 has 96 bits before it begins: a length of 8 must not become one of 0.
func TestNoNetworkIsLargerThanItIsWritten(t *testing.T) {
	conf := build(t, "").conf
	conf.Relay.Networks = []string{"::ffff:10.0.0.0/8"}
	if p, err := New(conf, Options{}); err == nil || p != nil || !strings.Contains(err.Error(), "relay.networks") {
		t.Errorf("%v, %v", p, err)
	}
	r := build(t, "", func(_ *rig, c *config.Config, _ *Options) { c.Relay.Networks = []string{"::ffff:10.0.0.0/104"} })
	if !r.client("10.9.9.9").Trusted || r.client("11.9.9.9").Trusted || r.client("2001:db8::5").Trusted {
		t.Error("a network of IPv4 in IPv6 is not what it says")
	}
}

func TestRecipientsOfOurs(t *testing.T) {
	r := build(t, `
To:old@                     ERROR:5.1.1:550 gone
To:closed.example           REJECT
To:bob@ours.example         REJECT
To:trap@ours.example        DISCARD
To:user@victim.example      DISCARD
To:watched@ours.example     QUARANTINE:on watch
To:alice@ours.example       OK
`)
	stranger, submitter := r.client("192.0.2.77"), r.client("192.0.2.77", mode(smtpd.Submission))
	for _, c := range []struct {
		name   string
		client *smtpd.Client
		rcpt   string
		want   string
	}{
		{"a user", stranger, "<alice@ours.example>", "ok, why: local"},
		{"with detail", stranger, "<alice+lists@ours.example>", "ok, why: local"},
		{"postmaster without a domain", stranger, "<Postmaster>", "ok, why: local"},
		{"postmaster at our domain", stranger, "<postmaster@ours.example>", "ok, why: local"},
		{"postmaster elsewhere", stranger, "<postmaster@victim.example>", "550 5.7.1 <postmaster@victim.example>: relaying denied, why: relay"},
		{"when nobody knows", stranger, "<unreadable@ours.example>", "451 4.3.0 the user database cannot be read"},
		{"the table's reply", stranger, "<old@ours.example>", "550 5.1.1 gone, why: access(To:old@)"},
		{"that is for us only", r.client("127.0.0.1"), "<old@victim.example>", "ok, why: relay.networks"},
		{"REJECT", stranger, "<bob@ours.example>", "550 5.2.1 <bob@ours.example>: no mail is taken for this recipient, why: access(To:bob@ours.example)"},
		{"REJECT is for friends too", r.client("127.0.0.1"), "<x@closed.example>", "550 5.2.1 <x@closed.example>: no mail is taken for this recipient, why: access(To:closed.example)"},
		{"DISCARD needs no user", stranger, "<trap@ours.example>", "ok, discard, why: access(To:trap@ours.example)"},
		{"DISCARD is no relaying", stranger, "<user@victim.example>", "550 5.7.1 <user@victim.example>: relaying denied, why: relay"},
		{"QUARANTINE needs a user", stranger, "<watched@ours.example>", "550 5.1.1 watched@ours.example: no such user here"},
		{"no login on submission", submitter, "<alice@ours.example>", "530 5.7.0 log in first"},
		{"the null address", stranger, "<>", "553 5.1.3 <>: the null address is no recipient"},
	} {
		if got := r.rcpt(c.client, c.rcpt); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.rcpt, got, c.want)
		}
	}
}

func TestOKOverrulesWhatSpeaksAgainstAStranger(t *testing.T) {
	r := build(t, `
Connect:192.0.2.10     OK
Connect:192.0.2.11     RELAY
Connect:192.0.2.21     550 go away
To:alice@ours.example  OK
To:backup.example      RELAY
To:closed.example      REJECT
`, lists(1, "bl.example"), reverse("match"))
	const lie = "mx.ours.example"
	const relaying = "550 5.7.1 <user@victim.example>: relaying denied, why: relay"
	for _, c := range []struct{ name, addr, helo, rcpt, want string }{
		{"OK of a client that is listed", "192.0.2.10", "mail.good.example", "<bob@ours.example>", "ok, why: local"},
		{"and says HELO badly", "192.0.2.10", "desk", "<bob@ours.example>", "ok, why: local"},
		{"or as we are called", "192.0.2.10", lie, "<bob@ours.example>", "ok, why: local"},
		{"does not relay", "192.0.2.10", "desk", "<user@victim.example>", relaying},
		{"RELAY of one", "192.0.2.11", lie, "<user@victim.example>", "ok, why: access(Connect:192.0.2.11)"},
		{"no OK", "192.0.2.77", "mail.good.example", "<bob@ours.example>", "550 5.7.25 your address has no name in DNS, why: reverse_name"},
		{"OK of a recipient", "192.0.2.77", "desk", "<alice@ours.example>", "ok, why: local"},
		{"with detail", "192.0.2.77", "desk", "<alice+x@ours.example>", "ok, why: local"},
		{"is for no other", "192.0.2.5", "desk", "<bob@ours.example>", "550 5.5.2 desk: HELO and EHLO need the full name of your host, why: helo"},
		{"RELAY of a recipient", "192.0.2.77", "desk", "<user@backup.example>", "ok, why: access(To:backup.example)"},
		{"neither overrules the table", "192.0.2.21", "desk", "<alice@ours.example>", "550 5.7.1 go away, why: access(Connect:192.0.2.21)"},
		{"nor the other way round", "192.0.2.10", "desk", "<user@closed.example>",
			"550 5.2.1 <user@closed.example>: no mail is taken for this recipient, why: access(To:closed.example)"},
	} {
		client := r.client(c.addr, helo(c.helo))
		got := told(r.Helo(context.Background(), client))
		if got == "ok" {
			got = r.rcpt(client, c.rcpt)
		}
		if got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.rcpt, got, c.want)
		}
	}
}

func TestPostmasterElsewhereIsNotOurs(t *testing.T) {
	r := build(t, "", reverse("match"))
	stranger := r.client("192.0.2.77")
	for rcpt, want := range map[string]string{
		"<postmaster@ours.example>":   "ok, why: local",
		"<postmaster@backup.example>": "550 5.7.25 your address has no name in DNS, why: reverse_name",
		"<alice@ours.example>":        "550 5.7.25 your address has no name in DNS, why: reverse_name",
	} {
		if got := r.rcpt(stranger, rcpt); got != want {
			t.Errorf("%s: %s, want %s", rcpt, got, want)
		}
	}
}

func TestQuarantinedRecipients(t *testing.T) {
	r := build(t, "To:alice@ours.example QUARANTINE:on watch\n")
	if got := r.rcpt(r.client("192.0.2.77"), "<alice@ours.example>"); got != "ok, hold: on watch, why: local" {
		t.Error(got)
	}
}

func TestAnAddressOfOursIsAUsersToo(t *testing.T) {
	// The smarthost takes all other mail; that must not make strangers its users.
	r := build(t, "", func(_ *rig, c *config.Config, o *Options) {
		c.Smarthost.URL = "submission://us@smtp.example:587"
		o.Router = route.New(*c, dns.Zone(""), fakeUsers{"alice": true, "root": true})
	})
	if got := r.rcpt(r.client("192.0.2.77"), "<user@victim.example>"); got != "550 5.7.1 <user@victim.example>: relaying denied, why: relay" {
		t.Error(got)
	}
}

func TestASessionThatWasNotJudgedGetsNothing(t *testing.T) {
	r := build(t, "")
	c := &smtpd.Client{UID: -1, Trusted: true, Login: "alice"}
	for _, got := range []string{r.rcpt(c, "<alice@ours.example>"), r.mail(c, ""), told(r.Login(context.Background(), c, false, nil))} {
		if got != "451 4.3.0 local error in processing, why: client was not judged" {
			t.Error(got)
		}
	}
	r.Close(c)
}

// Whatever a path looks like, a stranger's recipient is ours or in a domain that we relay for.
func FuzzStrangersDoNotRelay(f *testing.F) {
	for _, s := range []string{"<user%victim.example@ours.example>", "<@ours.example:user@victim.example>", `<"user@victim.example"@ours.example>`,
		"<x@[IPv6:::1]>", "<x@ours.example.>", "<x@a.below.example>", "<Postmaster>", "<x@[127.0.0.1]>", "<x@xn--bcher-kva.example>"} {
		f.Add(s)
	}
	conf := config.Default()
	conf.Hostname, conf.Domains, conf.Relay.Domains, conf.Aliases = "mx.ours.example", []string{"ours.example"}, []string{"backup.example", ".below.example"}, nil
	conf.Smtpd.Access = "/nonexistent"
	resolver := dns.Zone("")
	everybody := allUsers{}
	p, err := New(conf, Options{Resolver: resolver, Router: route.New(conf, resolver, everybody), Addrs: func() []netip.Addr { return nil }})
	if err != nil {
		f.Fatal(err)
	}
	c := &smtpd.Client{UID: -1, Addr: netip.MustParseAddr("192.0.2.77"), Helo: "mail.good.example"}
	p.Connect(context.Background(), c)
	f.Fuzz(func(t *testing.T, path string) {
		a, _, err := address.ParsePath(path)
		if err != nil {
			return
		}
		v := p.Rcpt(context.Background(), c, &smtpd.Transaction{}, a)
		if v.Status != nil {
			return
		}
		domain := strings.ToLower(a.Domain())
		if ip, ok := a.Literal(); ok && (ip.IsLoopback() || ip.IsUnspecified()) {
			return
		}
		ours := slices.Contains([]string{"ours.example", "mx.ours.example", "localhost", "backup.example"}, domain) ||
			strings.HasSuffix(domain, ".below.example") || domain == "" && strings.EqualFold(a.Unquoted(), "postmaster")
		if wide, err := address.ASCIIDomain(domain); !ours && err == nil {
			ours = slices.Contains([]string{"ours.example", "mx.ours.example", "localhost", "backup.example"}, wide) || strings.HasSuffix(wide, ".below.example")
		}
		if !ours {
			t.Fatalf("%q: %s", path, told(v))
		}
	})
}

// allUsers has a user of every name.
type allUsers struct{ fakeUsers }

func (allUsers) Lookup(name string) (route.User, bool, error) {
	return route.User{Name: name}, true, nil
}

func TestManySessionsAtOnce(t *testing.T) {
	r := build(t, "Connect:192.0.2.66 RELAY\nFrom:spam.example REJECT\n", lists(1, "bl.example"), reverse("some"))
	fixed := r.clock
	r.Policy.o.Now = func() time.Time { return fixed }
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			for i := range 20 {
				c := &smtpd.Client{UID: -1, Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(n*7 + i)}), Helo: "mail.good.example"}
				r.Connect(context.Background(), c)
				r.Helo(context.Background(), c)
				r.Mail(context.Background(), c, &smtpd.Transaction{Sender: parse(t, "x@good.example")})
				v := r.Rcpt(context.Background(), c, &smtpd.Transaction{}, parse(t, "user@victim.example"))
				if (v.Status == nil) != (c.Addr == netip.MustParseAddr("192.0.2.66")) {
					t.Errorf("%v: %s", c.Addr, told(v))
				}
				r.Login(context.Background(), c, true, denial)
				r.Close(c)
			}
		})
	}
	all.Wait()
	for _, c := range r.clients.byKey {
		if c.sessions != 0 {
			t.Errorf("%v has %d sessions", c.key, c.sessions)
		}
	}
}
