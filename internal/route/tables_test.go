package route

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/status"
)

// withTable puts text into a file and has a configuration name it.
func withTable(t testing.TB, set func(*config.Tables, string), text string) func(*config.Config) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "table")
	writeOld(t, path, text)
	return func(c *config.Config) { set(&c.Tables, path) }
}

// writeOld writes a file as if that had been long ago: a young one does not count yet.
func writeOld(t testing.TB, path, text string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))); err != nil {
		t.Fatal(err)
	}
}

func virtuser(c *config.Tables, path string)   { c.Virtusertable = path }
func mailer(c *config.Tables, path string)     { c.Mailertable = path }
func domains(c *config.Tables, path string)    { c.Domaintable = path }
func names(c *config.Tables, path string)      { c.LocalHostNames = path }
func relays(c *config.Tables, path string)     { c.RelayDomains = path }
func smarthosts(c *config.Tables, path string) { c.Smarthosts = path }

const virtusers = `
info@v.example	alice
Far@V.example	bob@example.net
gone@v.example	error:5.1.1:550 gone away
gone2@v.example	error:5.2.1:"550 5.2.1 closed"
none@v.example	error:nouser 550 No such user here
later@v.example	error:tempfail come back
plain@v.example	ERROR:450 not now
alice@v.example	alice
alice+*@v.example	Bob+%2
alice+x@v.example	x-%1@example.net
ann++@v.example	%2@example.net
list@v.example	two
local@v.example	info@v.example
root@v.example	root
hidden@v.example	"odd list"x
@w.example	%1@example.net
@v2.example	%1%3@example.net
++@v3.example	%2@example.net
+*@v3.example	plus-%1@example.net
@v3.example	%1@plain.example
@loop.example	%1@loop2.example
@loop2.example	%1@loop.example
self@v.example	self@v.example
alice@example.org	Bob
@bücher.example	alice
esc@o.example	alice
alice@m.example	Bob
keep@m.example	keep@m.example
@all.example	%1
"q\"@"@v.example	alice
x@below.example	alice
@chain1.example	x@chain2.example
@chain2.example	x@chain3.example
@chain3.example	x@chain4.example
@chain4.example	x@chain5.example
@chain5.example	x@chain6.example
@chain6.example	x@chain7.example
@chain7.example	x@chain8.example
@chain8.example	Bob
`

const aliasText = "two: alice, x@example.com\nlist2: x@w.example, info@v.example\nmember: none@v.example\nto-virtual: nosuch@v.example\n"

const mailertable = `
m.example	smtp:[relay.example]
.m2.example	esmtp:hub.%1.example
.a.m2.example	relay:[192.0.2.9]
p.example	relay:[relay.example]:587
p2.example	relay:relay.example:587
bare.example	mail.example.net
six.example	smtp:[IPv6:2001:db8::9]:2525
l.example	local:Alice
l2.example	local:
l3.example	local:two
e.example	error:5.1.2:550 no such host
e2.example	error:nohost no such host
many.example	relay:a.example:[b.example]:26:c.example
lm.example	lmtp:[box.example]
sock.example	lmtp+unix:/run/box
tls.example	submission://hub.example
[192.0.2.7]	smtp:[relay.example]
v.example	relay:[unused.example]
`

func tabled(t testing.TB, edits ...func(*config.Config)) config.Config {
	return system(append([]func(*config.Config){
		withTable(t, virtuser, strings.Replace(virtusers, "hidden@v.example\t\"odd list\"x\n", "", 1)),
		withTable(t, mailer, strings.Replace(mailertable, "v.example\trelay:[unused.example]\n", "", 1)),
		withTable(t, domains, "old.example\texample.org\nold2.example\tv.example\nround.example\tround2.example\nround2.example\tround.example\nNEWER.example\tm.example\nolder.example\told.example\n"),
		withTable(t, names, "own.example # ours\nown2.example own3.example\n[192.0.2.1]\n"),
		withTable(t, relays, "relayed.example org.9\n10.1 192.0.2.55 IPv6:2001:db8::7\n"),
		aliasFile(t, aliasText),
	}, edits...)...)
}

