package queuerun

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/fsys"
	"postrider/internal/local"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// members are those of an alias, with an owner or without.
func members(owner string, addresses ...string) []route.Member {
	list := make([]route.Member, len(addresses))
	for i, s := range addresses {
		list[i] = route.Member{Address: s, Owner: owner}
		if command, ok := strings.CutPrefix(s, "|"); ok {
			list[i].Address, list[i].Agent, list[i].Key = command, route.AgentCommand, s
			continue
		}
		a, _ := address.Parse(s)
		list[i].Key = aliases.AddressKey(a, strings.HasSuffix(s, "@local.test"))
	}
	return list
}

const theOwner = "owner-list@here.test"

// alias makes the only alias of a test.
func (b *bench) alias(owner string, addresses ...string) {
	b.world.aliases = map[string][]route.Member{"list@here.test": members(owner, addresses...)}
}

func TestAnAliasIsExpandedOnce(t *testing.T) {
	b := newBench(t, nil)
	b.alias("", "a@x.test", "b@y.test", "c@local.test")
	down(b.world, nil)
	b.submit("hello", "list@here.test", "d@y.test")
	res := b.run(Selection{})
	first := map[string]int{"b@y.test hello": 1, "c@local.test hello": 1, "d@y.test hello": 1}
	b.want(first)
	if res.Sent != 3 || res.Deferred != 1 {
		t.Errorf("%+v", res)
	}
	m := b.message()
	if last, _ := m.History.Last(0); last.Kind != queue.Expanded || last.Members != 3 || len(m.Envelope.Rcpts) != 5 {
		t.Errorf("%+v, %+v", last, m.Envelope.Rcpts)
	}
	b.alias("", "other@y.test") // it does not matter any more
	delete(b.world.connect, "mx.x.test")
	b.clock.add(time.Hour)
	b.run(Selection{})
	first["a@x.test hello"] = 1
	b.want(first)
	b.wantEmpty()
}

func TestNobodyGetsTheMessageTwice(t *testing.T) {
	b := newBench(t, nil)
	b.world.aliases = map[string][]route.Member{
		"list@here.test":  members("", "a@x.test", "b@x.test", "u@local.test"),
		"other@here.test": members(theOwner, "b@X.test", "a@x.test", "U@local.test", "c@x.test"),
		"empty@here.test": members("", "a@x.test"),
	}
	b.submit("hello", "list@here.test", "a@x.test", "other@here.test", "u@local.test", "empty@here.test")
	b.run(Selection{})
	b.want(map[string]int{"a@x.test hello": 1, "b@x.test hello": 1, "c@x.test hello": 1, "u@local.test hello": 1})
	b.wantEmpty()
}

func TestNobodyGetsTheMessageAgain(t *testing.T) {
	b := newBench(t, nil)
	b.submit("hello", "a@x.test", "list@here.test", "b@x.test")
	b.world.refuse["b@x.test"] = refusal(451, status.Code{4, 2, 1}, "later")
	b.world.aliases = map[string][]route.Member{} // a relay, which is out of reach
	b.world.connect["mx.here.test"] = outage(status.Code{4, 4, 1}, "connection refused")
	b.world.hosts["here.test"] = []route.Host{host("mx.here.test", 2)}
	hide := b.Router
	b.Runner.Router = relayHere{b.world}
	b.run(Selection{})
	b.want(map[string]int{"a@x.test hello": 1})
	b.Runner.Router = hide
	b.alias("", "a@x.test", "b@x.test", "c@x.test")
	delete(b.world.refuse, "b@x.test")
	b.clock.add(time.Hour)
	b.run(Selection{})
	b.want(map[string]int{"a@x.test hello": 1, "b@x.test hello": 1, "c@x.test hello": 1})
	b.wantEmpty()
}

// relayHere is a world in which the aliases cannot be read.
type relayHere struct{ *world }

func (r relayHere) Route(a address.Address) route.Decision {
	if a.Domain() == "here.test" {
		return route.Decision{Kind: route.Refuse, Address: a, Status: status.New("test", 451, status.Code{4, 3, 0}, "aliases unreadable", nil)}
	}
	return r.world.Route(a)
}

