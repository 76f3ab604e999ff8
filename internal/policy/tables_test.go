package policy

import (
	"context"
	"strings"
	"testing"

	"postrider/internal/config"
	"postrider/internal/route"
)

// withTables gives a policy the tables of routing.
func withTables(virtual, mailer, relays, names, domains string) func(*rig, *config.Config, *Options) {
	return func(r *rig, c *config.Config, _ *Options) {
		c.Tables = config.Tables{
			Virtusertable: r.file("virtusertable", virtual), Mailertable: r.file("mailertable", mailer), RelayDomains: r.file("relay-domains", relays),
			LocalHostNames: r.file("local-host-names", names), Domaintable: r.file("domaintable", domains),
		}
	}
}

func TestRecipientsByTheTables(t *testing.T) {
	r := build(t, "To:closed@virtual.example REJECT\n", withTables(
		"info@virtual.example alice\nfar@virtual.example x@victim.example\ngone@virtual.example error:5.1.1:550 gone away\nclosed@virtual.example bob\n@all.example %1@victim.example\n",
		"mailed.example smtp:[192.0.2.9]\nrelayed.example smtp:[192.0.2.9]\nrefused.relayed.example error:5.1.2:550 no such host\n",
		"relayed.example\n192.0.2.7\n198.51.100\n", "own.example\n", "old.example ours.example\nold2.example virtual.example\n"))
	stranger := r.client("192.0.2.77")
	for _, c := range []struct{ name, rcpt, want string }{
		{"a virtual user", "<info@virtual.example>", "ok, why: virtual"},
		{"in any case", "<INFO@Virtual.Example>", "ok, why: virtual"},
		{"one who is elsewhere", "<far@virtual.example>", "ok, why: virtual"},
		{"one whom the table refuses", "<gone@virtual.example>", "550 5.1.1 gone away"},
		{"one whom nobody knows", "<nobody@virtual.example>", "550 5.1.1 nobody@virtual.example: no such user here"},
		{"one whom the access table refuses", "<closed@virtual.example>", "550 5.2.1 <closed@virtual.example>: no mail is taken for this recipient, why: access(To:closed@virtual.example)"},
		{"postmaster", "<postmaster@virtual.example>", "ok, why: virtual"},
		{"a local user who is no virtual one", "<alice@virtual.example>", "550 5.1.1 alice@virtual.example: no such user here"},
		{"a domain that takes all", "<anybody@all.example>", "ok, why: virtual"},
		{"but not by a victim's address", `<"user@victim.example"@virtual.example>`, `550 5.1.1 "user@victim.example"@virtual.example: no such user here`},
		{"percent to a virtual domain", "<user%victim.example@virtual.example>", "550 5.1.1 user%victim.example@virtual.example: no such user here"},
		{"a domain below a virtual one", "<info@sub.virtual.example>", "550 5.7.1 <info@sub.virtual.example>: relaying denied, why: relay"},
		{"a line of mailertable lets nobody relay", "<x@mailed.example>", "550 5.7.1 <x@mailed.example>: relaying denied, why: relay"},
		{"relay-domains does", "<x@relayed.example>", "ok, why: relay-domains"},
		{"for all below as well", "<x@a.b.relayed.example>", "ok, why: relay-domains"},
		{"unless mailertable refuses", "<x@refused.relayed.example>", "550 5.1.2 no such host"},
		{"but not for what ends alike", "<x@unrelayed.example>", "550 5.7.1 <x@unrelayed.example>: relaying denied, why: relay"},
		{"a user of a name in local-host-names", "<alice@own.example>", "ok, why: local"},
		{"nobody of one", "<eve@own.example>", "550 5.1.1 eve@own.example: no such user here"},
		{"the old name of a local domain", "<alice@old.example>", "ok, why: local"},
		{"the old name of a virtual domain", "<info@old2.example>", "ok, why: virtual"},
		{"and nobody there", "<alice@old2.example>", "550 5.1.1 alice@virtual.example: no such user here"},
	} {
		if got := r.rcpt(stranger, c.rcpt); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.rcpt, got, c.want)
		}
	}
	for addr, want := range map[string]string{
		"192.0.2.7": "ok, why: relay-domains", "198.51.100.99": "ok, why: relay-domains",
		"192.0.2.70": "550 5.7.1 <x@victim.example>: relaying denied, why: relay",
	} {
		c := r.client(addr)
		if got := r.rcpt(c, "<x@victim.example>"); got != want || c.Trusted != strings.HasPrefix(want, "ok") {
			t.Errorf("%s: %s, trusted %v", addr, got, c.Trusted)
		}
	}
}

