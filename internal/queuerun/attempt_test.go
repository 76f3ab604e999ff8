package queuerun

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

func TestDelivery(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rcpts string
		setup func(w *world)
		want  map[string]int
		left  int
		exit  int
	}{
		{"one recipient", "a@x.test", nil, map[string]int{"a@x.test hello": 1}, 0, 0},
		{"recipients of one next hop share a transaction", "a@x.test b@x.test", nil, map[string]int{"a@x.test hello": 1, "b@x.test hello": 1}, 0, 0},
		{"two next hops and a mailbox", "a@x.test b@y.test c@local.test", nil,
			map[string]int{"a@x.test hello": 1, "b@y.test hello": 1, "c@local.test hello": 1}, 0, 0},
		{"a refusal by routing is reported", "a@x.test u@refused.test", nil,
			map[string]int{"a@x.test hello": 1, "sender@here.test report": 1}, 0, status.ExitNoUser},
		{"a refusal by the peer is reported", "a@x.test b@x.test", func(w *world) { w.refuse["b@x.test"] = refusal(550, status.Code{5, 7, 1}, "no") },
			map[string]int{"a@x.test hello": 1, "sender@here.test report": 1}, 0, status.ExitUnavailable},
		{"two refusals make one report", "u@refused.test b@x.test", func(w *world) { w.refuse["b@x.test"] = refusal(550, status.Code{5, 7, 1}, "no") },
			map[string]int{"sender@here.test report": 1}, 0, status.ExitNoUser},
		{"a deferral waits alone", "a@x.test b@x.test", func(w *world) { w.refuse["b@x.test"] = refusal(450, status.Code{4, 2, 0}, "later") },
			map[string]int{"a@x.test hello": 1}, 1, 0},
		{"a domain that takes no mail", "a@x.test", func(w *world) { w.hosts["x.test"] = []route.Host{} },
			map[string]int{"sender@here.test report": 1}, 0, status.ExitUnavailable},
		{"a host that is down", "a@x.test", func(w *world) { w.connect["mx.x.test"] = outage(status.Code{4, 4, 1}, "connection refused") },
			map[string]int{}, 1, 0},
		{"the next host is tried", "a@x.test", func(w *world) {
			w.hosts["x.test"] = []route.Host{host("mx1", 1), host("mx2", 2)}
			w.connect["mx1"] = outage(status.Code{4, 4, 1}, "connection refused")
		}, map[string]int{"a@x.test hello": 1}, 0, 0},
		{"one host that never takes mail leaves the other", "a@x.test", func(w *world) {
			w.hosts["x.test"] = []route.Host{host("mx1", 1), host("mx2", 2)}
			w.connect["mx1"] = outage(status.Code{4, 4, 1}, "connection refused")
			w.connect["mx2"] = refusal(521, status.Code{5, 3, 2}, "no mail here")
		}, map[string]int{}, 1, 0},
		{"no host ever takes mail", "a@x.test", func(w *world) { w.connect["mx.x.test"] = refusal(521, status.Code{5, 3, 2}, "no mail here") },
			map[string]int{"sender@here.test report": 1}, 0, status.ExitUnavailable},
		{"not an address", "a@@x.test", nil, map[string]int{"sender@here.test report": 1}, 0, status.ExitUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			if tc.setup != nil {
				tc.setup(b.world)
			}
			b.submit("hello", strings.Fields(tc.rcpts)...)
			res := b.run(Selection{})
			b.want(tc.want)
			if got := len(b.messages()); got != tc.left || res.Exit != tc.exit {
				t.Errorf("left %d, exit %d; want %d, %d", got, res.Exit, tc.left, tc.exit)
			}
			if again := b.run(Selection{}); again.Messages != 0 {
				t.Errorf("a second run attempted %d messages", again.Messages)
			}
		})
	}
}

