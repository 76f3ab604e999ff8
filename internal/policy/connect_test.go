package policy

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// connect tells what is said of a client, its name, and what it is told at RCPT.
func (r *rig) connect(addr string, edits ...func(*smtpd.Client)) string {
	c := &smtpd.Client{UID: -1, Helo: "mail.good.example"}
	if addr != "" {
		c.Addr = netip.MustParseAddr(addr)
	}
	for _, edit := range edits {
		edit(c)
	}
	v := r.Connect(context.Background(), c)
	defer r.Close(c)
	said := told(v)
	if c.Name != "" {
		said += ", name " + c.Name
	}
	if c.Trusted {
		said += ", trusted"
	}
	if v.Status == nil {
		if rcpt := r.rcpt(c, "<alice@ours.example>"); !strings.HasPrefix(rcpt, "ok") {
			said += ", then " + rcpt
		}
		if rcpt := r.rcpt(c, "<postmaster>"); c.Mode != smtpd.Submission && !strings.HasPrefix(rcpt, "ok") {
			r.t.Errorf("%s: postmaster: %s", addr, rcpt)
		}
	}
	return said
}

func TestConnect(t *testing.T) {
	r := build(t, `
Connect:192.0.2.20   REJECT
Connect:192.0.2.21   ERROR:5.7.1:550 go away
Connect:192.0.2.22   421 later
Connect:192.0.2.23   DISCARD
Connect:192.0.2.24   QUARANTINE:suspicious
Connect:192.0.2.25   554 no mail here
Connect:10.1.0.66    REJECT
Connect:10.1.0.67    550 go away
Connect:10.1.0.68    421 later
Connect:10.2         RELAY
Connect:bad.example  REJECT
`)
	for _, c := range []struct{ name, addr, want string }{
		{"a network of ours, with its name of the hosts file", "10.1.0.9", "ok, name desk.corp.example, trusted"},
		{"loopback", "::1", "ok, trusted"},
		{"a stranger whose name leads back", "192.0.2.5", "ok, name mail.good.example"},
		{"in IPv6", "2001:db8::5", "ok, name six.good.example"},
		{"a mapped address", "::ffff:192.0.2.5", "ok, name mail.good.example"},
		{"a name that does not lead back", "192.0.2.6", "ok"},
		{"one of several leads back", "192.0.2.7", "ok, name three.example"},
		{"no name", "192.0.2.77", "ok"},
		{"REJECT", "192.0.2.20", "554 5.7.1 access denied, close, why: access(Connect:192.0.2.20)"},
		{"ERROR waits for the recipient", "192.0.2.21", "ok, then 550 5.7.1 go away, why: access(Connect:192.0.2.21)"},
		{"421 does not wait", "192.0.2.22", "421 4.7.1 later, close, why: access(Connect:192.0.2.22)"},
		{"554 does not wait", "192.0.2.25", "554 5.7.1 no mail here, close, why: access(Connect:192.0.2.25)"},
		{"DISCARD", "192.0.2.23", "ok, discard, why: access(Connect:192.0.2.23)"},
		{"QUARANTINE", "192.0.2.24", "ok, hold: suspicious, why: access(Connect:192.0.2.24)"},
		{"REJECT of a friend", "10.1.0.66", "554 5.7.1 access denied, close, why: access(Connect:10.1.0.66)"},
		{"ERROR of a friend", "10.1.0.67", "ok, then 550 5.7.1 go away, why: access(Connect:10.1.0.67)"},
		{"421 of a friend", "10.1.0.68", "421 4.7.1 later, close, why: access(Connect:10.1.0.68)"},
		{"RELAY", "10.2.0.1", "ok, trusted"},
	} {
		if got := r.connect(c.addr); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	if got := r.connect("", mode(smtpd.Local)); got != "421 4.7.0 it cannot be found out who you are, close" {
		t.Errorf("the local socket without a UID: %s", got)
	}
	if got := r.connect("10.1.0.9", login("bob"), mode(smtpd.Submission)); got != "ok, name desk.corp.example, trusted" {
		t.Errorf("submission: %s", got)
	}
}

func reverse(word string) func(*rig, *config.Config, *Options) {
	return func(_ *rig, c *config.Config, _ *Options) { c.Smtpd.ReverseName = word }
}

func TestReverseName(t *testing.T) {
	const (
		noName  = "ok, then 550 5.7.25 your address has no name in DNS, why: reverse_name"
		noMatch = "ok, then 550 5.7.25 the name of your address does not lead back to it, why: reverse_name"
		later   = "ok, then 450 4.7.25 the name of your address cannot be looked up just now, why: reverse_name"
	)
	for _, c := range []struct{ name, rule, addr, want string }{
		{"any", "any", "192.0.2.77", "ok"},
		{"some name", "some", "192.0.2.6", "ok"},
		{"no name", "some", "192.0.2.77", noName},
		{"nobody knows", "some", "192.0.2.9", later},
		{"a name leads back", "match", "192.0.2.5", "ok, name mail.good.example"},
		{"a name does not lead back", "match", "192.0.2.6", noMatch},
		{"no name to lead back", "match", "192.0.2.77", noName},
		{"nobody knows whether it leads back", "match", "192.0.2.8", later},
		{"a network of ours needs none", "match", "10.1.0.1", "ok, trusted"},
		{"a private network has none", "match", "192.168.1.1", "ok"},
		{"OK of the access table", "match", "192.0.2.78", "ok"},
	} {
		if got := build(t, "Connect:192.0.2.78 OK\n", reverse(c.rule)).connect(c.addr); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	r := build(t, "", reverse("match"))
	if got := r.rcpt(r.client("192.0.2.77", login("alice")), "<user@victim.example>"); got != "ok, why: login" {
		t.Errorf("who logs in needs no name: %s", got)
	}
}

func lists(score int, zones ...string) func(*rig, *config.Config, *Options) {
	return func(_ *rig, c *config.Config, _ *Options) { c.Smtpd.DNSLists, c.Smtpd.DNSScore = zones, score }
}

func TestDNSLists(t *testing.T) {
	for _, c := range []struct {
		name  string
		zones []string
		score int
		addr  string
		want  string
	}{
		{"listed, with the list's words", []string{"bl.example"}, 1, "192.0.2.10",
			"ok, then 554 5.7.1 your address 192.0.2.10 is listed by bl.example: see https://bl.example/10, why: dns_lists(bl.example*1)"},
		{"not listed", []string{"bl.example"}, 1, "192.0.2.77", "ok"},
		{"the answer that counts", []string{"bl.example=127.0.0.[2..9]"}, 1, "192.0.2.11", "ok"},
		{"in a range", []string{"bl.example=127.0.0.[2..11]*3"}, 3, "192.0.2.11",
			"ok, then 554 5.7.1 your address 192.0.2.11 is listed by bl.example, why: dns_lists(bl.example*3)"},
		{"an allow list weighs against it", []string{"bl.example*2", "wl.example*-2"}, 1, "192.0.2.12", "ok"},
		{"but not enough", []string{"bl.example*2", "wl.example*-1"}, 1, "192.0.2.12",
			"ok, then 554 5.7.1 your address 192.0.2.12 is listed by bl.example, why: dns_lists(bl.example*2 wl.example*-1)"},
		{"not enough weight", []string{"other.example"}, 2, "192.0.2.15", "ok"},
		{"enough together", []string{"other.example", "third.example"}, 2, "192.0.2.15",
			"ok, then 554 5.7.1 your address 192.0.2.15 is listed by other.example, why: dns_lists(other.example*1 third.example*1)"},
		{"two answers of one zone are asked for once", []string{"bl.example=127.0.0.2*1", "bl.example=127.0.0.[1..3]*1"}, 2, "192.0.2.10",
			"ok, then 554 5.7.1 your address 192.0.2.10 is listed by bl.example: see https://bl.example/10, why: dns_lists(bl.example*2)"},
		{"IPv6 by its nibbles", []string{"bl.example"}, 1, "2001:db8::5",
			"ok, name six.good.example, then 554 5.7.1 your address 2001:db8::5 is listed by bl.example, why: dns_lists(bl.example*1)"},
		{"friends are not looked up", []string{"bl.example"}, 1, "10.1.0.1", "ok, trusted"},
		{"OK of the access table", []string{"bl.example"}, 1, "192.0.2.78", "ok"},
	} {
		r := build(t, "Connect:192.0.2.78 OK\n", lists(c.score, c.zones...))
		if got := r.connect(c.addr); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if len(r.reports) > 0 {
			t.Errorf("%s: %q", c.name, r.reports)
		}
	}
}

func TestADNSListThatFailsSaysNothing(t *testing.T) {
	r := build(t, "", lists(1, "bl.example"))
	for _, addr := range []string{"192.0.2.16", "192.0.2.16", "192.0.2.13", "192.0.2.14"} {
		if got := r.connect(addr); got != "ok" {
			t.Errorf("%s: %s", addr, got)
		}
		r.clock = r.clock.Add(40 * time.Second) // reports rest for a minute
	}
	want := []string{
		"DNS list bl.example: DNS lookup of 16.2.0.192.bl.example failed: server answers SERVFAIL",
		"DNS list bl.example: it answers 127.255.255.254, which says nothing",
	}
	if fmt.Sprint(r.reports) != fmt.Sprint(want) {
		t.Errorf("%q", r.reports)
	}
}

func TestWhatIsKnownOfAStrangerIsKept(t *testing.T) {
	r := build(t, "", lists(1, "bl.example"), reverse("match"))
	first := r.connect("192.0.2.77")
	r.Policy.o.Resolver = hostsZone{} // who asks it now panics
	if got := r.connect("192.0.2.77"); got != first {
		t.Error(got)
	}
	r.clock = r.clock.Add(factsTime)
	if _, ok := r.known.get(netip.MustParseAddr("192.0.2.77")); ok {
		t.Error("for too long")
	}
	unknown := build(t, "", reverse("match"))
	unknown.connect("192.0.2.9")
	if _, ok := unknown.known.get(netip.MustParseAddr("192.0.2.9")); ok {
		t.Error("what nobody could tell is kept")
	}
}

func TestHelo(t *testing.T) {
	const (
		lie    = "550 5.7.1 that is the name of this host, not of yours, why: helo"
		syntax = ": HELO and EHLO need the full name of your host, why: helo"
	)
	for _, c := range []struct{ name, rule, addr, helo, want string }{
		{"a full name", "valid", "192.0.2.5", "mail.good.example", "ok"},
		{"any name", "any", "192.0.2.5", "mx.ours.example", "ok"},
		{"our name", "valid", "192.0.2.5", "MX.ours.example", lie},
		{"our address", "valid", "192.0.2.5", "[192.0.2.1]", lie},
		{"loopback", "valid", "192.0.2.5", "[127.0.0.1]", lie},
		{"our name from here", "valid", "192.0.2.1", "mx.ours.example", "ok"},
		{"our name from a friend", "valid", "10.1.0.1", "mx.ours.example", "ok"},
		{"an address literal", "valid", "192.0.2.5", "[192.0.2.5]", "ok"},
		{"an IPv6 literal", "valid", "192.0.2.5", "[IPv6:2001:db8::5]", "ok"},
		{"an address without brackets", "valid", "192.0.2.5", "192.0.2.5", "550 5.5.2 192.0.2.5" + syntax},
		{"no dot", "valid", "192.0.2.5", "localhost", "550 5.5.2 localhost" + syntax},
		{"no name", "valid", "192.0.2.5", "a..b", "550 5.5.2 a..b" + syntax},
		{"bytes of control", "valid", "192.0.2.5", "a\x01.b", `550 5.5.2 a\x01.b` + syntax},
		{"an unknown name is valid", "valid", "192.0.2.5", "nowhere.example", "ok"},
		{"a known name", "known", "192.0.2.5", "mail.good.example", "ok"},
		{"a known mail domain", "known", "192.0.2.5", "good.example", "ok"},
		{"an unknown name", "known", "192.0.2.5", "nowhere.example", "550 5.7.1 nowhere.example: DNS does not know the name of your host, why: helo"},
		{"when nobody knows", "known", "192.0.2.5", "slow.example", "450 4.4.3 slow.example: the name of your host cannot be looked up just now, why: helo"},
		{"a friend says what it likes", "known", "10.1.0.1", "desk", "ok"},
	} {
		r := build(t, "", func(_ *rig, conf *config.Config, _ *Options) { conf.Smtpd.Helo = c.rule })
		client := r.client(c.addr, helo(c.helo))
		got := told(r.Helo(context.Background(), client))
		if got == "ok" {
			if got = r.rcpt(client, "<alice@ours.example>"); got == "ok, why: local" {
				got = "ok"
			}
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		client.Login = "alice"
		if got := r.rcpt(client, "<alice@ours.example>"); got != "ok, why: local" {
			t.Errorf("%s, logged in: %s", c.name, got)
		}
	}
}

func TestLimitsOfAClient(t *testing.T) {
	limits := func(_ *rig, c *config.Config, _ *Options) {
		c.Smtpd.ClientSessions, c.Smtpd.ClientConnections = 2, 4
	}
	const busy = "421 4.7.0 too many sessions from your host, try again later, close, why: client_sessions"
	const fast = "421 4.7.0 too many connections from your host, try again later, close, why: client_connections"
	r := build(t, "ClientConn:192.0.2.50 1\nClientRate:10.1.0.50 1\n", limits)
	one, two := r.client("2001:db8::1"), r.client("2001:db8::2")
	if got := r.connect("2001:db8::3"); got != busy {
		t.Errorf("a third session from one /64: %s", got)
	}
	if got := r.connect("2001:db8:0:1::3"); got != "ok" {
		t.Errorf("another /64: %s", got)
	}
	r.Close(one)
	if got := r.connect("2001:db8::3"); got != "ok" {
		t.Errorf("after the end of one: %s", got)
	}
	if got := r.connect("2001:db8::3"); got != fast {
		t.Errorf("a fifth connection: %s", got)
	}
	r.clock = r.clock.Add(2 * time.Minute)
	if got := r.connect("2001:db8::3"); got != "ok" {
		t.Errorf("two minutes later: %s", got)
	}
	r.Close(two)
	for range 10 {
		if got := r.connect("10.1.0.1"); got != "ok, trusted" {
			t.Errorf("a friend: %s", got)
		}
	}
	r.client("192.0.2.50")
	if got := r.connect("192.0.2.50"); got != busy {
		t.Errorf("the access table's sessions: %s", got)
	}
	r.connect("10.1.0.50")
	if got := r.connect("10.1.0.50"); got != fast+", trusted" {
		t.Errorf("the access table's rate of a friend: %s", got)
	}
}

func TestNobodyAsksDNSForAFriendOrAPrivateAddress(t *testing.T) {
	r := build(t, "", lists(1, "bl.example"), reverse("match"))
	asked := &askedZone{Resolver: r.Policy.o.Resolver}
	r.Policy.o.Resolver = asked
	for _, addr := range []string{"10.1.0.1", "192.168.1.1", "::1", "fe80::7"} {
		r.connect(addr)
		if asked.n.Load() > 0 {
			t.Fatalf("%s: DNS was asked", addr)
		}
	}
	if r.connect("192.0.2.77"); asked.n.Load() == 0 {
		t.Error("DNS was not asked for a stranger")
	}
}

// askedZone counts questions.
type askedZone struct {
	dns.Resolver
	n atomic.Int32
}

func (z *askedZone) Names(ctx context.Context, a netip.Addr) ([]string, error) {
	z.n.Add(1)
	return z.Resolver.Names(ctx, a)
}

func (z *askedZone) A(ctx context.Context, name string) ([]netip.Addr, error) {
	z.n.Add(1)
	return z.Resolver.A(ctx, name)
}

// A line for all clients is not for friends.
func TestLimitsOfTheTableForAll(t *testing.T) {
	const busy = "421 4.7.0 too many sessions from your host, try again later, close, why: client_sessions"
	const fast = "421 4.7.0 too many connections from your host, try again later, close, why: client_connections"
	r := build(t, "ClientConn: 1\n")
	r.client("192.0.2.77")
	r.client("10.1.0.1")
	if stranger, friend := r.connect("192.0.2.77"), r.connect("10.1.0.1"); stranger != busy || friend != "ok, trusted" {
		t.Errorf("sessions: %s; of a friend: %s", stranger, friend)
	}
	r = build(t, "ClientRate: 1\n")
	r.connect("192.0.2.77")
	r.connect("10.1.0.1")
	if stranger, friend := r.connect("192.0.2.77"), r.connect("10.1.0.1"); stranger != fast || friend != "ok, trusted" {
		t.Errorf("connections: %s; of a friend: %s", stranger, friend)
	}
}

func TestCountsOutliveAConfiguration(t *testing.T) {
	limits := func(_ *rig, c *config.Config, _ *Options) { c.Smtpd.ClientSessions = 1 }
	old := build(t, "", limits)
	c := old.client("192.0.2.77")
	r := build(t, "", limits, func(_ *rig, _ *config.Config, o *Options) { o.Old = old.Policy })
	if got := r.connect("192.0.2.77"); !strings.HasPrefix(got, "421") {
		t.Errorf("a session of the old one: %s", got)
	}
	old.Close(c)
	if got := r.connect("192.0.2.77"); got != "ok" {
		t.Errorf("after its end: %s", got)
	}
}

// attempts plays logins to a policy that allows two failures.
type attempts struct{ *rig }

const loginsAway = "421 4.7.0 too many failed logins from your host, try again later, close, why: client_auth_failures"

func twoFailures(t *testing.T) attempts {
	return attempts{build(t, "", func(_ *rig, c *config.Config, _ *Options) { c.Smtpd.ClientAuthFailures = 2 })}
}

func (a attempts) begin(c *smtpd.Client) string {
	return told(a.Login(context.Background(), c, false, nil))
}
func (a attempts) end(c *smtpd.Client, err error) string {
	return told(a.Login(context.Background(), c, true, err))
}

// try is a whole attempt.
func (a attempts) try(c *smtpd.Client, err error) string {
	if s := a.begin(c); s != "ok" {
		return "at once: " + s
	}
	return a.end(c, err)
}

func TestFailedLoginsAreLimited(t *testing.T) {
	a := twoFailures(t)
	c := a.client("192.0.2.77")
	refused := func(reply int, code status.Code) error { return status.New("auth", reply, code, "no", nil) }
	for i, step := range []struct {
		err  error
		want string
	}{
		{refused(454, status.Code{4, 7, 0}), "ok"}, {refused(501, status.Code{5, 5, 2}), "ok"}, {refused(504, status.Code{5, 5, 4}), "ok"},
		{refused(500, status.Code{5, 5, 6}), "ok"}, {refused(538, status.Code{5, 7, 11}), "ok"}, {context.Canceled, "ok"}, {nil, "ok"},
		{denial, "ok"}, {refused(454, status.Code{4, 7, 0}), "ok"}, {nil, "ok"}, {denial, loginsAway}, {nil, "at once: " + loginsAway},
	} {
		if got := a.try(c, step.err); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
	if got := a.begin(a.client("192.0.2.77")); got != loginsAway {
		t.Errorf("in another session: %s", got)
	}
	if got := a.begin(a.client("192.0.2.78")); got != "ok" {
		t.Errorf("another client: %s", got)
	}
	for _, friend := range []*smtpd.Client{a.client("10.1.0.1"), a.client("", uid(1))} {
		for i := range 5 {
			if got := a.try(friend, denial); got != "ok" {
				t.Errorf("a friend's attempt %d: %s", i, got)
			}
		}
	}
	a.clock = a.clock.Add(2 * time.Hour)
	if got := a.begin(a.client("192.0.2.77")); got != "ok" {
		t.Errorf("two hours later: %s", got)
	}
}

func TestLoginsAtOnceAreLimited(t *testing.T) {
	a := twoFailures(t)
	one, two, three := a.client("192.0.2.77"), a.client("192.0.2.77"), a.client("192.0.2.77")
	if got := []string{a.begin(one), a.begin(two), a.begin(three)}; got[0] != "ok" || got[1] != "ok" || got[2] != loginsAway {
		t.Errorf("three attempts: %q", got)
	}
	if got := a.end(one, nil); got != "ok" {
		t.Errorf("one succeeds: %s", got)
	}
	if got := a.begin(three); got != "ok" {
		t.Errorf("another in its place: %s", got)
	}
	if got := a.begin(three); got != "ok" {
		t.Errorf("the same once more: %s", got)
	}
	a.clock = a.clock.Add(time.Hour) // the window turns between
	for _, c := range []*smtpd.Client{two, three} {
		if got := a.end(c, nil); got != "ok" {
			t.Errorf("the others succeed: %s", got)
		}
	}
	if n := a.clients.counted(one.State.(*session).client, authFailures); n != 0 {
		t.Errorf("%d failures are left of none", n)
	}
	if got := []string{a.end(one, denial), a.end(one, denial)}; got[0] != "ok" || got[1] != loginsAway {
		t.Errorf("failures that nobody asked for: %q", got)
	}
}

func TestOneClientGuessesSoOftenAndNoMore(t *testing.T) {
	a := twoFailures(t)
	fixed := a.clock
	a.Policy.clients.now = func() time.Time { return fixed }
	var all sync.WaitGroup
	var guesses atomic.Int32
	for range 20 {
		c := a.client("192.0.2.77")
		all.Go(func() {
			for range 5 {
				if a.begin(c) == "ok" {
					guesses.Add(1)
					a.end(c, denial)
				}
			}
		})
	}
	all.Wait()
	if n := guesses.Load(); n != 2 {
		t.Errorf("%d guesses", n)
	}
}