// What a stranger may do is decided by the place that the mail really goes to.
func TestNoTableButThoseForRelayingLetsStrangersRelay(t *testing.T) {
	const line = "one@gmail.example alice\n"
	virtual := func(mailer, relays string, edits ...func(*config.Config)) func(*rig, *config.Config, *Options) {
		return func(r *rig, c *config.Config, o *Options) {
			withTables(line, mailer, relays, "", "")(r, c, o)
			for _, edit := range edits {
				edit(c)
			}
		}
	}
	domains := func(text string, edits ...func(*config.Config)) func(*rig, *config.Config, *Options) {
		return func(r *rig, c *config.Config, o *Options) {
			withTables(line, "", "relayed.example\n", "c.example\n", text)(r, c, o)
			c.Domains = append(c.Domains, "olddom.example")
			for _, edit := range edits {
				edit(c)
			}
		}
	}
	relay := func(names ...string) func(*config.Config) { return func(c *config.Config) { c.Relay.Domains = names } }
	const denied, nobody = "550 5.7.1 <%>: relaying denied, why: relay", "550 5.1.1 %: no such user here"
	const circle = "451 4.3.5 the tables lead in a circle"
	for _, c := range []struct {
		name string
		edit func(*rig, *config.Config, *Options)
		rcpt string
		want string
	}{
		{"a default hop is no place for others of a virtual domain", virtual(". smtp:[hub.example]\n", ""), "two@gmail.example", nobody},
		{"nor is that of a whole tree", virtual(".example smtp:[hub.example]\n", ""), "two@gmail.example", nobody},
		{"who is in virtusertable is", virtual(". smtp:[hub.example]\n", ""), "one@gmail.example", "ok, why: virtual"},
		{"a line for that domain is", virtual("gmail.example smtp:[hub.example]\n", ""), "two@gmail.example", "ok, why: virtual"},
		{"a default hop is when relay-domains has the domain", virtual(". smtp:[hub.example]\n", "gmail.example\n"), "two@gmail.example", "ok, why: virtual"},
		{"or one above", virtual(".example smtp:[hub.example]\n", "example\n"), "two@gmail.example", "ok, why: virtual"},
		{"so it is when relay.domains has it", virtual(". smtp:[hub.example]\n", "", relay("gmail.example")), "two@gmail.example", "ok, why: virtual"},
		{"or all below one", virtual(". smtp:[hub.example]\n", "", relay(".example")), "two@gmail.example", "ok, why: virtual"},
		{"but no other", virtual(". smtp:[hub.example]\n", "mail.gmail.example\n", relay(".gmail.example", "mail.example", "l.example")), "two@gmail.example", nobody},
		{"mailertable alone", virtual("far.example smtp:[hub.example]\n", ""), "x@far.example", denied},
		{"a default hop alone", virtual(". smtp:[hub.example]\n", ""), "x@far.example", denied},

		{"a local domain that has become a foreign one", domains("olddom.example newdom.example\n"), "victim@olddom.example", denied},
		{"even this machine's name", domains("mx.ours.example newdom.example\n"), "victim@mx.ours.example", denied},
		{"a local domain that has become another local one", domains("olddom.example ours.example\n"), "alice@olddom.example", "ok, why: local"},
		{"by way of a foreign one", domains("a.example b.example\nb.example c.example\n"), "alice@a.example", "ok, why: local"},
		{"a foreign one by way of a local one", domains("a.example c.example\nc.example far.example\n"), "alice@a.example", denied},
		{"by way of a virtual one", domains("a.example gmail.example\ngmail.example far.example\n"), "one@a.example", denied},
		{"one that has become one to relay for", domains("a.example b.example\nb.example relayed.example\n"), "x@a.example", "ok, why: relay-domains"},
		{"one to relay for that has become a foreign one", domains("relayed.example far.example\n"), "x@relayed.example", denied},
		{"by relay.domains", domains("a.example b.example\n", relay("a.example")), "x@a.example", denied},
		{"what has become one in relay.domains", domains("a.example b.example\n", relay("b.example")), "x@a.example", "ok, why: relay.domains"},
		{"a circle", domains("a.example b.example\nb.example a.example\n"), "x@a.example", circle},
	} {
		r := build(t, "", c.edit)
		if got, want := r.rcpt(r.client("192.0.2.77"), "<"+c.rcpt+">"), strings.ReplaceAll(c.want, "%", c.rcpt); got != want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.rcpt, got, want)
		}
	}
}