func TestEscapedRecipientsAreNotExpanded(t *testing.T) {
	for _, e := range []queue.Envelope{
		{Rcpts: []queue.Rcpt{{Address: "list@here.test", NoAlias: true}}},
		{Rcpts: []queue.Rcpt{{Address: "list@here.test"}}, NoAlias: true},
	} {
		b := newBench(t, nil)
		b.alias("", "a@x.test", "b@x.test")
		e.Sender = "sender@here.test"
		b.queue("hello", e)
		b.run(Selection{})
		b.want(map[string]int{"list@here.test hello": 1})
	}
}

// brief is a transaction as one line.
func brief(m smtp.Message) string {
	s := fmt.Sprintf("<%s> ret=%s envid=%s auth=%s by=%v", m.Sender, m.Ret, m.EnvID, m.Auth, !m.By.IsZero())
	for _, r := range m.Rcpts {
		s += fmt.Sprintf(" <%s> %s %s", r.Address, r.Notify, r.ORcpt)
	}
	return s
}

func TestTermsOfMembers(t *testing.T) {
	const given, none = "ret=HDRS envid=id auth=me by=true", "ret= envid= auth= by=false"
	for _, tc := range []struct {
		name, sender, owner string
		rcpt                queue.Rcpt
		want                string
	}{
		{"an alias passes the terms on", "s@here.test", "", queue.Rcpt{ORcpt: "rfc822;orig", Notify: queue.NotifyFailure | queue.NotifyDelay},
			"<s@here.test> " + given + " <a@x.test> FAILURE,DELAY rfc822;orig <b@x.test> FAILURE,DELAY rfc822;orig"},
		{"and names the recipient when the sender did not", "s@here.test", "", queue.Rcpt{},
			"<s@here.test> " + given + " <a@x.test>  rfc822;list@here.test <b@x.test>  rfc822;list@here.test"},
		{"but success is told once", "s@here.test", "", queue.Rcpt{Notify: queue.NotifySuccess | queue.NotifyFailure},
			"<s@here.test> " + given + " <a@x.test> FAILURE rfc822;list@here.test <b@x.test> FAILURE rfc822;list@here.test"},
		{"and nothing remains nothing", "s@here.test", "", queue.Rcpt{Notify: queue.NotifySuccess},
			"<s@here.test> " + given + " <a@x.test> NEVER rfc822;list@here.test <b@x.test> NEVER rfc822;list@here.test"},
		{"a list begins anew", "s@here.test", theOwner, queue.Rcpt{ORcpt: "rfc822;orig", Notify: queue.NotifyFailure},
			"<" + theOwner + "> " + none + " <a@x.test>   <b@x.test>  "},
		{"but has no sender when there is none", "", theOwner, queue.Rcpt{},
			"<> " + given + " <a@x.test>  rfc822;list@here.test <b@x.test>  rfc822;list@here.test"},
	} {
		b := newBench(t, nil)
		b.alias(tc.owner, "a@x.test", "b@x.test")
		tc.rcpt.Address = "list@here.test"
		b.queue("hello", queue.Envelope{Sender: tc.sender, Ret: "HDRS", EnvID: "id", Auth: "me", By: b.clock.Now().Add(time.Hour), Rcpts: []queue.Rcpt{tc.rcpt}})
		b.run(Selection{})
		if len(b.world.sent) == 0 || brief(b.world.sent[0]) != tc.want {
			t.Errorf("%s:\n%+v, want\n%s", tc.name, b.world.sent, tc.want)
		}
	}
}

func TestMembersOfAListComeFromItsOwner(t *testing.T) {
	b := newBench(t, nil)
	b.alias(theOwner, "a@x.test")
	b.submit("hello", "list@here.test", "b@x.test")
	b.run(Selection{})
	var senders []string
	for _, m := range b.world.sent {
		senders = append(senders, m.Sender+" to "+m.Rcpts[0].Address)
	}
	if got := strings.Join(senders, ", "); got != "sender@here.test to b@x.test, "+theOwner+" to a@x.test" || len(b.world.dials) != 1 {
		t.Errorf("%s over %d sessions", got, len(b.world.dials))
	}
}

