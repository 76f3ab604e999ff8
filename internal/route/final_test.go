package route

import (
	"strings"
	"testing"
)

func TestFinalDoesNotLookForAliases(t *testing.T) {
	conf := system(withAliases(t, "alice: Bob\nroot: alice\n"), rootTo("alice"))
	own := system(userInstallation)
	const via = "alice@example.org"
	for _, c := range []struct {
		name string
		m    Member
		want string
		user string // in a user installation, if it differs
	}{
		{"a user", Member{Address: "alice+x@example.org"}, "local alice", ""},
		{"a mailbox", Member{Address: "Bob@example.org", Agent: AgentMailbox}, "mailbox local Bob", "refuse 550 5.7.1 Bob: delivery to other users needs the system installation"},
		{"a mailbox elsewhere", Member{Address: "x@example.com", Agent: AgentMailbox}, "relay x@example.com to mx:example.com tls=may", ""},
		{"root", Member{Address: "postmaster"}, "local root", "local alice"},
		{"elsewhere", Member{Address: "x@example.com"}, "relay x@example.com to mx:example.com tls=may", ""},
		{"nobody", Member{Address: "eve"}, "refuse 550 5.1.1 eve: no such user here", ""},
		{"no address", Member{Address: "a b"}, "refuse 553 5.1.3 not an address", ""},
		{"a command", Member{Address: "|/bin/p", Agent: AgentCommand, Via: via}, "command |/bin/p of alice@example.org", "command |/bin/p of alice@example.org for alice"},
		{"a file", Member{Address: "/f", Agent: AgentFile, Via: via}, "file /f of alice@example.org", "file /f of alice@example.org for alice"},
		{"a Maildir", Member{Address: "/m/", Agent: AgentMaildir, Via: via}, "maildir /m/ of alice@example.org", "maildir /m/ of alice@example.org for alice"},
		{"a command of nobody", Member{Address: "|/bin/p", Agent: AgentCommand}, "refuse 451 4.3.5 it is not known who has named a command or a file", ""},
		{"an agent of another version", Member{Address: "/f", Agent: "?"}, "refuse 451 4.3.5 this version does not know how to deliver to ?", ""},
		{"what makes no sense", Member{Address: "b c", Agent: AgentNone}, "refuse 550 5.2.4 the list names somebody who is no recipient", ""},
	} {
		if got := brief(router(conf).Final(c.m)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if c.user == "" {
			c.user = c.want
		}
		if got := brief(router(own).Final(c.m)); got != c.user {
			t.Errorf("%s in a user installation: %s, want %s", c.name, got, c.user)
		}
	}
}

func TestForward(t *testing.T) {
	conf := system(withAliases(t, "staff: alice, x@example.com\none: alice\n"))
	for _, c := range []struct{ name, user, said, want, key string }{
		{"somebody elsewhere", "alice@example.org", "x@Example.com", "x@Example.com of alice@example.org", "address x@example.com"},
		{"a user, in the domain that was written", "alice@example.org", "Bob", "Bob@example.org of alice@example.org", "local bob"},
		{"a user, at origin", "alice", "Bob", "Bob@mail.example.org of alice@mail.example.org", "local bob"},
		{"himself", "alice@localhost", "ALICE@example.org", "ALICE@example.org of alice@mail.example.org", "local alice"},
		{"a mailbox", "alice@example.org", `\alice`, "mailbox alice@example.org of alice@example.org", "mailbox local alice"},
		{"a mailbox elsewhere is somebody", "alice@example.org", `\x@example.com`, "x@example.com of alice@example.org", "address x@example.com"},
		{"an alias of several", "alice@example.org", "staff", "staff@example.org of alice@example.org", "alias local staff"},
		{"an alias of one", "alice@example.org", "one", "one@example.org of alice@example.org", "local alice"},
		{"a command", "alice@example.org", "|/bin/p a", "command |/bin/p a of alice@example.org", "command alice@example.org |/bin/p a"},
		{"a file", "alice@example.org", "/f", "file /f of alice@example.org", "file alice@example.org /f"},
		{"a Maildir", "alice@example.org", "/m/", "maildir /m/ of alice@example.org", "maildir alice@example.org /m/"},
		{"nobody", "alice@example.org", "eve", "eve@example.org of alice@example.org", ""},
		{"what makes no sense", "alice@example.org", "b c", "none b c of alice@example.org", ""},
		{"the null address", "alice@example.org", "<>", "none <> of alice@example.org", ""},
		{"nothing", "alice@example.org", `\`, `none \ of alice@example.org`, ""},
	} {
		list := router(conf).Forward(parse(c.user), []string{c.said})
		if got := briefMember(list[0]); len(list) != 1 || got != c.want || list[0].Key != c.key || (list[0].Agent == AgentNone) != (list[0].Fault != "") {
			t.Errorf("%s: %s: %s, key %q, want %s, %q", c.name, c.said, got, list[0].Key, c.want, c.key)
		}
	}
}

func TestKeysTellRecipientsApart(t *testing.T) {
	conf := system(withAliases(t, "staff: alice, |/bin/p\narchive: |/bin/p\nalices: \\\\alice, |/bin/p\n"))
	key := func(rcpt string) string { d := router(conf).Route(parse(rcpt)); return d.Key() }
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"a user, in any domain", "alice@localhost", "ALICE@example.org", true},
		{"a user and another", "alice", "Bob", false},
		{"a command, by whatever alias", "archive", "archive@example.org", true},
	} {
		if a, b := key(c.a), key(c.b); (a == b) != c.same || a == "" {
			t.Errorf("%s: %q, %q", c.name, a, b)
		}
	}
	for rcpt, want := range map[string]string{"staff": "local alice; " + key("archive"), "alices": "mailbox local alice; " + key("archive")} {
		var keys []string
		for _, m := range router(conf).Route(parse(rcpt)).Members {
			keys = append(keys, m.Key)
		}
		if got := strings.Join(keys, "; "); got != want {
			t.Errorf("%s: %s, want %s", rcpt, got, want)
		}
	}
}