func aliasFile(t testing.TB, text string) func(*config.Config) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "aliases")
	writeOld(t, path, text)
	return func(c *config.Config) { c.Aliases = []string{path} }
}

func TestRouteByTables(t *testing.T) {
	r := router(tabled(t))
	for _, c := range []struct{ name, rcpt, want string }{
		{"a virtual user", "info@v.example", "local alice"},
		{"in any case", "INFO@V.EXAMPLE", "local alice"},
		{"who is elsewhere", "far@v.example", "relay bob@example.net to mx:example.net tls=may"},
		{"who is refused", "gone@v.example", "refuse 550 5.1.1 gone away"},
		{"with the code in the reply", "gone2@v.example", "refuse 550 5.2.1 closed"},
		{"by a word", "none@v.example", "refuse 550 5.1.1 No such user here"},
		{"for now by a word", "later@v.example", "refuse 451 4.3.0 come back"},
		{"for now by a reply", "plain@v.example", "refuse 450 4.0.0 not now"},
		{"one of whom nothing is said", "nosuch@v.example", "refuse 550 5.1.1 nosuch@v.example: no such user here"},
		{"postmaster is always there", "Postmaster@v.example", "local root"},
		{"an alias", "list@v.example", "alice@mail.example.org; x@example.com"},
		{"another virtual user", "local@v.example", "local alice"},
		{"detail goes when it is not asked for", "info+x@v.example", "local alice"},
		{"detail that is asked for", "alice+y@v.example", "local Bob"},
		{"detail in the whole key", "alice+x@v.example", "relay x-alice+x@example.net to mx:example.net tls=may"},
		{"no detail, before +*", "alice@v.example", "local alice"},
		{"+* takes an empty detail", "alice+@v.example", "local Bob"},
		{"++ does not", "ann+@v.example", "refuse 550 5.1.1 ann+@v.example: no such user here"},
		{"++ with detail", "ann+b.c@v.example", "relay b.c@example.net to mx:example.net tls=may"},
		{"a name that needs quotes", `"Q\"@"@v.example`, "local alice"},
		{"all of a domain", "zed@w.example", "relay zed@example.net to mx:example.net tls=may"},
		{"a name that needs quotes, in all of a domain", `"a b"@w.example`, `relay "a b"@example.net to mx:example.net tls=may`},
		{"an address as a name does not come loose", `"x@evil.example"@w.example`, `relay "x@evil.example"@example.net to mx:example.net tls=may`},
		{"a command as a name is a name", "|cmd@all.example", "refuse 550 5.1.1 |cmd: no such user here"},
		{"so is error:", `"error:5.1.1:550 x"@all.example`, `refuse 550 5.1.1 "error:5.1.1:550 x": no such user here`},
		{"all of a domain here", "alice@all.example", "local alice"},
		{"all with detail", "a+b@v2.example", "relay a+b@example.net to mx:example.net tls=may"},
		{"all without", "a@v2.example", "relay a@example.net to mx:example.net tls=may"},
		{"default for detail", "a+b@v3.example", "relay b@example.net to mx:example.net tls=may"},
		{"default for empty detail", "a+@v3.example", "relay plus-a@example.net to mx:example.net tls=may"},
		{"default without detail", "a@v3.example", "relay a@plain.example to mx:plain.example tls=may"},
		{"a chain of eight comes to its end", "x@chain1.example", "local Bob"},
		{"a circle waits", "x@loop.example", "refuse 451 4.3.5 the tables lead in a circle"},
		{"so does one of one", "self@v.example", "refuse 451 4.3.5 mail for self@v.example has no place to go"},
		{"a local domain has virtual users", "alice@example.org", "local Bob"},
		{"and its own", "Bob@example.org", "local Bob"},
		{"a domain in Unicode", "x@xn--bcher-kva.example", "local alice"},
		{"a virtual domain with a next hop for the others", "other@m.example", "relay other@m.example to host:relay.example:25 tls=may"},
		{"and one who stays", "keep@m.example", "relay keep@m.example to host:relay.example:25 tls=may"},
		{"and one who does not", "alice@m.example", "local Bob"},
		{"a domain below is another", "x@sub.v.example", "relay x@sub.v.example to mx:sub.v.example tls=may"},

		{"a host as it is", "x@m.example", "relay x@m.example to host:relay.example:25 tls=may"},
		{"all below", "x@b.m2.example", "relay x@b.m2.example to mx:hub.b.example tls=may"},
		{"the longest counts", "x@c.a.m2.example", "relay x@c.a.m2.example to host:192.0.2.9:25 tls=may"},
		{"not the domain itself", "x@m2.example", "relay x@m2.example to mx:m2.example tls=may"},
		{"a port", "x@p.example", "relay x@p.example to host:relay.example:587 tls=may"},
		{"a port of a domain", "x@p2.example", "relay x@p2.example to mx:relay.example:587 tls=may"},
		{"a host without a mailer", "x@bare.example", "relay x@bare.example to mx:mail.example.net tls=may"},
		{"an address of IPv6", "x@six.example", "relay x@six.example to host:[2001:db8::9]:2525 tls=may"},
		{"one user gets all", "x@l.example", "local alice"},
		{"users here", "Bob@l2.example", "local Bob"},
		{"no user here", "nosuch@l2.example", "refuse 550 5.1.1 nosuch: no such user here"},
		{"an alias gets all", "x@l3.example", "alice@mail.example.org; x@example.com"},
		{"a refusal", "x@e.example", "refuse 550 5.1.2 no such host"},
		{"a refusal by a word", "x@e2.example", "refuse 550 5.1.2 no such host"},
		{"several hosts", "x@many.example", "relay x@many.example to mx:a.example:host:b.example:26:mx:c.example tls=may"},
		{"LMTP", "x@lm.example", "relay x@lm.example to lmtp:box.example:24 tls=may lmtp"},
		{"a socket", "x@sock.example", "relay x@sock.example to lmtp+unix:unix:/run/box tls=none lmtp"},
		{"a URL", "x@tls.example", "relay x@tls.example to submission:hub.example:587 tls=encrypt"},
		{"a literal", "x@[192.0.2.7]", "relay x@[192.0.2.7] to host:relay.example:25 tls=may"},
		{"another literal", "x@[192.0.2.8]", "relay x@[192.0.2.8] to host:192.0.2.8:25 tls=may"},

		{"an old name of a local domain", "Bob@old.example", "local Bob"},
		{"an old name of a virtual domain", "far@old2.example", "relay bob@example.net to mx:example.net tls=may"},
		{"an old name of a domain elsewhere", "x@newer.example", "relay x@m.example to host:relay.example:25 tls=may"},
		{"an old name of an old name", "eve@older.example", "refuse 550 5.1.1 eve@example.org: no such user here"},
		{"old names in a circle", "x@round.example", "refuse 451 4.3.5 the tables lead in a circle"},
		{"a name in local-host-names", "alice@OWN.example", "local alice"},
		{"another in its line", "alice@own3.example", "local alice"},
		{"a comment there is none", "alice@ours", "relay alice@ours to mx:ours tls=may"},

		{"an alias whose members are virtual", "list2", "x@w.example; info@v.example"},
		{"an alias of one who is virtual and refused", "member", "refuse 550 5.1.1 No such user here"},
		{"an alias of nobody in a virtual domain", "to-virtual", "refuse 550 5.1.1 nosuch@v.example: no such user here"},
	} {
		d := r.Route(parse(c.rcpt))
		if got := briefly(d); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s\n%s", c.name, c.rcpt, got, c.want, steps(d))
		}
	}
}

