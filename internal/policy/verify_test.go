package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"postrider/aliases"
	"postrider/internal/config"
	"postrider/internal/smtpd"
)

// book is a file of aliases whose private entries are named.
type book struct {
	*aliases.Database
	private string
}

func (b book) Private(e aliases.Entry) bool { return e.Name == b.private }

// brokenBook knows nothing just now.
type brokenBook struct{ book }

func (brokenBook) Lookup(string) (aliases.Entry, bool, error) {
	return aliases.Entry{}, false, errors.New("unreadable")
}

// sheet has lists that cannot be read further.
type sheet struct{ book }

func (sheet) Members(aliases.Entry) ([]aliases.Member, error) { return nil, errors.New("unreadable") }

const passwd = `
root:x:0:0:root:/root:/bin/sh
alice:x:1000:1000:Alice B. Smith,Room 1,555:/home/alice:/bin/sh
bob:x:1001:1001:& Smith:/home/bob:/bin/sh
eve:x:1002:1002:Eve "Root" <root@evil>:/home/eve:/bin/sh
jürgen:x:1003:1003:Jürgen:/home/j:/bin/sh
old:x:1004:1004:Ålice:/home/old:/bin/sh
alice:x:1005:1005:Another:/:/bin/sh
not a line
+nis::::::
`

const aliasText = `
info: alice
boss: info
away: someone@elsewhere.example
team: alice, bob, Carol Jones <carol@elsewhere.example>, boss
secret: alice, bob
robot: "|/usr/bin/robot --key=hidden"
mixed: alice, /var/mail/archive, "|/bin/x"
loop: loop2
loop2: loop
bob: \bob
self: self
`

// gated is a policy whose answers are open to trusted clients, and its aliases.
func gated(t *testing.T, edits ...func(*rig, *config.Config, *Options)) *rig {
	t.Helper()
	return build(t, "", append([]func(*rig, *config.Config, *Options){func(r *rig, c *config.Config, o *Options) {
		c.Aliases = []string{r.file("aliases", aliasText)}
		o.Passwd = r.file("passwd", passwd)
		o.Aliases = book{aliases.Open(c.Aliases, aliases.Options{}), "secret"}
	}}, edits...)...)
}

// replied is an answer as it would be written.
func replied(a smtpd.Answer) string {
	s := a.Status.Diagnostic()
	if len(a.Lines) > 0 {
		s = fmt.Sprintf("%d %s %s", a.Status.Reply(), a.Status.Code(), strings.Join(a.Lines, " | "))
	}
	return s
}

const cannot = "252 2.5.2 cannot VRFY user, but will take mail and try to deliver it"