func TestSuccessfulMessageLeavesNoJournal(t *testing.T) {
	clk := newClock()
	disk := newDisk(clk)
	b := newBench(t, disk)
	b.submit("hello", "a@x.test", "b@x.test")
	before := len(disk.Ops())
	b.run(Selection{})
	for _, op := range disk.Ops()[before:] {
		if op.Name == "fsync" || op.Name == "syncdir" || op.Name == "append" {
			t.Errorf("%s %s", op.Name, op.Path)
		}
	}
	b.wantEmpty()
}

func TestOutcomesAreOnDiskBeforeTheNextTransaction(t *testing.T) {
	clk := newClock()
	disk := newDisk(clk)
	b := newBench(t, disk)
	id := b.submit("hello", "a@x.test", "b@y.test", "c@local.test")
	n := 0
	b.world.hook = func() {
		synced := 0
		for _, op := range disk.Ops() {
			if op.Name == "fsync" && op.Path == "/spool/journal/"+string(id) {
				synced++
			}
		}
		if synced != n {
			t.Errorf("transaction %d began with %d outcomes recorded", n+1, synced)
		}
		n++
	}
	b.run(Selection{})
	if n != 3 {
		t.Errorf("%d transactions", n)
	}
}

func TestTransactionsHaveAtMost100Recipients(t *testing.T) {
	b := newBench(t, nil)
	var rcpts []string
	for i := range 250 {
		rcpts = append(rcpts, fmt.Sprintf("u%d@x.test", i))
	}
	b.submit("hello", rcpts...)
	b.run(Selection{})
	var sizes []int
	for _, m := range b.world.sent {
		sizes = append(sizes, len(m.Rcpts))
	}
	if fmt.Sprint(sizes) != "[100 100 50]" || len(b.world.dials) != 1 {
		t.Errorf("transactions of %v over %d sessions", sizes, len(b.world.dials))
	}
	b.wantEmpty()
}

func TestRecipientsThatWereTooManyAreSentAtOnce(t *testing.T) {
	b := newBench(t, nil)
	b.world.send = func(p *peer, m smtp.Message) (smtp.Result, error) {
		few := m
		few.Rcpts = m.Rcpts[:min(2, len(m.Rcpts))]
		res := p.accept(few)
		for range m.Rcpts[len(few.Rcpts):] {
			res.Rcpts = append(res.Rcpts, refusal(452, status.Code{4, 5, 3}, "too many"))
		}
		return res, nil
	}
	b.submit("hello", "a@x.test", "b@x.test", "c@x.test", "d@x.test", "e@x.test")
	res := b.run(Selection{})
	if res.Sent != 5 || len(b.world.sent) != 3 {
		t.Errorf("%d sent in %d transactions", res.Sent, len(b.world.sent))
	}
	b.wantEmpty()
}

func TestBrokenSessionIsTemporary(t *testing.T) {
	b := newBench(t, nil)
	b.world.send = func(p *peer, m smtp.Message) (smtp.Result, error) {
		p.broken = true
		return smtp.Result{}, outage(status.Code{4, 4, 2}, "connection lost")
	}
	b.submit("hello", "a@x.test", "b@x.test")
	b.run(Selection{})
	m := b.message()
	for i := range 2 {
		// Nobody has replied that.
		if r, _ := m.History.Last(i); r.Kind != queue.Deferred || r.Relay != "" || r.Text != "mx.x.test[192.0.2.1]:25: connection lost" {
			t.Errorf("%+v", r)
		}
	}
}

