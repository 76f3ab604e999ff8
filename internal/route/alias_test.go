package route

import (
	"path/filepath"
	"strings"
	"testing"

	"postrider/internal/config"
)

// withAliases makes a file of aliases and names it in a configuration.
func withAliases(t *testing.T, text string) func(*config.Config) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "aliases")
	writeOld(t, path, text)
	return func(c *config.Config) { c.Aliases = []string{path} }
}

// briefMember is a member as one line.
func briefMember(m Member) string {
	s := m.Address
	if m.Agent != "" {
		s = m.Agent + " " + s
	}
	if m.Via != "" {
		s += " of " + m.Via
	}
	if m.Owner != "" {
		s += " for " + m.Owner
	}
	return s
}

// briefly is brief for all kinds of decisions.
func briefly(d Decision) string {
	if d.Kind != Expand {
		return brief(d)
	}
	var list []string
	for _, m := range d.Members {
		list = append(list, briefMember(m))
	}
	return strings.Join(list, "; ")
}

func TestRouteByAliases(t *testing.T) {
	const lists = `one: alice
far: x@example.com
two: alice, x@example.com
ann: ann2@example.org
ann2: Bob+x
alice+list: x@example.com, y@example.com
root: alice
self: self, alice
staff: two, |/bin/archive, /var/log/mail, /srv/list/, b c
owner-staff: alice
"odd list": alice
"owner-odd list": alice
bad: b c
pipe: |/bin/archive
gone: :include:/nonexistent/list
nobody: eve
nobodies: eve, mallory
escaped: \alice
boxed: \Bob, |/bin/archive
somebody: eve, x@example.com
`
	file := withAliases(t, lists)
	const staff = "alice@D for O; x@example.com for O; command |/bin/archive of staff@D for O; file /var/log/mail of staff@D for O; maildir /srv/list/ of staff@D for O; none b c for O"
	owned := func(domain string) string {
		return strings.NewReplacer("D", domain, "O", "owner-staff@"+domain).Replace(staff)
	}
	for _, c := range []struct {
		name string
		conf config.Config
		rcpt string
		want string
	}{
		{"an alias of one user", system(file), "one", "local alice"},
		{"in any local domain", system(file), "ONE@example.org", "local alice"},
		{"but not elsewhere", system(file), "one@example.net", "relay one@example.net to mx:example.net tls=may"},
		{"an alias of somebody elsewhere", system(file), "far", "relay x@example.com to mx:example.com tls=may"},
		{"an alias of an alias with detail", system(file), "ann", "local Bob"},
		{"an alias of several", system(file), "two", "alice@mail.example.org; x@example.com"},
		{"detail of a user", system(file), "alice+list", "x@example.com; y@example.com"},
		{"detail that is no alias", system(file), "alice+other", "local alice"},
		{"a user without alias", system(file), "Bob", "local Bob"},
		{"root", system(file), "postmaster", "local alice"},
		{"an alias of root comes before local.root", system(file, rootTo("Bob")), "root", "local alice"},
		{"local.root may be an alias", system(withAliases(t, "bob: alice"), rootTo("bob")), "root", "local alice"},
		{"root at origin too", system(file, origin("example.net"), rootTo("two")), "root@example.net", "local alice"},
		{"oneself", system(file), "self", "self@mail.example.org; alice@mail.example.org"},

		{"an owner at origin", system(file), "staff", owned("mail.example.org")},
		{"an owner at the domain that was written", system(file), "staff@example.org", owned("example.org")},
		{"an owner at hostname when origin is not local", system(file, origin("example.net")), "staff@localhost", owned("mail.example.org")},
		{"a literal is no domain for an owner", system(file), "staff@[127.0.0.1]", owned("mail.example.org")},
		{"one recipient with an owner", system(file), `"odd list"`, `alice@mail.example.org for "owner-odd list"@mail.example.org`},

		{"nobody who could be understood waits", system(file), "bad", "refuse 451 4.3.5 mail for bad has no place to go"},
		{"a command is the agent's", system(file), "pipe@example.org", "command |/bin/archive of pipe@example.org"},
		{"or the caller's", system(userInstallation, file), "pipe", "command |/bin/archive of pipe@mail.example.org for alice"},
		{"a user's mailbox", system(file), "escaped", "mailbox local alice"},
		{"a user's mailbox and a command", system(file), "boxed@localhost", "mailbox Bob@mail.example.org; command |/bin/archive of boxed@mail.example.org"},
		{"a list that cannot be read waits", system(file), "gone", "refuse 451 4.2.4 the list of recipients cannot be read"},
		{"an alias of nobody", system(file), "nobody", "refuse 550 5.1.1 eve: no such user here"},
		{"an alias of several of whom there is one", system(file), "somebody", "eve@mail.example.org; x@example.com"},
		{"an alias of several of whom there is none", system(file), "nobodies", "eve@mail.example.org; mallory@mail.example.org"},
		{"no file of aliases", system(func(c *config.Config) { c.Aliases = []string{"/nonexistent/aliases"} }), "alice", "local alice"},
		{"a file that is none", system(func(c *config.Config) { c.Aliases = []string{"/"} }), "alice", "refuse 451 4.3.0 the aliases cannot be read"},

		{"a user installation has the aliases that it names", system(userInstallation, file), "one", "local alice"},
		{"and not the system's", system(userInstallation, func(c *config.Config) { c.Aliases = config.Default().Aliases }), "root", "local alice"},
	} {
		d := router(c.conf).Route(parse(c.rcpt))
		if got := briefly(d); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s\n%s", c.name, c.rcpt, got, c.want, steps(d))
		}
		if len(d.Steps) == 0 || (d.Kind == Refuse) != (d.Status != nil) || (d.Kind == Expand) != (d.Members != nil) {
			t.Errorf("%s: steps %v, status %v", c.name, d.Steps, d.Status)
		}
		got, want := router(c.conf).Check(parse(c.rcpt)), c.want
		switch {
		case c.rcpt == "nobodies":
			want = "refuse 550 5.1.1 nobodies: nobody whom it stands for is here"
		case d.Kind == Expand, c.rcpt == "gone": // that it cannot be read does not matter yet
			want = ""
		}
		if text := briefly(got); text != want {
			t.Errorf("%s: checked %s: %q, want %q", c.name, c.rcpt, text, want)
		}
	}
}

func TestStepsNameTheAliases(t *testing.T) {
	conf := system(withAliases(t, "root: admins\nadmins: alice, far, |/bin/p\nfar: x@example.com\nfar2: far\nowner-far: alice\n"))
	file := conf.Aliases[0]
	for _, c := range []struct{ rcpt, want string }{
		{"postmaster", `postmaster has no domain: it is local
postmaster stands for root
root (F:1) is an alias
recipients: 3
alice, by admins (F:2)
x@example.com, by far (F:3); failures go to owner-far
command |/bin/p, by admins (F:2)
`},
		{"far2", `far2 has no domain: it is local
far2 (F:4) is an alias
recipients: 1
x@example.com, by far (F:3); failures go to owner-far
`},
	} {
		if got := strings.ReplaceAll(steps(router(conf).Route(parse(c.rcpt))), file, "F"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.rcpt, got, c.want)
		}
	}
}

func TestAMemberWhoCannotBeUnderstoodMayBeSomebody(t *testing.T) {
	r := router(system(withAliases(t, "mixed: eve, b c\n")))
	if d := r.Check(parse("mixed")); d.Kind != Expand {
		t.Error(briefly(d))
	}
}
