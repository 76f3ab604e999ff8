package queuerun

import (
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/status"
	"postrider/queue"
)

func TestWhoIsTold(t *testing.T) {
	const (
		success = queue.NotifySuccess
		failure = queue.NotifyFailure
		delay   = queue.NotifyDelay
		never   = queue.NotifyNever
	)
	for _, tc := range []struct {
		name    string
		rcpt    string
		notify  queue.Notify
		sender  string
		setup   func(w *world, q *config.Queue)
		reports string // who gets one
	}{
		{"success is not reported by default", "a@x.test", 0, "s@here.test", nil, ""},
		{"success at a host without DSN is ours to report", "a@x.test", success, "s@here.test", nil, "s@here.test"},
		{"success at a host with DSN is its own", "a@x.test", success, "s@here.test", knowsDSN, ""},
		{"success in a mailbox is ours to report", "a@local.test", success, "s@here.test", nil, "s@here.test"},
		{"success was not asked for", "a@x.test", failure | delay, "s@here.test", nil, ""},
		{"failure is reported by default", "u@refused.test", 0, "s@here.test", nil, "s@here.test"},
		{"failure was asked for", "u@refused.test", failure, "s@here.test", nil, "s@here.test"},
		{"failure was not asked for", "u@refused.test", success | delay, "s@here.test", nil, ""},
		{"failure is never to be told", "u@refused.test", never, "s@here.test", nil, ""},
		{"failure without a sender goes to the postmaster", "u@refused.test", 0, "", nil, "postmaster@mail.here.test"},
		{"delay is reported by default", "a@x.test", 0, "s@here.test", down, "s@here.test"},
		{"delay was asked for", "a@x.test", delay, "s@here.test", down, "s@here.test"},
		{"delay was not asked for", "a@x.test", failure, "s@here.test", down, ""},
		{"delay without a sender", "a@x.test", 0, "", down, ""},
		{"expiry is a failure", "a@x.test", failure, "s@here.test", gone, "s@here.test"},
		{"expiry and no wish to know", "a@x.test", never, "s@here.test", gone, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			if tc.setup != nil {
				tc.setup(b.world, &b.Config.Queue)
			}
			id := b.queue("hello", queue.Envelope{Sender: tc.sender, Rcpts: []queue.Rcpt{{Address: tc.rcpt, Notify: tc.notify}}})
			b.clock.add(5 * time.Hour)
			b.run(Selection{})
			want := map[string]int{}
			if tc.reports != "" {
				want[tc.reports+" report"] = 1
			}
			for key := range b.world.delivered {
				if key == tc.rcpt+" hello" {
					want[key] = 1
				}
			}
			b.want(want)
			for _, m := range b.messages() {
				if m.ID != id {
					t.Errorf("left in the spool: %+v", m)
				}
			}
			b.clock.add(time.Hour)
			b.run(Selection{})
			b.want(want)
		})
	}
}

func knowsDSN(w *world, _ *config.Queue) { w.dsn = true }

func down(w *world, _ *config.Queue) {
	w.connect["mx.x.test"] = outage(status.Code{4, 4, 1}, "connection refused")
}

func gone(w *world, q *config.Queue) {
	down(w, q)
	q.Lifetime = 0
}

func TestDoubleBounceEndsTheStory(t *testing.T) {
	b := newBench(t, nil)
	b.Config.Hostname = "refused.test" // so that the postmaster does not exist either
	b.queue("hello", queue.Envelope{Rcpts: []queue.Rcpt{{Address: "u@refused.test"}}})
	res := b.run(Selection{})
	if res.Messages != 2 || res.Bounced != 2 {
		t.Errorf("%+v", res)
	}
	b.want(map[string]int{})
	b.wantEmpty()
}

func TestReportOfAMixedOutcomeComesAtOnce(t *testing.T) {
	b := newBench(t, nil)
	down(b.world, nil)
	b.submit("hello", "u@refused.test", "a@x.test", "b@y.test")
	b.run(Selection{})
	b.want(map[string]int{"b@y.test hello": 1, "sender@here.test report": 1})
	m := b.message()
	if !m.History.Reported(0) || m.History.Done(1) || !m.History.Done(2) {
		t.Errorf("%+v", m.History.Events())
	}
	b.clock.add(time.Hour)
	b.run(Selection{})
	b.want(map[string]int{"b@y.test hello": 1, "sender@here.test report": 1})
}