func TestMembersGoByTheTables(t *testing.T) {
	r := router(tabled(t))
	for _, c := range []struct{ name, rcpt, want string }{
		{"a virtual user", "info@v.example", "local alice"},
		{"who is elsewhere", "x@w.example", "relay x@example.net to mx:example.net tls=may"},
		{"who is nobody", "nosuch@v.example", "refuse 550 5.1.1 nosuch@v.example: no such user here"},
		{"who is an alias", "list@v.example", "alice@mail.example.org; x@example.com"},
		{"a next hop", "x@m.example", "relay x@m.example to host:relay.example:25 tls=may"},
		{"a user", "alice@own.example", "local alice"},
	} {
		d := r.Final(Member{Address: c.rcpt})
		if got := briefly(d); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s\n%s", c.name, c.rcpt, got, c.want, steps(d))
		}
	}
}

func TestStepsNameFileAndLine(t *testing.T) {
	conf := tabled(t)
	tables := strings.NewReplacer(conf.Tables.Virtusertable, "VIRT", conf.Tables.Mailertable, "MAILER", conf.Tables.Domaintable, "DOMAIN",
		conf.Tables.LocalHostNames, "NAMES", conf.Aliases[0], "ALIASES")
	for _, c := range []struct{ rcpt, want string }{
		{"far@old2.example", "v.example has the place of old2.example (DOMAIN:2)\n" +
			"virtusertable has bob@example.net for far@v.example: Far@V.example (VIRT:3)\n" +
			"example.net is not local (hostname, domains)\n" +
			"smarthost.url is not set: mail goes to the mail exchangers (MX) of example.net"},
		{"list@v.example", "virtusertable has two for list@v.example: list@v.example (VIRT:13)\n" +
			"two has no domain: it is local\n" +
			"two (ALIASES:1) is an alias\n" +
			"recipients: 2\nalice\nx@example.com"},
		{"nosuch@v.example", "v.example is a virtual domain, and virtusertable (VIRT) has no line for nosuch@v.example\n" +
			"it is refused: nosuch@v.example: no such user here"},
		{"x@b.m2.example", "b.m2.example is not local (hostname, domains)\n" +
			"mailertable has esmtp:hub.%1.example for .m2.example: b.m2.example (MAILER:3)"},
		{"alice@own3.example", "own3.example is one of the local domains (NAMES:2): it is local\n" +
			"user alice exists: local.mailbox says where the mail is kept"},
	} {
		d := router(conf).Route(parse(c.rcpt))
		if got := tables.Replace(strings.TrimSpace(steps(d))); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.rcpt, got, c.want)
		}
	}
}