// reports keeps the text of reports, by their recipient.
func (b *bench) reports() map[string]string {
	texts := map[string]string{}
	b.Deliver = func(ctx context.Context, spec string, u local.User, d local.Delivery) *status.Status {
		if text, _ := io.ReadAll(io.NewSectionReader(d.Body, 0, d.Body.Size())); bytes.Contains(text, []byte("multipart/report")) {
			b.world.mu.Lock()
			defer b.world.mu.Unlock()
			texts[d.Rcpt] += string(text)
			return status.New("test", 250, status.Code{2, 0, 0}, "ok", nil)
		}
		return b.world.deliver(ctx, spec, u, d)
	}
	return texts
}

func TestWhoHearsOfMembers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		owner   string
		notify  queue.Notify
		member  string
		to      string
		want    []string
		wantNot string
	}{
		{"the sender hears of an alias's failure", "", 0, "u@refused.test", "sender@here.test",
			[]string{"Original-Recipient: rfc822; list@here.test\r\nFinal-Recipient: rfc822; u@refused.test\r\nAction: failed", "<u@refused.test> (sent to <list@here.test>)"}, ""},
		{"unless he does not want to", "", queue.NotifyNever, "u@refused.test", "", nil, ""},
		{"the owner hears of a list's failure", theOwner, 0, "u@refused.test", theOwner,
			[]string{"Final-Recipient: rfc822; u@refused.test\r\nAction: failed"}, "list@here.test"},
		{"whatever the sender wants", theOwner, queue.NotifyNever, "u@refused.test", theOwner, []string{"Action: failed"}, ""},
		{"success is told of the alias", "", queue.NotifySuccess, "b@x.test", "sender@here.test",
			[]string{"Final-Recipient: rfc822; list@here.test\r\nAction: expanded\r\nStatus: 2.0.0", "passed on to all members of:\r\n\r\n  <list@here.test>"}, "x.test"},
		{"success is told of the list", theOwner, queue.NotifySuccess, "b@x.test", "sender@here.test",
			[]string{"Final-Recipient: rfc822; list@here.test\r\nAction: delivered\r\nStatus: 2.0.0"}, "x.test"},
	} {
		b := newBench(t, nil)
		b.alias(tc.owner, "a@x.test", tc.member)
		texts := b.reports()
		b.queue("hello", queue.Envelope{Sender: "sender@here.test", Rcpts: []queue.Rcpt{{Address: "list@here.test", Notify: tc.notify}}})
		b.run(Selection{})
		b.wantEmpty()
		if n := len(texts); tc.to == "" && n > 0 || tc.to != "" && (n != 1 || texts[tc.to] == "") {
			t.Errorf("%s: reports %v", tc.name, texts)
			continue
		}
		fields, _, _ := strings.Cut(texts[tc.to], "message/rfc822")
		for _, want := range tc.want {
			if !strings.Contains(fields, want) {
				t.Errorf("%s: %q is not in\n%s", tc.name, want, fields)
			}
		}
		if _, status, _ := strings.Cut(fields, "delivery-status"); tc.wantNot != "" && strings.Contains(status, tc.wantNot) {
			t.Errorf("%s: %q is in\n%s", tc.name, tc.wantNot, status)
		}
	}
}

func TestExitStatusIsTheSendersAffair(t *testing.T) {
	for owner, want := range map[string]int{"": status.ExitNoUser, theOwner: status.ExitOK} {
		b := newBench(t, nil)
		b.alias(owner, "a@x.test", "u@refused.test")
		b.submit("hello", "list@here.test")
		if res := b.run(Selection{}); res.Exit != want || res.Bounced != 1 {
			t.Errorf("owner %q: %+v", owner, res)
		}
	}
}

func TestSenderAndOwnerHearApart(t *testing.T) {
	b := newBench(t, nil)
	b.alias(theOwner, "u@refused.test", "a@x.test")
	texts := b.reports()
	b.submit("hello", "list@here.test", "v@refused.test")
	b.run(Selection{})
	if len(texts) != 2 || strings.Contains(texts["sender@here.test"], "<u@") || strings.Contains(texts[theOwner], "<v@") {
		t.Errorf("%v", texts)
	}
}

