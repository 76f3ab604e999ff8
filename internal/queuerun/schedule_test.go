package queuerun

import (
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/queue"
)

func TestRetryAfter(t *testing.T) {
	q := config.Default().Queue
	for _, tc := range []struct {
		tries  int
		random float64
		want   time.Duration
	}{
		{0, 0.5, 5 * time.Minute},
		{1, 0.5, 7*time.Minute + 30*time.Second},
		{2, 0.5, 11*time.Minute + 15*time.Second},
		{20, 0.5, 4 * time.Hour},
		{1 << 40, 0.5, 4 * time.Hour},
		{0, 0, 255 * time.Second},
		{20, 1, 4*time.Hour + 36*time.Minute},
	} {
		if got := retryAfter(q, tc.tries, tc.random); got.Round(time.Second) != tc.want {
			t.Errorf("after %d tries, dice %v: %v, want %v", tc.tries, tc.random, got, tc.want)
		}
	}
}

func TestExpired(t *testing.T) {
	q := config.Default().Queue
	once := q
	once.Lifetime = 0
	now := newClock().Now()
	ago := func(d time.Duration) queue.Record { return queue.Record{Time: now.Add(-d)} }
	const day = 24 * time.Hour
	for _, tc := range []struct {
		name    string
		q       config.Queue
		arrived time.Duration
		last    queue.Record
		tried   bool
		want    bool
	}{
		{"young", q, time.Hour, ago(time.Hour), true, false},
		{"old, and tried just before", q, 5 * day, ago(4 * time.Hour), true, true},
		{"old, but never tried", q, 50 * day, queue.Record{}, false, false},
		{"old, but the machine was off", q, 50 * day, ago(45 * day), true, false},
		{"old, but the clock went back meanwhile", q, 5 * day, ago(-time.Hour), true, false},
		{"no lifetime: one attempt", once, 0, queue.Record{}, false, true},
	} {
		if got := expired(tc.q, now, now.Add(-tc.arrived), tc.last, tc.tried); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestIsDue(t *testing.T) {
	q := config.Default().Queue
	now := newClock().Now()
	for _, tc := range []struct {
		in   time.Duration
		want bool
	}{
		{-time.Hour, true}, {0, true}, {time.Second, false}, {4 * time.Hour, false},
		{1000 * time.Hour, true}, // the clock was ahead when it was set
	} {
		if got := isDue(q, now, now.Add(tc.in)); got != tc.want {
			t.Errorf("due in %v: %v", tc.in, got)
		}
	}
}