func TestWhatIsWrongInATable(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*config.Tables, string)
		text string
		want string
	}{
		{"a key without a domain", virtuser, "alice bob", "1: alice: neither user@domain nor @domain"},
		{"a key that is no address", virtuser, "a@@b.example bob", "1: a@@b.example: more than one @"},
		{"several", virtuser, "\na@b.example bob, alice", "2: a@b.example: only one can stand here; make an alias of several and name that"},
		{"two words", virtuser, "a@b.example bob alice", "1: a@b.example: blank inside an address"},
		{"a command", virtuser, "a@b.example |/bin/x", "1: a@b.example: a command, a file or a list cannot stand here; make it an alias and name that"},
		{"a file", virtuser, "a@b.example /var/x", "1: a@b.example: a command, a file or a list cannot stand here; make it an alias and name that"},
		{"an included list", virtuser, "a@b.example :include:/x", "1: a@b.example: a command, a file or a list cannot stand here; make it an alias and name that"},
		{"an error without a code", virtuser, "a@b.example error:gone", `1: a@b.example: an error needs a reply code of 400 to 599, as in "550 go away"`},
		{"codes that disagree", virtuser, "a@b.example error:4.1.1:550 gone", "1: a@b.example: the reply 550 and the enhanced code 4.1.1 disagree"},
		{"no mailer", mailer, "b.example uucp:x", "1: b.example: there is no mailer uucp; there are smtp, esmtp, relay, lmtp, local and error"},
		{"no host", mailer, "b.example smtp:", "1: b.example: a mailer needs a host, as in smtp:[mail.example.org]"},
		{"a port alone", mailer, "b.example smtp:25", "1: b.example: 25 is no port of a host"},
		{"half of a bracket", mailer, "b.example smtp:[x.example", "1: b.example: [x.example is no host"},
		{"a path", mailer, "b.example lmtp:/run/x", "1: b.example: the host is no host"},
		{"a user's domain", mailer, "b.example local:a@b", "1: b.example: local: needs the name of a user, or nothing"},
		{"a login", mailer, "b.example submission://me@x.example", "1: b.example: a URL in this table may not name a user"},
		{"no domain", mailer, "a@b smtp:[x.example]", "1: a@b: invalid domain"},
		{"no domain for a domain", domains, "b.example a@b", "1: b.example: invalid domain"},
		{"no domain in a list", names, "b.example\nb..example", "2: b..example: invalid domain"},
		{"no address in a list", relays, "10.1.2.3.4", "1: 10.1.2.3.4: neither a domain nor an address"},
		{"a smarthost without its password", smarthosts, "a@b.example submission://a@x.example", "1: a@b.example: the path of a file with the user's password must follow"},
		{"a password without a user", smarthosts, "a@b.example submission://x.example /p", "1: a@b.example: submission://x.example has a password but names no user, as in submission://user@host"},
		{"no URL", smarthosts, "a@b.example x.example", "1: a@b.example: must be scheme://user@host:port, with a scheme of smtp, submission, submissions, lmtp, lmtp+unix"},
		{"no sender", smarthosts, "b.example smtp://x.example", "1: b.example: neither user@domain nor @domain"},
	} {
		conf := system(withTable(t, c.set, c.text))
		r := router(conf)
		list := r.Tables()
		if len(list) != 1 || list[0].Err == nil {
			t.Errorf("%s: %+v", c.name, list)
			continue
		}
		got := status.From(list[0].Err).Unwrap().Error()
		if got = strings.ReplaceAll(got, list[0].Path+":", ""); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		if c.name == "a key without a domain" || c.name == "no mailer" {
			for _, rcpt := range []string{"alice", "x@example.com"} {
				if got := brief(r.Route(parse(rcpt))); got != "refuse 451 4.3.5 a table cannot be used" {
					t.Errorf("%s: mail for %s: %s", c.name, rcpt, got)
				}
			}
			if got := brief(r.Final(Member{Address: "x@example.com"})); got != "refuse 451 4.3.5 a table cannot be used" {
				t.Errorf("%s: a member: %s", c.name, got)
			}
		}
	}
}

