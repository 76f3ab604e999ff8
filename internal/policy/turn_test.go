package policy

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/smtpd"
	"postrider/queue"
)

// fakeQueue has messages for these recipients.
type fakeQueue struct {
	rcpts []string
	err   error
	read  func()
}

func (q *fakeQueue) Scan(states queue.State, fn func(queue.Entry) error) error {
	if states != queue.New|queue.Cur {
		return errors.New("other states")
	}
	for i := range q.rcpts {
		if err := fn(queue.Entry{Size: int64(i)}); err != nil {
			return err
		}
	}
	return q.err
}

func (q *fakeQueue) Read(e queue.Entry) (*queue.Message, error) {
	if q.read != nil {
		q.read()
	}
	if q.rcpts[e.Size] == "gone" {
		return nil, queue.ErrGone
	}
	return &queue.Message{Envelope: queue.Envelope{Rcpts: []queue.Rcpt{{Address: q.rcpts[e.Size]}, {Address: "alice"}}}}, nil
}

// turning is a policy with a queue; runs are what was started.
func turning(t *testing.T, q *fakeQueue, setting string) (r *rig, runs *[]string) {
	runs = new([]string)
	r = build(t, "To:friend.example RELAY\n", func(_ *rig, c *config.Config, o *Options) {
		c.Smtpd.Etrn = setting
		o.Queue = q
		o.Run = func(domain string) error {
			if domain == "broken.backup.example" {
				return errors.New("no more processes")
			}
			*runs = append(*runs, domain)
			return nil
		}
	})
	return r, runs
}

func TestTurn(t *testing.T) {
	q := &fakeQueue{rcpts: []string{"a@backup.example", "b@BACKUP.example", "c@host.below.example", "gone", "d@foreign.example", "e@xbackup.example", "x@friend.example"}}
	for _, c := range []struct{ name, setting, client, domain, want, runs string }{
		{"a relay domain", "all", "stranger", "backup.example", "253 2.0.0 2 pending messages for backup.example started", "[backup.example]"},
		{"with all below", "all", "stranger", "@below.example", "253 2.0.0 1 pending messages for @below.example started", "[@below.example]"},
		{"a host below", "all", "stranger", "host.below.example", "253 2.0.0 1 pending messages for host.below.example started", "[host.below.example]"},
		{"a relay domain and all below it", "all", "stranger", "@backup.example", "253 2.0.0 2 pending messages for @backup.example started", "[@backup.example]"},
		{"the access table's", "all", "stranger", "friend.example", "253 2.0.0 1 pending messages for friend.example started", "[friend.example]"},
		{"nothing waits", "all", "stranger", "nothing.below.example", "251 2.0.0 no messages waiting for nothing.below.example", "[]"},
		{"a stranger's other domain", "all", "stranger", "foreign.example", "459 4.7.1 foreign.example: no mail is queued here for it", "[]"},
		{"a friend's", "trusted", "friend", "foreign.example", "253 2.0.0 1 pending messages for foreign.example started", "[foreign.example]"},
		{"a friend's without mail", "trusted", "friend", "victim.example", "459 4.7.1 victim.example: no mail is queued here for it", "[]"},
		{"a stranger", "trusted", "stranger", "backup.example", "459 4.7.1 backup.example: you may not start queue runs", "[]"},
		{"nobody", "off", "friend", "backup.example", "459 4.7.1 backup.example: you may not start queue runs", "[]"},
		{"a domain above", "all", "stranger", "example", "459 4.7.1 example: no mail is queued here for it", "[]"},
	} {
		r, runs := turning(t, q, c.setting)
		client := map[string]*smtpd.Client{"stranger": r.client("192.0.2.77"), "friend": r.client("10.1.0.1")}[c.client]
		if got := r.Turn(context.Background(), client, c.domain).Diagnostic(); got != c.want || fmt.Sprint(*runs) != c.runs {
			t.Errorf("%s:\n got %s %s\nwant %s %s", c.name, got, *runs, c.want, c.runs)
		}
	}
}

func TestTurnWhenSomethingFails(t *testing.T) {
	r, _ := turning(t, &fakeQueue{err: errors.New("input/output error")}, "all")
	c := r.client("192.0.2.77")
	if got := r.Turn(context.Background(), c, "backup.example").Diagnostic(); got != "458 4.3.0 backup.example: the queue cannot be read" {
		t.Error(got)
	}
	r, _ = turning(t, &fakeQueue{rcpts: []string{"a@broken.backup.example"}}, "trusted")
	if got := r.Turn(context.Background(), r.client("10.1.0.1"), "broken.backup.example").Diagnostic(); got != "458 4.3.0 broken.backup.example: no queue run could be started" {
		t.Error(got)
	}
	r.Policy.o.Run = nil
	if got := r.Turn(context.Background(), r.client("10.1.0.1"), "backup.example").Diagnostic(); got != "459 4.7.1 backup.example: you may not start queue runs" {
		t.Error(got)
	}
}

func TestCountingForTurnIsBounded(t *testing.T) {
	many := make([]string, 2*maxCounted)
	for i := range many {
		many[i] = "a@backup.example"
	}
	q := &fakeQueue{rcpts: many}
	r, _ := turning(t, q, "all")
	if got := r.Turn(context.Background(), r.client("192.0.2.77"), "backup.example").Diagnostic(); got != "252 2.0.0 pending messages for backup.example started" {
		t.Error(got)
	}
	q.read = func() { r.clock = r.clock.Add(time.Second) }
	if n, all, err := r.waiting(context.Background(), "backup.example", false); n > 4 || all || err != nil {
		t.Errorf("%d, %v, %v", n, all, err)
	}
	q.read = nil
	for i := range many {
		many[i] = "a@other.example"
	}
	if got := r.Turn(context.Background(), r.client("192.0.2.78"), "backup.example").Diagnostic(); got != "250 2.0.0 queue run for backup.example started" {
		t.Error(got)
	}
}

func TestTurnsAreLimited(t *testing.T) {
	r, runs := turning(t, &fakeQueue{rcpts: []string{"a@backup.example"}}, "all")
	c := r.client("192.0.2.77")
	for range 10 {
		r.Turn(context.Background(), c, "backup.example")
	}
	if got := r.Turn(context.Background(), c, "backup.example").Diagnostic(); got != "458 4.7.1 backup.example: too many queue runs, try again later" || len(*runs) != turnsOfStrangers {
		t.Errorf("%s after %d runs", got, len(*runs))
	}
}
