package queuerun

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/local"
	"postrider/internal/status"
	"postrider/queue"
)

// letter is an envelope to one recipient.
func letter(rcpt string) queue.Envelope {
	return queue.Envelope{Sender: "s@here.test", Rcpts: []queue.Rcpt{{Address: rcpt}}}
}

// wantDue checks when the only message is due, from now.
func (b *bench) wantDue(in time.Duration) {
	b.t.Helper()
	if m := b.message(); m.State != queue.Cur || m.Due.Sub(b.clock.Now()) != in {
		b.t.Errorf("%s, due in %v, want %v", m.State, m.Due.Sub(b.clock.Now()), in)
	}
}

func TestNoAttemptBeforeTheRelease(t *testing.T) {
	b := newBench(t, nil)
	b.Config.Queue.RetryMax = 4 * time.Hour
	e := letter("a@x.test")
	e.Release = b.clock.Now().Add(10*time.Hour - 300*time.Millisecond)
	b.queue("hello", e)
	for _, next := range []time.Duration{4 * time.Hour, 4 * time.Hour, 2 * time.Hour} {
		b.run(Selection{})
		b.wantDue(next)
		name := b.message().Name
		b.clock.add(time.Minute)
		b.run(Selection{All: true, Insist: true})
		if got := b.message().Name; got != name {
			t.Errorf("a run that insists made %s of %s", got, name)
		}
		b.clock.add(next - time.Minute)
	}
	if len(b.world.dials) > 0 {
		t.Errorf("dialled %v", b.world.dials)
	}
	if res := b.run(Selection{}); res.Messages != 1 || res.Sent != 1 {
		t.Errorf("at its time: %+v", res)
	}
	b.want(map[string]int{"a@x.test hello": 1})
	b.wantEmpty()
}

func TestLifeBeginsAtTheRelease(t *testing.T) {
	b := newBench(t, nil)
	down(b.world, nil)
	e := letter("a@x.test")
	e.Release = b.clock.Now().Add(6 * 24 * time.Hour)
	b.queue("hello", e)
	for range 6 * 24 { // beyond the lifetime
		b.run(Selection{})
		b.clock.add(time.Hour)
	}
	for range 4 {
		b.run(Selection{All: true})
		b.clock.add(59 * time.Minute)
	}
	b.want(map[string]int{})
	b.clock.add(5 * time.Minute)
	b.run(Selection{All: true})
	b.want(map[string]int{"s@here.test report": 1}) // it is late
	for range 5*24 - 5 {
		b.run(Selection{All: true})
		b.clock.add(time.Hour)
	}
	b.want(map[string]int{"s@here.test report": 1})
	b.clock.add(time.Hour)
	b.run(Selection{All: true})
	b.want(map[string]int{"s@here.test report": 2}) // it has expired
	b.wantEmpty()
}

func TestHeldMessageWaitsForItsRelease(t *testing.T) {
	b := newBench(t, nil)
	e := letter("a@x.test")
	e.Release = b.clock.Now().Add(time.Hour)
	b.queue("hello", e)
	c, err := b.spool.Claim(b.message().Entry)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Hold("test"); err != nil {
		t.Fatal(err)
	}
	b.run(Selection{Held: true})
	b.wantDue(time.Hour)
	if m := b.message(); m.History.HoldReason() != "" || m.History.Attempts() != 0 {
		t.Errorf("%+v", m.History.Events())
	}
	b.want(map[string]int{})
}

func TestModeRGivesUpAtTheDeadline(t *testing.T) {
	b := newBench(t, nil)
	down(b.world, nil)
	e := letter("a@x.test")
	e.By = b.clock.Now().Add(20*time.Minute - time.Microsecond)
	b.queue("hello", e)
	for _, next := range []time.Duration{5 * time.Minute, 7*time.Minute + 30*time.Second, 7*time.Minute + 30*time.Second} {
		b.run(Selection{})
		b.wantDue(next)
		b.clock.add(next)
	}
	res := b.run(Selection{})
	if res.Expired != 1 || res.Exit != status.ExitUnavailable || len(b.world.dials) != 3 {
		t.Errorf("%+v after %d attempts", res, len(b.world.dials))
	}
	b.want(map[string]int{"s@here.test report": 1})
	b.wantEmpty()
}