func TestTablesOfTheSystemAreNotAUsers(t *testing.T) {
	conf := tabled(t, userInstallation)
	if got := briefly(router(conf).Route(parse("far@v.example"))); got != "relay bob@example.net to mx:example.net tls=may" {
		t.Errorf("one that it names: %s", got)
	}
	conf.Tables = config.Default().Tables
	if list := router(conf).Tables(); len(list) > 0 {
		t.Errorf("%+v", list)
	}
	opened := openTables(conf, nil)
	for _, m := range opened.all() {
		if m != nil {
			t.Errorf("%s is opened", m.Path())
		}
	}
}

func TestPlaces(t *testing.T) {
	r := router(tabled(t))
	for domain, want := range map[string]Place{
		"mail.example.org": LocalPlace, "example.org": LocalPlace, "own2.example": LocalPlace, "old.example": LocalPlace, "localhost": LocalPlace,
		"v.example": Virtual, "W.example": Virtual, "old2.example": Virtual, "bücher.example": LocalPlace,
		"relayed.example": RelayPlace, "a.b.relayed.example": RelayPlace, "notrelayed.example": Elsewhere,
		"foo.10.1": Elsewhere, "10.1": Elsewhere, "192.0.2.55": Elsewhere, "x.192.0.2.55": Elsewhere, "a.org.9": RelayPlace,
		"m.example": Virtual, "p.example": Elsewhere, "example.com": Elsewhere, "[192.0.2.1]": Elsewhere, "": Elsewhere, "a b": Elsewhere,
	} {
		if got, err := r.Place(domain); got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", domain, got, err, want)
		}
	}
	for name, set := range map[string]func(*config.Tables, string){"virtusertable": virtuser, "domaintable": domains, "local-host-names": names, "relay-domains": relays} {
		broken := router(system(withTable(t, set, "x..y z\n")))
		if got, err := broken.Place("example.com"); err == nil {
			t.Errorf("a broken %s: %v, no error", name, got)
		}
	}
}