func TestNextHostIsTriedBeforeTheText(t *testing.T) {
	later := refusal(451, status.Code{4, 3, 2}, "overloaded")
	for _, tc := range []struct {
		name  string
		first func(p *peer, m smtp.Message) (smtp.Result, error)
		last  error // of the last host
		sent  int
		why   string
	}{
		{"a host that puts all off", func(p *peer, m smtp.Message) (smtp.Result, error) { return refuseAll(m, later), nil }, nil, 2, ""},
		{"a host that hangs up", func(p *peer, m smtp.Message) (smtp.Result, error) {
			p.broken = true
			return smtp.Result{}, outage(status.Code{4, 4, 2}, "connection lost")
		}, nil, 2, ""},
		{"a host that refuses one for good has decided", func(p *peer, m smtp.Message) (smtp.Result, error) {
			res := refuseAll(m, later)
			res.Rcpts[0] = refusal(550, status.Code{5, 1, 1}, "no")
			return res, nil
		}, nil, 1, "overloaded"}, // the report is sent
		{"a host that may have the text is alone with it", func(p *peer, m smtp.Message) (smtp.Result, error) {
			res := refuseAll(m, later)
			res.Begun = true
			return res, nil
		}, nil, 0, "overloaded"},
		{"with the last host down it is the first one's reason", func(p *peer, m smtp.Message) (smtp.Result, error) { return refuseAll(m, later), nil },
			outage(status.Code{4, 4, 1}, "connection refused"), 0, "overloaded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.world.hosts["x.test"] = []route.Host{host("mx1", 1), host("mx2", 2), host("mx3", 3)}
			b.world.connect["mx2"], b.world.connect["mx3"] = outage(status.Code{4, 4, 1}, "connection refused"), tc.last
			b.world.send = func(p *peer, m smtp.Message) (smtp.Result, error) {
				if p.name == "mx1" {
					return tc.first(p, m)
				}
				return p.accept(m), nil
			}
			b.submit("hello", "a@x.test", "b@x.test")
			if res := b.run(Selection{}); res.Sent != tc.sent {
				t.Errorf("%d sent, dials: %v", res.Sent, b.world.dials)
			}
			for _, m := range b.messages() {
				if r, _ := m.History.Last(1); m.Envelope.Sender != "" && r.Text != tc.why {
					t.Errorf("%+v", r)
				}
			}
			if b.world.active["mx1"]+b.world.active["mx3"] != 0 {
				t.Error("a session was left open")
			}
		})
	}
}

func TestTheMostTellingReasonCounts(t *testing.T) {
	down := outage(status.Code{4, 4, 1}, "connection refused")
	login := outage(status.Code{4, 7, 8}, "login refused")
	never := refusal(521, status.Code{5, 3, 2}, "no mail here")
	for _, tc := range []struct {
		name  string
		hosts []error
		want  string
	}{
		{"the host that was there", []error{down, login, down}, "mx1 (192.0.2.1:25): login refused"},
		{"the first of several", []error{login, outage(status.Code{4, 7, 5}, "certificate"), down}, "mx0 (192.0.2.0:25): login refused"},
		{"the first when none was", []error{down, outage(status.Code{4, 4, 1}, "no route"), down}, "mx0 (192.0.2.0:25): connection refused"},
		{"whoever may still take it", []error{never, down}, "mx1 (192.0.2.1:25): connection refused"},
		{"and not who never will", []error{down, never}, "mx0 (192.0.2.0:25): connection refused"},
		{"a reply is quoted with its codes", []error{refusal(421, status.Code{4, 3, 2}, "busy")}, "mx0 (192.0.2.0:25): 421 4.3.2 busy"},
	} {
		b := newBench(t, nil)
		for i, err := range tc.hosts {
			name := fmt.Sprint("mx", i)
			b.world.hosts["x.test"] = append(b.world.hosts["x.test"], host(name, byte(i)))
			b.world.connect[name] = err
		}
		b.submit("hello", "a@x.test")
		b.run(Selection{})
		if r, _ := b.message().History.Last(0); r.Kind != queue.Deferred || r.Text != tc.want {
			t.Errorf("%s: %+v", tc.name, r)
		}
	}
}

func TestHostsAreTriedForSomeTimeOnly(t *testing.T) {
	b := newBench(t, nil)
	for i := range byte(10) {
		b.world.hosts["x.test"] = append(b.world.hosts["x.test"], host(fmt.Sprint("mx", i), i))
	}
	b.Dial = func(ctx context.Context, t smtp.Target, o smtp.Options) (Session, error) {
		b.clock.add(4 * time.Minute)
		b.world.dials = append(b.world.dials, t.Name)
		return nil, outage(status.Code{4, 4, 2}, "timed out")
	}
	b.submit("hello", "a@x.test")
	b.run(Selection{})
	if n := len(b.world.dials); n != 3 {
		t.Errorf("%d hosts were tried", n)
	}
}