func TestReportOfADeadlineTellsTheLastReason(t *testing.T) {
	b := newBench(t, nil)
	down(b.world, nil)
	var text string
	b.Deliver = capture(&text)
	e := letter("a@x.test")
	e.By = b.clock.Now().Add(time.Minute)
	b.queue("hello", e)
	b.run(Selection{})
	b.clock.add(time.Minute)
	b.run(Selection{})
	for _, want := range []string{"\r\nDeliver-By-Date: Tue, 24 Nov 2026 09:01:00 +0000\r\n", "\r\nAction: failed\r\nStatus: 5.4.7\r\n",
		"delivery time expired; at last: mx.x.test\r\n (192.0.2.1:25): connection refused\r\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the report:\n%s", want, text)
		}
	}
}

func TestTooLateIsNotDelivered(t *testing.T) {
	for _, rcpt := range []string{"a@x.test", "a@local.test"} {
		b := newBench(t, nil)
		e := letter(rcpt)
		e.By = b.clock.Now().Add(time.Second)
		b.queue("hello", e)
		b.clock.add(time.Second)
		b.run(Selection{})
		b.want(map[string]int{"s@here.test report": 1})
		b.wantEmpty()
	}
}

func TestTheNextHopHearsOfTheDeadline(t *testing.T) {
	b := newBench(t, nil)
	e := letter("a@x.test")
	e.By, e.ByNotify, e.ByTrace, e.Auth = b.clock.Now().Add(time.Hour), true, true, "alice@here.test"
	b.queue("hello", e)
	b.run(Selection{})
	m := b.world.sent[0]
	if !m.By.Equal(e.By) || !m.ByNotify || !m.ByTrace || m.Auth != e.Auth {
		t.Errorf("%+v", m)
	}
}

func TestModeNTellsOnceAndGoesOn(t *testing.T) {
	b := newBench(t, nil)
	down(b.world, nil)
	b.Config.Queue.WarnAfter = 30 * time.Minute
	e := letter("a@x.test")
	e.By, e.ByNotify = b.clock.Now().Add(time.Hour), true
	b.queue("hello", e)
	reports := func(at time.Duration, n int) {
		t.Helper()
		b.clock.add(e.By.Add(-time.Hour + at).Sub(b.clock.Now()))
		b.run(Selection{All: true})
		if got := b.world.count("s@here.test report"); got != n {
			t.Errorf("%d reports after %v, want %d", got, at, n)
		}
	}
	reports(0, 0)
	reports(29*time.Minute, 0)
	reports(31*time.Minute, 1) // late by our measure
	reports(59*time.Minute, 1)
	b.wantDue(time.Minute)
	reports(60*time.Minute, 2) // late by the sender's
	reports(70*time.Minute, 2)
	reports(10*time.Hour, 2)
	delete(b.world.connect, "mx.x.test")
	b.world.by = true
	reports(11*time.Hour, 2)
	if b.world.count("a@x.test hello") != 1 {
		t.Error("not delivered in the end")
	}
	b.wantEmpty()
}