func TestAClientWhoseNameIsInRelayDomains(t *testing.T) {
	r := build(t, "", withTables("", "", "good.example\n", "", ""))
	if c := r.client("192.0.2.5"); c.Trusted || r.rcpt(c, "<x@victim.example>") != "ok, why: relay-domains" {
		t.Errorf("its name leads back: trusted %v, %s", c.Trusted, r.rcpt(c, "<x@victim.example>"))
	}
	if got := r.rcpt(r.client("192.0.2.6"), "<x@victim.example>"); !strings.HasPrefix(got, "550 5.7.1") {
		t.Errorf("its name does not: %s", got)
	}
}

func TestVrfyByTheTables(t *testing.T) {
	r := build(t, "", withTables("info@virtual.example alice\n", "", "relayed.example\n", "own.example\n", ""),
		func(_ *rig, c *config.Config, _ *Options) { c.Smtpd.Vrfy, c.Smtpd.Expn = "all", "all" })
	c := r.client("192.0.2.77")
	for ask, want := range map[string]string{
		"info@virtual.example":  "250 2.1.5 <alice@virtual.example>",
		"alice@virtual.example": "550 5.1.1 alice@virtual.example: no such user here",
		"alice@own.example":     "250 2.1.5 <alice@own.example>",
		"x@victim.example":      "551 5.7.1 user not local; please try <x@victim.example>",
		"x@relayed.example":     "252 2.5.2 cannot VRFY user, but will take mail and try to deliver it",
	} {
		if got := r.Verify(context.Background(), c, ask).Status.Diagnostic(); got != want {
			t.Errorf("%s: %s, want %s", ask, got, want)
		}
	}
	if got := r.Expand(context.Background(), c, "info@virtual.example").Status.Reply(); got != 550 {
		t.Errorf("EXPN: %d", got)
	}
}

func TestABrokenTableOfRouting(t *testing.T) {
	r := build(t, "", withTables("info@virtual.example alice\n", "", "", "", ""))
	conf := r.conf
	for _, text := range []string{"info@virtual.example\n", "info alice\n"} {
		conf.Tables.Virtusertable = r.file("broken", text)
		router := route.New(conf, nil, fakeUsers{"alice": true})
		if _, err := New(conf, Options{Router: router, Old: r.Policy}); err == nil || !strings.Contains(err.Error(), "/broken:1: info") {
			t.Errorf("%q takes the place of what is right: %v", text, err)
		}
		start := build(t, "", func(_ *rig, c *config.Config, o *Options) { *c, o.Router = conf, router })
		for _, rcpt := range []string{"<info@virtual.example>", "<x@far.example>", "<alice@ours.example>"} {
			if got := start.rcpt(start.client("192.0.2.77"), rcpt); got != "451 4.3.5 a table cannot be used" {
				t.Errorf("%q at the start: %s: %s", text, rcpt, got)
			}
		}
	}
	// A table that breaks under a server's hands leaves what there was.
	r.file("virtusertable", "info alice\n")
	r.clock = r.clock.Add(3e9)
	if got := r.rcpt(r.client("192.0.2.77"), "<info@virtual.example>"); got != "ok, why: virtual" {
		t.Error(got)
	}
}

func TestWhileATableCannotBeReadNobodyIsRefusedForGood(t *testing.T) {
	r := build(t, "", withTables("info@virtual.example alice\n", "", "", "", ""))
	path := r.conf.Tables.Virtusertable
	conf := r.conf
	conf.Tables.Virtusertable = path + ".later"
	r.o.Router = route.New(conf, nil, fakeUsers{"alice": true})
	r.file("virtusertable.later", "broken\n")
	c := r.client("192.0.2.77")
	for _, rcpt := range []string{"<x@victim.example>", "<info@virtual.example>", "<alice@ours.example>"} {
		if got := r.rcpt(c, rcpt); got != "451 4.3.5 a table cannot be used" {
			t.Errorf("%s: %s", rcpt, got)
		}
	}
	if got := r.Verify(context.Background(), c, "x@victim.example"); got.Status.Reply() == 551 && r.mayAsk(c, "all") {
		t.Errorf("VRFY: %s", got.Status.Diagnostic())
	}
}
