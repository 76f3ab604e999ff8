package dsn

import (
	"slices"
	"testing"

	"postrider/queue"
)

const (
	never   = queue.NotifyNever
	success = queue.NotifySuccess
	failure = queue.NotifyFailure
	delay   = queue.NotifyDelay
)

func TestWanted(t *testing.T) {
	for _, c := range []struct {
		name   string
		notify queue.Notify
		want   []Action
	}{
		{"without NOTIFY: failure, delay and what a deadline calls for", 0, []Action{Failed, Delayed, Traced, Overdue}},
		{"NEVER: nothing", never, nil},
		{"SUCCESS: every good end", success, []Action{Delivered, Relayed, Expanded, Traced, Overdue}},
		{"FAILURE: no delay", failure, []Action{Failed, Traced, Overdue}},
		{"DELAY: no failure", delay, []Action{Delayed, Traced, Overdue}},
		{"all three: everything", success | failure | delay, []Action{Failed, Delayed, Delivered, Relayed, Expanded, Traced, Overdue}},
	} {
		for _, a := range []Action{"", Failed, Delayed, Delivered, Relayed, Expanded, Traced, Overdue} {
			if got := Wanted(c.notify, a); got != slices.Contains(c.want, a) {
				t.Errorf("%s: %q is %v", c.name, a, got)
			}
		}
	}
}

func TestDecide(t *testing.T) {
	const sender, postmaster = "alice@example.org", "postmaster@example.org"
	rcpts := func(notify ...queue.Notify) (r []queue.Rcpt) {
		for _, n := range notify {
			r = append(r, queue.Rcpt{Address: "bob@example.net", Notify: n})
		}
		return r
	}
	for _, c := range []struct {
		name       string
		e          queue.Envelope
		actions    []Action
		to         string
		tell, lost []int
	}{
		{"a failure goes to the sender", queue.Envelope{Sender: sender, Rcpts: rcpts(0, 0)}, []Action{"", Failed}, sender, []int{1}, nil},
		{"every recipient has its own NOTIFY", queue.Envelope{Sender: sender, Rcpts: rcpts(never, failure, success, 0)},
			[]Action{Failed, Failed, Failed, Failed}, sender, []int{1, 3}, nil},
		{"one report tells good and bad", queue.Envelope{Sender: sender, Rcpts: rcpts(success, failure, delay)},
			[]Action{Relayed, Failed, Delayed}, sender, []int{0, 1, 2}, nil},
		{"success nobody asked for is not told", queue.Envelope{Sender: sender, Rcpts: rcpts(0)}, []Action{Delivered}, sender, nil, nil},
		{"a failed report goes to postmaster", queue.Envelope{Rcpts: rcpts(0)}, []Action{Failed}, postmaster, []int{0}, nil},
		{"also when its NOTIFY is not FAILURE", queue.Envelope{Rcpts: rcpts(delay)}, []Action{Failed}, postmaster, []int{0}, nil},
		{"but not against NEVER", queue.Envelope{Rcpts: rcpts(never)}, []Action{Failed}, postmaster, nil, []int{0}},
		{"without a sender nobody hears of delay or success", queue.Envelope{Rcpts: rcpts(success|delay, success|delay)},
			[]Action{Delayed, Delivered}, postmaster, nil, nil},
		{"nor of a deadline", queue.Envelope{Rcpts: rcpts(0, 0)}, []Action{Traced, Overdue}, postmaster, nil, nil},
		{"postmaster's own failure is the end", queue.Envelope{Rcpts: []queue.Rcpt{{Address: "Postmaster@Example.org"}, {Address: "c@d"}}},
			[]Action{Failed, Failed}, postmaster, []int{1}, []int{0}},
		{"a failed double bounce is the end, wherever postmaster's alias led",
			queue.Envelope{Proto: ProtoDouble, Rcpts: rcpts(0)}, []Action{Failed}, postmaster, nil, []int{0}},
	} {
		p := Decide(&c.e, c.actions, postmaster)
		if p.To != c.to || p.Double != (c.e.Sender == "") || !slices.Equal(p.Tell, c.tell) || !slices.Equal(p.Lost, c.lost) {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
}

func TestReportsEndInDecide(t *testing.T) {
	const postmaster = "postmaster@example.org"
	r := Report{To: "alice@example.org"}
	e := r.Envelope()
	p := Decide(&e, []Action{Failed}, postmaster)
	if e.Sender != "" || p.To != postmaster || len(p.Tell) != 1 {
		t.Fatalf("a failed report: %+v", p)
	}
	e = (&Report{To: p.To, Double: p.Double}).Envelope()
	e.Rcpts[0].Address = "root@elsewhere.example" // an alias
	if p = Decide(&e, []Action{Failed}, postmaster); len(p.Tell) != 0 || len(p.Lost) != 1 {
		t.Fatalf("a failed double bounce: %+v", p)
	}
}