func TestWhoIsToldOfADeadline(t *testing.T) {
	const never = queue.NotifyNever
	knows := func(w *world, _ *config.Queue) { w.by = true }
	for _, tc := range []struct {
		name    string
		rcpt    string
		notify  queue.Notify
		by      string // as in BY=
		sender  string
		setup   func(w *world, q *config.Queue)
		reports string
	}{
		{"passed on in mode N to a host without DELIVERBY", "a@x.test", 0, "N", "s@here.test", nil, "relayed"},
		{"whatever was to be notified", "a@x.test", queue.NotifyDelay, "N", "s@here.test", nil, "relayed"},
		{"unless nothing was", "a@x.test", never, "N", "s@here.test", nil, ""},
		{"or nobody can be", "a@x.test", 0, "N", "", nil, ""},
		{"passed on in mode N to a host with DELIVERBY", "a@x.test", 0, "N", "s@here.test", knows, ""},
		{"and in mode R", "a@x.test", 0, "R", "s@here.test", knows, ""},
		{"traced in mode N", "a@x.test", 0, "NT", "s@here.test", knows, "relayed"},
		{"traced in mode R", "a@x.test", queue.NotifyFailure, "RT", "s@here.test", knows, "relayed"},
		{"not traced against NEVER", "a@x.test", never, "RT", "s@here.test", knows, ""},
		{"traced beside a host that reports success itself", "a@x.test", queue.NotifySuccess, "RT", "s@here.test",
			func(w *world, _ *config.Queue) { w.by, w.dsn = true, true }, "relayed"},
		{"a mailbox is no next hop", "a@local.test", 0, "NT", "s@here.test", nil, ""},
		{"nor is it in mode R", "a@local.test", 0, "RT", "s@here.test", nil, ""},
		{"success in a mailbox is told to who asked", "a@local.test", queue.NotifySuccess, "RT", "s@here.test", nil, "delivered"},
		{"late in mode N", "a@x.test", 0, "N", "s@here.test", down, "delayed"},
		{"late, and delays are not to be notified", "a@x.test", queue.NotifyFailure, "N", "s@here.test", down, "delayed"},
		{"late, and nothing is to be notified", "a@x.test", never, "N", "s@here.test", down, ""},
		{"late without a sender", "a@x.test", 0, "N", "", down, ""},
		{"too late in mode R", "a@x.test", 0, "R", "s@here.test", down, "failed"},
		{"too late, and failures are not to be notified", "a@x.test", queue.NotifyDelay, "R", "s@here.test", down, ""},
		{"too late without a sender", "a@x.test", 0, "R", "", down, "failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			if tc.setup != nil {
				tc.setup(b.world, &b.Config.Queue)
			}
			var report string
			b.Deliver = capture(&report)
			e := queue.Envelope{Sender: tc.sender, Rcpts: []queue.Rcpt{{Address: tc.rcpt, Notify: tc.notify}}}
			e.By, e.ByNotify, e.ByTrace = b.clock.Now().Add(time.Hour), tc.by[0] == 'N', strings.HasSuffix(tc.by, "T")
			b.Config.Hostname = "local.test" // so that the postmaster is reached
			b.queue("hello", e)
			for range 3 {
				b.run(Selection{All: true})
				b.clock.add(time.Hour)
			}
			_, action, _ := strings.Cut(report, "\r\nAction: ")
			action, _, _ = strings.Cut(action, "\r\n")
			if n := strings.Count(report, "\r\nAction: "); action != tc.reports || n > 1 {
				t.Errorf("reported %q, %d times", action, n)
			}
		})
	}
}

// capture keeps the reports that are delivered.
func capture(report *string) func(context.Context, string, local.User, local.Delivery) *status.Status {
	return func(_ context.Context, _ string, _ local.User, d local.Delivery) *status.Status {
		text, err := io.ReadAll(d.Body)
		if err != nil {
			return status.New("test", 451, status.Code{4, 3, 0}, "cannot read", err)
		}
		if strings.Contains(string(text), "multipart/report") {
			*report += string(text)
		}
		return status.New("test", 250, status.Code{2, 0, 0}, "ok", nil)
	}
}

func TestOverLMTPAMessageIsDelivered(t *testing.T) {
	b := newBench(t, nil)
	b.Config.Local.Mailbox = "lmtp+unix:/run/lmtp"
	e := letter("a@local.test")
	e.By, e.ByNotify, e.ByTrace = b.clock.Now().Add(time.Hour), true, true
	b.queue("hello", e)
	b.run(Selection{})
	b.want(map[string]int{"a@local.test hello": 1})
	b.wantEmpty()
}
