package queuerun

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/local"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// The world rewrites nothing, unless it has a router that does.

func (w *world) Sender(s string) (string, error) {
	if w.outward == nil {
		return s, nil
	}
	return w.outward.Sender(s)
}

func (w *world) ForSender(d route.Decision, senders ...string) route.Decision {
	if w.outward == nil {
		return d
	}
	d.Default = true
	if d = w.outward.ForSender(d, senders...); d.Next.Host != "" {
		d.Next.Domain = d.Next.Host // where the world looks
	}
	return d
}

func (w *world) Message(b *io.SectionReader) (*io.SectionReader, error) {
	if w.outward == nil {
		return b, nil
	}
	return w.outward.Message(b)
}

func (toSink) Sender(s string) (string, error)                        { return s, nil }
func (toSink) ForSender(d route.Decision, _ ...string) route.Decision { return d }
func (toSink) Message(b *io.SectionReader) (*io.SectionReader, error) { return b, nil }
func body(t testing.TB, b *io.SectionReader) string {
	t.Helper()
	text, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// masquerading makes a bench whose mail leaves as from example.org.
func masquerading(t *testing.T, edit func(*config.Config)) *bench {
	t.Helper()
	b := newBench(t, nil)
	conf := settings()
	conf.Tables, conf.Masquerade, conf.MasqueradeDomains = config.Tables{}, "example.org", []string{"here.test"}
	edit(&conf)
	b.world.outward = route.New(conf, nil, nil)
	return b
}

func TestMailIsRewrittenOnItsWayOutOnly(t *testing.T) {
	b := masquerading(t, func(*config.Config) {})
	down(b.world, nil)
	b.world.dsn = true
	const text = "From: Alice <alice@here.test>\r\nTo: bob@here.test\r\n\r\nFrom: alice@here.test\r\n"
	b.queueText(text, queue.Envelope{Sender: "alice@here.test", Rcpts: []queue.Rcpt{{Address: "a@y.test"}, {Address: "c@local.test"}, {Address: "late@x.test"}}})
	here := ""
	deliver := b.Deliver
	b.Deliver = func(c context.Context, spec string, u local.User, d local.Delivery) *status.Status {
		here = d.Sender + "\n" + body(t, d.Body)
		return deliver(c, spec, u, d)
	}
	b.run(Selection{})
	away := strings.Replace(text, "<alice@here.test>", "<alice@example.org>", 1)
	if here != "alice@here.test\n"+text {
		t.Errorf("here: %q", here)
	}
	if m := b.world.sent[0]; m.Sender != "alice@example.org" || body(t, m.Body) != away || m.Body.Size() != int64(len(away)) {
		t.Errorf("away: %s, %q", m.Sender, body(t, m.Body))
	}
	m := b.message()
	if c, err := b.spool.Claim(m.Entry); err != nil || c.Envelope.Sender != "alice@here.test" || body(t, c.Body()) != text {
		t.Errorf("queued: %+v, %v", c, err)
	} else {
		c.Close()
	}
	delete(b.world.connect, "mx.x.test")
	b.clock.add(time.Hour)
	b.run(Selection{})
	if m := b.world.sent[1]; m.Sender != "alice@example.org" || body(t, m.Body) != away {
		t.Errorf("later: %s, %q", m.Sender, body(t, m.Body))
	}
	b.wantEmpty()
}

func TestAReportHasNoSenderOnItsWayOut(t *testing.T) {
	b := masquerading(t, func(*config.Config) {})
	b.queue("x", queue.Envelope{Rcpts: []queue.Rcpt{{Address: "a@y.test"}}})
	b.run(Selection{})
	if len(b.world.sent) != 1 || b.world.sent[0].Sender != "" {
		t.Errorf("%+v", b.world.sent)
	}
}

func TestASenderHasASmarthost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "smarthosts")
	if err := errors.Join(os.WriteFile(path, []byte("alice@example.org smtp://alices.test\n@lists.test smtp://lists.test\n"), 0o600), os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))); err != nil {
		t.Fatal(err)
	}
	b := masquerading(t, func(c *config.Config) { c.Tables.Smarthosts = path })
	b.world.aliases = map[string][]route.Member{"list@here.test": members("owner@lists.test", "c@y.test")}
	var dialed []string
	dial := b.Dial
	b.Dial = func(c context.Context, t smtp.Target, o smtp.Options) (Session, error) {
		dialed = append(dialed, t.Name)
		return dial(c, t, o)
	}
	for _, from := range []string{"alice@here.test", "bob@here.test"} {
		b.queue("x", queue.Envelope{Sender: from, Rcpts: []queue.Rcpt{{Address: "a@y.test"}}})
		b.run(Selection{})
	}
	b.queue("x", queue.Envelope{Sender: "alice@here.test", Rcpts: []queue.Rcpt{{Address: "list@here.test"}}})
	b.run(Selection{})
	if got := strings.Join(dialed, " "); got != "mx.alices.test mx.y.test mx.lists.test" {
		t.Errorf("dialed %s", got)
	}
}

func TestABrokenTableHoldsMail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "genericstable")
	if err := errors.Join(os.WriteFile(path, []byte("alice\n"), 0o600), os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))); err != nil {
		t.Fatal(err)
	}
	b := masquerading(t, func(c *config.Config) { c.Tables.Genericstable = path })
	b.submit("x", "a@y.test")
	if res := b.run(Selection{}); res.Deferred != 1 {
		t.Errorf("%+v", res)
	}
	last, _ := b.message().History.Last(0)
	if last.Text != "a table cannot be used" {
		t.Errorf("%+v", last)
	}
}

// tabled makes a bench with a real router, by these aliases and virtusertable.
func tabled(t *testing.T, aliasText, virtual string) *bench {
	t.Helper()
	b := newBench(t, nil)
	dir := t.TempDir()
	conf := settings()
	conf.Tables, conf.Aliases = config.Tables{Virtusertable: filepath.Join(dir, "virtusertable")}, []string{filepath.Join(dir, "aliases")}
	for path, text := range map[string]string{conf.Aliases[0]: aliasText, conf.Tables.Virtusertable: virtual} {
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))); err != nil {
			t.Fatal(err)
		}
	}
	b.Router = route.New(conf, dns.Zone("y.test. MX 10 mx.y.test.\nmx.y.test. A 192.0.2.1\n"), route.NewPasswd("/dev/null"))
	return b
}

func TestAMemberThatATableMakesAnAlias(t *testing.T) {
	b := tabled(t, "list: x@v.test, a@y.test\ntwo: b@y.test, c@y.test\n", "x@v.test two\n")
	b.submit("hello", "list@mail.here.test")
	b.run(Selection{})
	b.want(map[string]int{"a@y.test hello": 1, "b@y.test hello": 1, "c@y.test hello": 1})
	b.wantEmpty()
}

func TestAliasesAndTablesThatLeadInACircleEnd(t *testing.T) {
	b := tabled(t, "list: x@v.test, a@y.test\n", "x@v.test list\n")
	b.submit("hello", "list@mail.here.test", "x@v.test")
	b.run(Selection{})
	if n := b.world.count("a@y.test hello"); n != 1 {
		t.Errorf("delivered %d times", n)
	}
	if n := len(b.messages()); n > 0 {
		t.Errorf("%d messages wait: %+v", n, b.messages()[0].Envelope.Rcpts)
	}
}