func TestOneRecipientsAlphabetIsNoBurdenToOthers(t *testing.T) {
	b := newBench(t, nil)
	b.queue("hello", queue.Envelope{Sender: "s@here.test", UTF8: true, Rcpts: []queue.Rcpt{{Address: "jörg@x.test"}, {Address: "a@x.test"}}})
	d, err := b.spool.NewDraft(queue.Envelope{Sender: "s@here.test", UTF8: true, UID: -1, Arrival: b.clock.Now(), Rcpts: []queue.Rcpt{{Address: "a@y.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(d, "To: jörg@y.test\r\n\r\nhello\r\n")
	if _, err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	b.run(Selection{})
	for _, m := range b.world.sent {
		if want := m.Rcpts[0].Address == "a@y.test"; m.UTF8 != want {
			t.Errorf("to %s the message needs SMTPUTF8: %v", m.Rcpts[0].Address, m.UTF8)
		}
	}
}

func TestStaleSessionIsReplacedOnce(t *testing.T) {
	b := newBench(t, nil)
	b.Config.Queue.Concurrency = 1
	b.world.send = func(p *peer, m smtp.Message) (smtp.Result, error) {
		if p.sent > 1 {
			p.broken = true
			return smtp.Result{}, smtp.ErrStale
		}
		return p.accept(m), nil
	}
	for i := range 3 {
		b.submit(fmt.Sprint(i), "a@x.test")
	}
	if res := b.run(Selection{}); res.Sent != 3 || len(b.world.dials) != 3 {
		t.Errorf("%+v, %d dials", res, len(b.world.dials))
	}
}

func TestSessionsAreReused(t *testing.T) {
	b := newBench(t, nil)
	b.Config.Queue.Concurrency = 1
	for i := range 5 {
		b.submit(fmt.Sprint(i), "a@x.test")
	}
	b.run(Selection{})
	if len(b.world.dials) != 1 {
		t.Errorf("%d sessions", len(b.world.dials))
	}
	if b.world.active["mx.x.test"] != 0 {
		t.Error("a session was left open")
	}
}

func TestDeadNextHopIsTriedOncePerRun(t *testing.T) {
	b := newBench(t, nil)
	b.Config.Queue.Concurrency = 1
	b.world.connect["mx.x.test"] = outage(status.Code{4, 4, 1}, "connection refused")
	for i := range 5 {
		b.submit(fmt.Sprint(i), "a@x.test")
	}
	b.submit("other", "a@y.test")
	res := b.run(Selection{})
	if len(b.world.dials) != 2 || res.Deferred != 5 || res.Sent != 1 {
		t.Errorf("%d dials, %+v", len(b.world.dials), res)
	}
	for _, m := range b.messages() {
		if r, _ := m.History.Last(0); r.Text != "mx.x.test (192.0.2.1:25): connection refused" {
			t.Errorf("%+v", r)
		}
	}
}

func TestRefusedLoginReturnsNothing(t *testing.T) {
	b := newBench(t, nil)
	b.world.connect["mx.x.test"] = refusal(451, status.Code{4, 7, 8}, "peer refused the login: 535 5.7.8 no")
	b.submit("hello", "a@x.test", "b@x.test")
	if res := b.run(Selection{}); res.Deferred != 2 || res.Exit != 0 {
		t.Errorf("%+v", res)
	}
}

func TestLifeOfAMessageWhoseHostIsDown(t *testing.T) {
	b := newBench(t, nil)
	b.world.connect["mx.x.test"] = outage(status.Code{4, 4, 1}, "connection refused")
	id := b.submit("hello", "a@x.test")
	start := b.clock.Now()
	var waits []time.Duration
	var warned, ended time.Duration
	for {
		b.run(Selection{})
		if b.world.count("sender@here.test report") == 1 && warned == 0 {
			warned = b.clock.Now().Sub(start)
		}
		e, err := b.spool.Find(id)
		if err != nil {
			ended = b.clock.Now().Sub(start)
			break
		}
		waits = append(waits, e.Due.Sub(b.clock.Now()))
		if early := b.run(Selection{}); early.Messages != 0 {
			t.Fatal("attempted before it was due")
		}
		b.clock.add(e.Due.Sub(b.clock.Now()))
	}
	q := b.Config.Queue
	if waits[0] != 5*time.Minute || waits[1] != 450*time.Second || waits[20] != q.RetryMax {
		t.Errorf("waits: %v", waits)
	}
	if warned < q.WarnAfter || warned > q.WarnAfter+q.RetryMax {
		t.Errorf("warned after %v", warned)
	}
	if ended != q.Lifetime {
		t.Errorf("ended after %v", ended)
	}
	b.want(map[string]int{"sender@here.test report": 2})
}

func TestFirstAttemptNeverExpires(t *testing.T) {
	b := newBench(t, nil)
	b.world.connect["mx.x.test"] = outage(status.Code{4, 4, 1}, "connection refused")
	b.submit("hello", "a@x.test")
	b.clock.add(10 * 24 * time.Hour)
	if res := b.run(Selection{}); res.Deferred != 1 {
		t.Errorf("%+v", res)
	}
}

func TestFlushAttemptsEachMessageOnce(t *testing.T) {
	b := newBench(t, nil)
	b.world.connect["mx.x.test"] = outage(status.Code{4, 4, 1}, "connection refused")
	for i := range 5 {
		b.submit(fmt.Sprint(i), "a@x.test")
	}
	b.run(Selection{})
	b.clock.add(time.Second)
	for range 2 {
		if res := b.run(Selection{All: true}); res.Messages != 5 {
			t.Errorf("%+v", res)
		}
		b.clock.add(time.Second)
	}
}

func TestHeldMessageIsLeftAloneUnlessAskedFor(t *testing.T) {
	b := newBench(t, nil)
	id := b.submit("hello", "a@x.test")
	e, _ := b.spool.Find(id)
	c, err := b.spool.Claim(e)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Hold("spam?"); err != nil {
		t.Fatal(err)
	}
	for _, sel := range []Selection{{}, {All: true}, {IDs: []queue.ID{id}}, {Held: true, Filters: []Filter{{Field: Reason, Substr: "virus"}}}} {
		if res := b.run(sel); res.Messages != 0 {
			t.Errorf("%+v attempted it", sel)
		}
	}
	if res := b.run(Selection{Held: true}); res.Sent != 1 {
		t.Errorf("%+v", res)
	}
}

func TestRunByID(t *testing.T) {
	b := newBench(t, nil)
	id := b.submit("one", "a@x.test")
	b.submit("two", "a@x.test")
	res := b.run(Selection{IDs: []queue.ID{id, "0000000000000AAAA"}})
	b.want(map[string]int{"a@x.test one": 1})
	if len(res.Missing) != 1 || res.Missing[0] != "0000000000000AAAA" {
		t.Errorf("missing: %v", res.Missing)
	}
	if res = b.run(Selection{IDs: []queue.ID{id}}); len(res.Missing) != 1 {
		t.Errorf("missing: %v", res.Missing)
	}
}

func TestContextEndsTheRunAfterTheTransaction(t *testing.T) {
	b := newBench(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	b.world.hook = cancel
	b.submit("hello", "a@x.test", "b@y.test")
	b.submit("other", "a@x.test")
	b.Config.Queue.Concurrency = 1
	if _, err := b.Run(ctx, Selection{}); err != nil {
		t.Fatal(err)
	}
	if n := len(b.world.sent); n != 1 {
		t.Errorf("%d transactions", n)
	}
	b.world.hook = nil
	b.run(Selection{})
	b.want(map[string]int{"a@x.test hello": 1, "b@y.test hello": 1, "a@x.test other": 1})
	b.wantEmpty()
}
