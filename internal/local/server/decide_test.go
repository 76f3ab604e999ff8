package server

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestRecipients(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.write("aliases", "list: |/bin/true, /mail/archive, bob@x.test\nnest: list\n\"q q\": \"|/bin/echo a, b\"\nbad: :include:/nonexistent\n", 0o644)
	}, "alice", "bob", "carol", "dave", "erin", "frank")
	w.forward("bob", "\\bob, b@x.test, |/bin/true, /m/box, /m/dir/")
	w.forward("carol", "Carol@Here.test\n")
	w.forward("dave", "dave+copy@here.test, d@x.test")
	w.write("home/dave/.forward+lists", "l@x.test", 0o644)
	w.own("home/dave/.forward+lists", "dave")
	a := w.accounts["erin"]
	a.Home = w.path("home/unmounted/erin")
	w.accounts["erin"] = a
	a = w.accounts["frank"]
	a.Home = "/nonexistent"
	w.accounts["frank"] = a

	for _, c := range []struct{ name, rcpt, want string }{
		{"a user", "<alice@here.test> XRCPT=1", "250 2.1.5 ok"},
		{"in any case of letters", "<ALICE@here.test>", "250 2.1.5 ok"},
		{"without a domain", "<alice>", "250 2.1.5 ok"},
		{"with detail", "<alice+x@here.test>", "250 2.1.5 ok"},
		{"with hostile detail", `<"alice+../../../etc/passwd"@here.test>`, "250 2.1.5 ok"},
		{"nobody", "<zoe@here.test>", "550 5.1.1 zoe@here.test: no such user here"},
		{"a path", "<\"../alice\"@here.test>", "550 5.1.1 \"../alice\"@here.test: no such user here"},
		{"an option", "<-alice@here.test>", "550 5.1.1 -alice@here.test: no such user here"},
		{"a shell's words", "<\"`id`;$(x)|y\"@here.test>", "550 5.1.1 \"`id`;$(x)|y\"@here.test: no such user here"},
		{"a database that cannot be read", "<broken@here.test>", "451 4.3.0 the user database cannot be read"},
		{"a .forward", "<bob@here.test> XRCPT=7", `251-2.1.5 \bob|251-2.1.5 b@x.test|251-2.1.5 |/bin/true|251-2.1.5 /m/box|251 2.1.5 /m/dir/`},
		{"not asked for", "<bob@here.test> XMAILBOX", "250 2.1.5 ok"},
		{"one that names its user", "<carol@here.test>", "250 2.1.5 ok"},
		{"one that names its user among others", "<dave@here.test>", `251-2.1.5 \dave|251 2.1.5 d@x.test`},
		{"one for a detail", "<dave+lists@here.test>", `251 2.1.5 l@x.test`},
		{"a home that is not there", "<erin@here.test>", "451 4.3.0 the user's home directory is not there"},
		{"a mailbox without a home", "<erin@here.test> XMAILBOX", "250 2.1.5 ok"},
		{"a user who is to have no home", "<frank@here.test>", "250 2.1.5 ok"},

		{"a command of a .forward", "<bob@here.test> XMEMBER=|/bin/true", "250 2.1.5 ok"},
		{"a file of a .forward", "<bob@here.test> XMEMBER=/m/box", "250 2.1.5 ok"},
		{"a Maildir of a .forward", "<bob@here.test> XMEMBER=/m/dir/", "250 2.1.5 ok"},
		{"a command that it does not name", "<bob@here.test> XMEMBER=|/bin/sh", `251-2.1.5 \bob|251-2.1.5 b@x.test|251-2.1.5 |/bin/true|251-2.1.5 /m/box|251 2.1.5 /m/dir/`},
		{"a file as a Maildir", "<bob@here.test> XMEMBER=/m/box/", `251-2.1.5 \bob|251-2.1.5 b@x.test|251-2.1.5 |/bin/true|251-2.1.5 /m/box|251 2.1.5 /m/dir/`},
		{"a command of a user without a .forward", "<alice@here.test> XMEMBER=|/bin/true", `251 2.1.5 \alice`},
		{"an address is no member", "<bob@here.test> XMEMBER=b@x.test", "451 4.3.5 this cannot be delivered to"},
		{"a command of an alias", "<list@here.test> XMEMBER=|/bin/true", "250 2.1.5 ok"},
		{"a file of an alias", "<list@here.test> XMEMBER=/mail/archive", "250 2.1.5 ok"},
		{"of an alias in an alias", "<nest@here.test> XMEMBER=|/bin/true", "250 2.1.5 ok"},
		{"with blanks and a comma", `<"q q"@here.test> XMEMBER=|/bin/echo+20a,+20b`, "250 2.1.5 ok"},
		{"a command that no alias names", "<list@here.test> XMEMBER=|/bin/sh", "451 4.3.5 no alias stands for this any more"},
		{"a command of nobody", "<zoe@here.test> XMEMBER=|/bin/true", "451 4.3.5 no alias stands for this any more"},
		{"aliases that cannot be read", "<bad@here.test> XMEMBER=|/bin/true", "451 4.2.4 the list of recipients cannot be read"},

		{"two wishes", "<bob@here.test> XMAILBOX XMEMBER=|x", "501 5.5.4 syntax error"},
		{"what is no xtext", "<bob@here.test> XMEMBER=|x+", "501 5.5.4 syntax error"},
		{"the null address", "<>", "501 5.5.4 syntax error"},
		{"no number", "<bob@here.test> XRCPT=-1", "501 5.5.4 syntax error"},
		{"what nobody knows", "<bob@here.test> XFOO=1", "555 5.5.4 unknown parameter"},
		{"no address", "bob", "501 5.5.4 "},
	} {
		s := w.dial()
		s.say("MAIL FROM:<> XID=A1")
		got := s.say("RCPT TO:" + c.rcpt)
		s.conn.Close()
		if got != c.want && !(strings.HasSuffix(c.want, " ") && strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestATrustedForwardIsRoots(t *testing.T) {
	w := newWorld(t, nil, "alice")
	w.write("home/alice/.forward", "a@x.test\n", 0o644) // root's, when root runs the tests
	if got := w.send(letter, "<alice@here.test>"); got[0] != "251 2.1.5 a@x.test" {
		t.Error(got)
	}
}

// What others could have made does not count, and costs no mail.
func TestUnsafeForwardsDoNotCount(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(w *world) error
	}{
		{"it can be written by others", func(w *world) error {
			w.forward("alice", "evil@x.test")
			return os.Chmod(w.path("home/alice/.forward"), 0o666)
		}},
		{"a link to another's file", func(w *world) error {
			w.forward("bob", "evil@x.test")
			return os.Symlink(w.path("home/bob/.forward"), w.path("home/alice/.forward"))
		}},
		{"another name of a file", func(w *world) error {
			w.forward("alice", "evil@x.test")
			return os.Link(w.path("home/alice/.forward"), w.path("home/alice/x"))
		}},
		{"a pipe", func(w *world) error { return syscall.Mkfifo(w.path("home/alice/.forward"), 0o644) }},
		{"a device", func(w *world) error {
			if !root() {
				return syscall.Mkfifo(w.path("home/alice/.forward"), 0o644)
			}
			return syscall.Mknod(w.path("home/alice/.forward"), syscall.S_IFCHR|0o644, 1<<8|9)
		}},
		{"a home that others can write", func(w *world) error { w.forward("alice", "evil@x.test"); return os.Chmod(w.path("home/alice"), 0o777) }},
	} {
		w := newWorld(t, nil, "alice", "bob")
		if err := c.make(w); err != nil {
			t.Fatal(err)
		}
		if got := w.send(letter, "<alice@here.test>"); got[0] != "250 2.0.0 delivered to mailbox" {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// The message's rights end at the user's: what only root, or somebody else, may read decides nothing.
func TestAForwardThatTheUserMayNotRead(t *testing.T) {
	if !root() {
		t.Log("the file is the user's own here, and nobody may read it")
	}
	w := newWorld(t, nil, "alice")
	w.write("home/alice/.forward", "evil@x.test", 0o000)
	if got := w.send(letter, "<alice@here.test>"); got[0] != "250 2.0.0 delivered to mailbox" {
		t.Error(got)
	}
}

func TestLongForwards(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "user%d@x.test\n", i)
	}
	w.forward("alice", many.String())
	w.forward("bob", many.String()+"one@too.many\n")
	got := strings.Split(w.send(letter, "<alice@here.test>")[0], "|")
	if len(got) != 1000 || got[999] != "251 2.1.5 user999@x.test" {
		t.Errorf("%d: %s", len(got), got[len(got)-1])
	}
	if got := w.send(letter, "<bob@here.test>"); got[0] != "250 2.0.0 delivered to mailbox" {
		t.Error(got)
	}
}