func TestRelaysFor(t *testing.T) {
	r := router(tabled(t))
	for _, c := range []struct {
		host, addr string
		want       bool
	}{
		{"", "10.1.2.3", true}, {"", "10.11.2.3", false}, {"", "::ffff:10.1.2.3", true}, {"", "192.0.2.55", true}, {"", "192.0.2.5", false},
		{"", "2001:db8::7", true}, {"", "2001:db8::8", false}, {"a.relayed.example", "198.51.100.1", true}, {"relayed.example.net", "198.51.100.1", false},
	} {
		if got, err := r.RelaysFor(c.host, netip.MustParseAddr(c.addr)); got != c.want || err != nil {
			t.Errorf("%s [%s]: %v, %v", c.host, c.addr, got, err)
		}
	}
	if got, err := router(system()).RelaysFor("", netip.MustParseAddr("10.1.2.3")); got || err != nil {
		t.Error(got, err)
	}
}

func TestForSender(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := "alice@example.org submissions://alice@smtp.example.com " + secret + "\n" +
		"@example.net smtp://192.0.2.3:2525\nbob+*@example.org smtp://plus.example\n@main.example submission://me@main.example\n"
	main := func(c *config.Config) {
		c.Smarthost = config.Smarthost{URL: "submission://me@main.example", PasswordFile: secret}
	}
	for _, c := range []struct {
		name    string
		conf    config.Config
		rcpt    string
		senders []string
		want    string
	}{
		{"a sender", system(withTable(t, smarthosts, table), main), "x@example.com", []string{"Alice@Example.ORG"}, "submissions:smtp.example.com:465:alice"},
		{"a sender with detail", system(withTable(t, smarthosts, table), main), "x@example.com", []string{"alice+x@example.org"}, "submissions:smtp.example.com:465:alice"},
		{"one with a line for detail", system(withTable(t, smarthosts, table), main), "x@example.com", []string{"bob+x@example.org"}, "smtp:plus.example:25"},
		{"a sender's domain", system(withTable(t, smarthosts, table), main), "x@example.com", []string{"eve@example.net"}, "smtp:192.0.2.3:2525"},
		{"another sender", system(withTable(t, smarthosts, table), main), "x@example.com", []string{"eve@example.com"}, "submission:main.example:587:me"},
		{"as it will be seen", system(withTable(t, smarthosts, table), main), "x@example.com", []string{"alice@host", "alice@example.org"}, "submissions:smtp.example.com:465:alice"},
		{"the smarthost of all, with its password", system(withTable(t, smarthosts, table), main), "x@example.com", []string{"x@main.example"}, "submission:main.example:587:me"},
		{"no sender at all", system(withTable(t, smarthosts, table), main), "x@example.com", []string{"", ""}, "submission:main.example:587:me"},
		{"a line of mailertable counts more", system(withTable(t, smarthosts, table), withTable(t, mailer, "example.com smtp:[h.example]"), main), "x@example.com", []string{"eve@example.net"}, "host:h.example:25"},
		{"mail that stays here", system(withTable(t, smarthosts, table), main), "alice", []string{"eve@example.net"}, ""},
		{"no table", system(main), "x@example.com", []string{"eve@example.net"}, "submission:main.example:587:me"},
	} {
		r := router(c.conf)
		d := r.ForSender(r.Route(parse(c.rcpt)), c.senders...)
		if d.Next.Key != c.want {
			t.Errorf("%s: %q\nwant %q\n%s", c.name, d.Next.Key, c.want, steps(d))
		}
		if strings.HasPrefix(c.want, "submission") {
			if p, err := d.Next.Auth.Password(); p != "s3cret" || err != nil {
				t.Errorf("%s: password %q, %v", c.name, p, err)
			}
		}
	}
	if got := brief(router(system(withTable(t, smarthosts, "x\n"))).ForSender(Decision{Kind: Relay, Default: true}, "a@b.example")); got != "refuse 451 4.3.5 a table cannot be used" {
		t.Errorf("a broken table: %s", got)
	}
}
