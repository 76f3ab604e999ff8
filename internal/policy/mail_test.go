package policy

import (
	"os"
	"strings"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/smtpd"
)

func TestMail(t *testing.T) {
	r := build(t, `
From:spam.example          REJECT
From:nice@spam.example     OK
From:trap@                 DISCARD
From:watched.example       QUARANTINE:on watch
From:late.example          421 later
From:us.example            RELAY
`)
	stranger, friend := r.client("192.0.2.77"), r.client("10.1.0.1")
	for _, c := range []struct {
		name   string
		client *smtpd.Client
		from   string
		want   string
	}{
		{"a sender", stranger, "x@good.example", "ok"},
		{"the null sender", stranger, "", "ok"},
		{"a stranger's bare sender", stranger, "joe", "553 5.5.4 <joe>: a sender needs a domain"},
		{"a friend's", friend, "joe", "ok"},
		{"a sender of ours proves nothing and is no crime", stranger, "alice@ours.example", "ok"},
		{"REJECT", stranger, "x@a.spam.example", "550 5.7.1 <x@a.spam.example>: access denied, why: access(From:spam.example)"},
		{"REJECT is for friends too", friend, "x@spam.example", "550 5.7.1 <x@spam.example>: access denied, why: access(From:spam.example)"},
		{"OK", stranger, "nice@spam.example", "ok"},
		{"DISCARD", stranger, "trap@any.example", "ok, discard, why: access(From:trap@)"},
		{"QUARANTINE", stranger, "x@watched.example", "ok, hold: on watch, why: access(From:watched.example)"},
		{"421 ends the session", stranger, "x@late.example", "421 4.7.1 later, close, why: access(From:late.example)"},
		{"RELAY is OK", stranger, "x@us.example", "ok"},
		{"submission without a login", r.client("192.0.2.77", mode(smtpd.Submission)), "x@good.example", "530 5.7.0 log in first"},
		{"even for a network of ours", r.client("10.1.0.1", mode(smtpd.Submission)), "x@good.example", "530 5.7.0 log in first"},
		{"and for the null sender", r.client("10.1.0.1", mode(smtpd.Submission)), "", "530 5.7.0 log in first"},
		{"submission with one", r.client("192.0.2.77", mode(smtpd.Submission), login("alice")), "x@good.example", "ok"},
	} {
		if got := r.mail(c.client, c.from); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	if got := r.rcpt(stranger, "<user@us.example>"); got != "550 5.7.1 <user@us.example>: relaying denied, why: relay" {
		t.Errorf("From: RELAY: %s", got)
	}
}

func logins(table string) func(*rig, *config.Config, *Options) {
	return func(r *rig, c *config.Config, _ *Options) { c.Smtpd.SenderLogins = r.file("logins", table) }
}

func TestSendersBoundToLogins(t *testing.T) {
	r := build(t, "", logins(`
# who may send as whom
alice@ours.example  alice, bob
Info@Ours.example	carol
info@ours.example   dave
@bücher.example     alice
root                alice
noreply@ours.example *
`))
	for _, c := range []struct{ name, login, from, want string }{
		{"its own", "alice", "alice@ours.example", "ok"},
		{"in other letters", "alice", "ALICE@Ours.example", "ok"},
		{"shared", "bob", "alice@ours.example", "ok"},
		{"another's", "eve", "alice@ours.example", "553 5.7.1 <alice@ours.example>: you may not send as this, why: sender_logins"},
		{"lines add up", "dave", "info@ours.example", "ok"},
		{"all of a domain", "alice", "any@xn--bcher-kva.example", "ok"},
		{"of another's domain", "bob", "any@bücher.example", "553 5.7.1 <any@bücher.example>: you may not send as this, why: sender_logins"},
		{"everybody", "eve", "noreply@ours.example", "ok"},
		{"a bare sender", "alice", "root", "ok"},
		{"one that is not in the table", "alice", "x@elsewhere.example", "553 5.7.1 <x@elsewhere.example>: you may not send as this, why: sender_logins"},
		{"a login is compared as it is", "Alice", "alice@ours.example", "553 5.7.1 <alice@ours.example>: you may not send as this, why: sender_logins"},
		{"the null sender", "eve", "", "ok"},
		{"nobody", "", "alice@ours.example", "ok"},
	} {
		if got := r.mail(r.client("192.0.2.77", login(c.login)), c.from); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestABrokenTableOfSenders(t *testing.T) {
	for text, want := range map[string]string{
		"\nalice@ours.example\n": "t:2: alice@ours.example: no login may use this sender; leave the line out",
		"a@@b alice":             "t:1: a@@b: more than one @",
		"@a..b alice":            "t:1: @a..b: invalid domain",
		"@ alice":                "t:1: @: invalid domain",
		"a\x01b alice":           `t:1: a\x01b: invalid character in localpart`,
		"a@b.example " + strings.Repeat("x", maxSenderLine): "t:1: a@b.example: the line is too long",
	} {
		if _, err := parseSenders("t", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
	}
	r := build(t, "", logins("alice@ours.example alice\n"))
	c := r.client("192.0.2.77", login("alice"))
	os.Remove(r.dir + "/logins")
	r.clock = r.clock.Add(time.Minute)
	if got := r.mail(c, "x@ours.example") + " " + r.mail(c, "alice@ours.example"); !strings.HasPrefix(got, "553") || !strings.HasSuffix(got, " ok") {
		t.Errorf("a table that is gone: %s", got)
	}
	if len(r.reports) != 1 {
		t.Errorf("reported: %q", r.reports)
	}
	conf := r.conf
	if _, err := New(conf, r.Policy.o); err == nil {
		t.Error("started without its table")
	}
	conf.Smtpd.SenderLogins, conf.Smtpd.Access = "", r.file("access", "bad")
	if _, err := New(conf, r.Policy.o); err == nil {
		t.Error("started with a broken table")
	}
}

func TestRates(t *testing.T) {
	r := build(t, "", func(_ *rig, c *config.Config, _ *Options) { c.Smtpd.ClientMessages, c.Smtpd.ClientRecipients = 2, 3 })
	const slow = "450 4.7.1 too many messages from your host, try again later, why: client_messages"
	const many = "452 4.7.1 too many recipients from your host, try again later, why: client_recipients"
	c, other, friend := r.client("192.0.2.77"), r.client("192.0.2.77", login("alice")), r.client("10.1.0.1")
	for i, want := range []string{"ok", "ok", slow, slow} {
		if got := r.mail([]*smtpd.Client{c, other}[i%2], "x@good.example"); got != want {
			t.Errorf("message %d: %s", i, got)
		}
		if got := r.mail(friend, "x@good.example"); got != "ok" {
			t.Errorf("a friend's message %d: %s", i, got)
		}
	}
	for i, want := range []string{"550 5.1.1 no@ours.example: no such user here", "550 5.1.1 no@ours.example: no such user here", "550 5.1.1 no@ours.example: no such user here", many} {
		if got := r.rcpt(c, "<no@ours.example>"); got != want {
			t.Errorf("recipient %d: %s", i, got)
		}
	}
	r.clock = r.clock.Add(2 * time.Minute)
	if got := r.mail(c, "x@good.example"); got != "ok" {
		t.Errorf("two minutes later: %s", got)
	}
}

func TestNotes(t *testing.T) {
	r := build(t, "GreetPause: 1\n")
	if n := r.Notes(); len(n) != 1 || !strings.HasSuffix(n[0], "access:1: GreetPause: means nothing here") {
		t.Errorf("%q", n)
	}
}

func FuzzParseSenders(f *testing.F) {
	f.Add("alice@ours.example alice, bob\n@d.example *\n# x\nroot root")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := parseSenders("f", []byte(text))
		if err == nil && len(table) > strings.Count(text, "\n")+1 {
			t.Fatalf("%d lines", len(table))
		}
		table.allow(parse(t, "a@b.example"), "x")
	})
}