func TestCommandsWaitAndAreNotShown(t *testing.T) {
	b := newBench(t, nil)
	b.alias("", "a@x.test", "|/bin/secret")
	texts := b.reports()
	b.submit("hello", "list@here.test")
	b.run(Selection{})
	b.want(map[string]int{"a@x.test hello": 1})
	m := b.message()
	if last, _ := m.History.Last(2); last.Kind != queue.Deferred || m.Envelope.Rcpts[2].Agent != route.AgentCommand {
		t.Errorf("%+v, %+v", last, m.Envelope.Rcpts)
	}
	b.clock.add(b.Config.Queue.Lifetime - time.Hour)
	b.run(Selection{})
	b.clock.add(2 * time.Hour)
	b.run(Selection{})
	b.wantEmpty()
	if text := texts["sender@here.test"]; !strings.Contains(text, "rfc822; list@here.test\r\nAction: failed") || strings.Contains(text, "secret") {
		t.Errorf("%s", text)
	}
}

func TestAListThatCannotBeReadWaits(t *testing.T) {
	b := newBench(t, nil)
	b.Runner.Router = relayHere{b.world}
	b.submit("hello", "list@here.test", "a@x.test")
	b.run(Selection{})
	b.want(map[string]int{"a@x.test hello": 1})
	if m := b.message(); m.History.Done(0) || !m.History.Done(1) {
		t.Errorf("%+v", m.History.Events())
	}
}

// listScenario is a message to a list whose owner hears of a failure, and to one more.
func listScenario(b *bench) {
	b.Config.Queue.Concurrency = 1
	b.alias(theOwner, "a@x.test", "b@y.test", "c@local.test", "u@refused.test")
	b.submit("hello", "list@here.test", "d@y.test")
}

// checkList changes the alias and lets a healthy process finish. Those of the first list got the message, or those of
// the second and then nobody of the first.
func (b *bench) checkList(most func(key string) int) {
	b.t.Helper()
	b.alias(theOwner, "new@x.test", "new@y.test")
	for range 4 {
		b.clock.add(10 * time.Minute)
		b.run(Selection{})
	}
	b.wantEmpty()
	want := []string{"d@y.test hello", "a@x.test hello", "b@y.test hello", "c@local.test hello", theOwner + " report"}
	if b.world.count("new@x.test hello") > 0 {
		want = []string{"d@y.test hello", "new@x.test hello", "new@y.test hello"}
	}
	served := map[string]int{}
	for _, key := range want {
		served[key] = b.world.count(key)
		if n := served[key]; n < 1 || n > most(key) {
			b.t.Errorf("%q delivered %d times", key, n)
		}
	}
	b.want(served)
}

func TestListSurvivesEveryFault(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO, fsys.ErrShort} {
		for n := 1; ; n++ {
			faulty := fsys.NewFaulty(newDisk(newClock()))
			b := newBench(t, faulty)
			listScenario(b)
			faulty.FailAt(n, 1, cause, nil)
			b.struck()
			struck := faulty.Struck()
			faulty.FailAt(0, 0, nil, nil)
			b.checkList(func(string) int { return 1 })
			if t.Failed() {
				t.Fatalf("operation %d fails with %v", n, cause)
			}
			if !struck {
				break
			}
		}
	}
}

func TestListSurvivesAPowerCut(t *testing.T) {
	disk := newDisk(newClock())
	b := newBench(t, disk)
	listScenario(b)
	before := len(disk.Ops())
	b.struck()
	ops := len(disk.Ops()) - before
	for n := range ops + 1 {
		for seed, how := range []fsys.Survival{fsys.Strict, fsys.Loose, fsys.Zeros, fsys.Random, fsys.Random, fsys.Random} {
			disk := newDisk(newClock())
			b := newBench(t, disk)
			listScenario(b)
			sure := map[string]bool{} // others of the message came after them
			b.world.hook = func() {
				for key := range b.world.delivered {
					sure[key] = strings.HasSuffix(key, " hello")
				}
			}
			disk.CutAfter(n)
			b.struck()
			b.world.hook = nil
			b.open(disk.Reboot(how, rand.New(rand.NewSource(int64(seed)))))
			b.Config.Queue.Concurrency = 1
			b.checkList(func(key string) int {
				if sure[key] {
					return 1
				}
				return 2
			})
			if t.Failed() {
				t.Fatalf("power cut after operation %d of %d, survival %d", n, ops, how)
			}
		}
	}
}