func TestVerify(t *testing.T) {
	r := gated(t)
	friend := r.client("10.1.0.1")
	for _, c := range []struct{ name, text, want string }{
		{"a user", "alice", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"in brackets", "<alice@ours.example>", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"at another domain of ours", "alice@mx.ours.example", "250 2.1.5 Alice B. Smith <alice@mx.ours.example>"},
		{"in other letters", "ALICE", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"with detail", "alice+x", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"a full name", "Alice B. Smith", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"a word of one", "alice smith", "550 5.1.1 no such user here"},
		{"a first name", "Alice", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"a last name of two", "smith", "553 5.1.4 ambiguous; possibilities are | Alice B. Smith <alice@ours.example> | Bob Smith <bob@ours.example>"},
		{"a quoted full name", `"alice b. smith"`, "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"nobody", "nobody", "550 5.1.1 no such user here"},
		{"nobody at our domain", "nobody@ours.example", "550 5.1.1 nobody@ours.example: no such user here"},
		{"an alias of a user", "info", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"an alias of an alias", "boss@ours.example", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"an alias that leads elsewhere", "away", "251 2.1.5 user not local; will forward to <someone@elsewhere.example>"},
		{"a list", "team", "250 2.1.5 <team@ours.example>"},
		{"a private list", "secret", "250 2.1.5 <secret@ours.example>"},
		{"a command is not shown", "robot", "250 2.1.5 <robot@ours.example>"},
		{"a user that is his own alias", "bob", "250 2.1.5 Bob Smith <bob@ours.example>"},
		{"a circle", "loop", "250 2.1.5 <loop@ours.example>"},
		{"elsewhere", "x@victim.example", cannot},
		{"when nobody knows", "unreadable@ours.example", "451 4.3.0 the user database cannot be read"},
		{"the null address", "<>", "550 5.1.1 no such user here"},
		{"not ASCII", "jürgen@ours.example", "250 2.1.5 <jürgen@ours.example>"},
		{"a name that is no name", "a <b@c>\x01", "550 5.1.1 no such user here"},
		{"percent", "x%victim.example@ours.example", "550 5.1.1 x%victim.example@ours.example: no such user here"},
	} {
		if got := replied(r.Verify(context.Background(), friend, c.text)); got != c.want {
			t.Errorf("%s: VRFY %s\n got %s\nwant %s", c.name, c.text, got, c.want)
		}
	}
	r.Policy.o.Aliases = brokenBook{}
	if got := replied(r.Verify(context.Background(), friend, "alice")); got != "451 4.3.0 local error in processing" {
		t.Errorf("without aliases: %s", got)
	}
	r.Policy.o.Aliases = nil
	if got := replied(r.Verify(context.Background(), friend, "bob")); got != "250 2.1.5 Bob Smith <bob@ours.example>" {
		t.Errorf("no aliases: %s", got)
	}
}

func TestExpand(t *testing.T) {
	r := gated(t)
	friend := r.client("10.1.0.1")
	for _, c := range []struct{ name, text, want string }{
		{"a list with its full names", "team", "250 2.1.5 Alice B. Smith <alice@ours.example> | Bob Smith <bob@ours.example> | Carol Jones <carol@elsewhere.example> | <boss@ours.example>"},
		{"with its domain", "<team@ours.example>", "250 2.1.5 Alice B. Smith <alice@ours.example> | Bob Smith <bob@ours.example> | Carol Jones <carol@elsewhere.example> | <boss@ours.example>"},
		{"an alias", "info", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"a private list", "secret", "550 5.7.1 <secret@ours.example>: its members are not shown"},
		{"commands are not shown", "robot", "550 5.7.1 <robot@ours.example>: its members are not shown"},
		{"nor files, beside addresses", "mixed", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"a user", "alice", "250 2.1.5 Alice B. Smith <alice@ours.example>"},
		{"nothing", "nothing", "550 5.1.1 no such user here"},
		{"a full name is no list", "Alice B. Smith", "550 5.1.1 no such list here"},
		{"elsewhere", "list@victim.example", "550 5.7.1 <list@victim.example>: not a list of this host"},
	} {
		a := r.Expand(context.Background(), friend, c.text)
		if got := replied(a); got != c.want {
			t.Errorf("%s: EXPN %s\n got %s\nwant %s", c.name, c.text, got, c.want)
		}
		if s := replied(a); strings.Contains(s, "hidden") || strings.Contains(s, "/") {
			t.Errorf("%s: %s", c.name, s)
		}
	}
	b := r.Policy.o.Aliases.(book)
	r.Policy.o.Aliases = sheet{b}
	if got := replied(r.Expand(context.Background(), friend, "team")); got != "451 4.3.0 local error in processing" {
		t.Errorf("a list that cannot be read: %s", got)
	}
	r.Policy.o.Aliases = brokenBook{}
	if got := replied(r.Expand(context.Background(), friend, "team")); got != "451 4.3.0 local error in processing" {
		t.Errorf("aliases that cannot be read: %s", got)
	}
}

// What the aliases say in a file that not everybody may read is no answer for anybody over the network.
func TestPrivateAliasesAreNotShown(t *testing.T) {
	for _, c := range []struct {
		mode             os.FileMode
		away, info, team string
	}{
		{0o644, "251 2.1.5 user not local; will forward to <someone@elsewhere.example>", "250 2.1.5 Alice B. Smith <alice@ours.example>",
			"250 2.1.5 Alice B. Smith <alice@ours.example> | Bob Smith <bob@ours.example> | Carol Jones <carol@elsewhere.example> | <boss@ours.example>"},
		{0o640, "250 2.1.5 <away@ours.example>", "250 2.1.5 <info@ours.example>", "550 5.7.1 <team@ours.example>: its members are not shown"},
	} {
		r := gated(t, func(r *rig, conf *config.Config, o *Options) {
			conf.Smtpd.Vrfy, conf.Smtpd.Expn = "all", "all"
			if err := os.Chmod(conf.Aliases[0], c.mode); err != nil {
				r.t.Fatal(err)
			}
			o.Aliases = aliases.Open(conf.Aliases, aliases.Options{})
		})
		for _, client := range []*smtpd.Client{r.client("192.0.2.77"), r.client("10.1.0.1")} {
			for name, want := range map[string]string{"away": c.away, "info": c.info} {
				if got := replied(r.Verify(context.Background(), client, name)); got != want {
					t.Errorf("mode %o: VRFY %s: %s", c.mode, name, got)
				}
			}
			if got := replied(r.Expand(context.Background(), client, "team")); got != c.team {
				t.Errorf("mode %o: EXPN team: %s", c.mode, got)
			}
		}
	}
}

func TestALongListIsNotShown(t *testing.T) {
	r := gated(t, func(r *rig, c *config.Config, o *Options) {
		c.Aliases = []string{r.file("long", "all: a"+strings.Repeat(", a@b.example", maxShown)+"\n")}
		o.Aliases = book{aliases.Open(c.Aliases, aliases.Options{}), ""}
	})
	if got := replied(r.Expand(context.Background(), r.client("10.1.0.1"), "all")); got != "550 5.7.1 <all@ours.example>: it has too many members to show" {
		t.Error(got)
	}
}

func TestWhoGetsAnswers(t *testing.T) {
	const (
		off    = "502 5.7.0 EXPN is not available"
		closed = "550 5.7.1 EXPN is not for you; log in first"
		user   = "250 2.1.5 Alice B. Smith <alice@ours.example>"
	)
	for _, c := range []struct{ setting, client, vrfy, expn string }{
		{"all", "stranger", user, user},
		{"trusted", "stranger", cannot, closed},
		{"off", "stranger", cannot, off},
		{"all", "friend", user, user},
		{"trusted", "friend", user, user},
		{"off", "friend", cannot, off},
		{"trusted", "login", user, user},
		{"trusted", "uid", user, user},
		{"", "friend", cannot, closed},
	} {
		r := gated(t, func(_ *rig, conf *config.Config, _ *Options) { conf.Smtpd.Vrfy, conf.Smtpd.Expn = c.setting, c.setting })
		client := map[string]*smtpd.Client{"stranger": r.client("192.0.2.77"), "friend": r.client("10.1.0.1"),
			"login": r.client("192.0.2.77", login("alice")), "uid": r.client("", uid(1000))}[c.client]
		if got := replied(r.Verify(context.Background(), client, "alice")); got != c.vrfy {
			t.Errorf("VRFY %q, %s: %s", c.setting, c.client, got)
		}
		if got := replied(r.Expand(context.Background(), client, "info")); got != c.expn {
			t.Errorf("EXPN %q, %s: %s", c.setting, c.client, got)
		}
	}
	r := gated(t, func(_ *rig, conf *config.Config, _ *Options) { conf.Smtpd.Vrfy = "all" })
	if got := replied(r.Verify(context.Background(), r.client("192.0.2.77"), "x@victim.example")); got != "551 5.7.1 user not local; please try <x@victim.example>" {
		t.Errorf("a stranger about a stranger: %s", got)
	}
	if got := replied(r.Verify(context.Background(), r.client("192.0.2.77"), "x@backup.example")); got != cannot {
		t.Errorf("a stranger about a relay domain: %s", got)
	}
	if got := replied(r.Verify(context.Background(), &smtpd.Client{Trusted: true}, "alice")); got != cannot {
		t.Errorf("a client that was not judged: %s", got)
	}
}

func TestAnswersAreLimited(t *testing.T) {
	r := gated(t, func(_ *rig, conf *config.Config, _ *Options) { conf.Smtpd.Vrfy, conf.Smtpd.Expn = "all", "all" })
	for _, c := range []struct {
		client *smtpd.Client
		most   int
	}{{r.client("192.0.2.77"), answersToStrangers}, {r.client("10.1.0.1"), answersToFriends}} {
		n := 0
		for range 2 * answersToFriends {
			if a := r.Verify(context.Background(), c.client, "alice"); a.Status.Reply() == 250 {
				n++
			}
		}
		if n != c.most {
			t.Errorf("%d answers, want %d", n, c.most)
		}
		if got := replied(r.Expand(context.Background(), c.client, "team")); got != "450 4.7.1 too many questions, try again later" {
			t.Error(got)
		}
	}
	r.clock = r.clock.Add(2 * time.Minute)
	if got := r.Verify(context.Background(), r.client("192.0.2.77"), "alice").Status; got.Reply() != 250 {
		t.Errorf("two minutes later: %s", got.Diagnostic())
	}
}

func TestFullName(t *testing.T) {
	for _, c := range []struct{ login, gecos, want string }{
		{"bob", "& Smith,Room 1", "Bob Smith"}, {"bob", "", ""}, {"bob", ",,,", ""}, {"bob", "  Bob \t S ", "Bob S"},
		{"eve", `Eve "Root" <root@evil>`, "Eve Root root evil"}, {"x", "a\x01b", `a\x01b`},
		{"x", strings.Repeat("&", 200), strings.Repeat("&", 100) + "..."},
	} {
		if got := fullName(c.login, c.gecos); got != c.want {
			t.Errorf("%q: %q, want %q", c.gecos, got, c.want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("alice")
	f.Add("<a@b>")
	f.Add("Alice B. Smith")
	f.Add("\"a\r\n250 x\"@ours.example")
	people, _ := parsePeople("", []byte(passwd))
	f.Fuzz(func(t *testing.T, text string) {
		people.find(text)
		if a, ok := mailbox(text); ok && (a.IsNull() || strings.ContainsAny(a.String(), "\r\n\x00")) {
			t.Fatalf("%q", a.String())
		}
	})
}

func FuzzParsePeople(f *testing.F) {
	f.Add(passwd)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePeople("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for login, name := range p.names {
			if name == "" || len(name) > maxFullName+3 || strings.ContainsAny(name, "\r\n\x00<>") {
				t.Fatalf("%q: %q", login, name)
			}
		}
	})
}
