package queuerun

import (
	"math"
	"time"

	"postrider/internal/config"
	"postrider/queue"
)

// growth is by how much each wait is longer than the one before.
const growth = 1.5

// jitter is how much of a wait is left to chance, so that messages that failed together do not come back together.
const jitter = 0.3

// longGap is how long ago the attempt before may be for a message to expire.
const longGap = 24 * time.Hour

// retryAfter is how long a message waits that was deferred tries times before. random is in [0,1).
func retryAfter(q config.Queue, tries int, random float64) time.Duration {
	wait := float64(q.RetryMin) * math.Pow(growth, float64(min(tries, 100)))
	wait = min(wait, float64(q.RetryMax))
	return time.Duration(wait * (1 - jitter/2 + jitter*random))
}

// firstWait is the least that a message waits after its first attempt, and so how long a next hop is dead.
func firstWait(q config.Queue) time.Duration { return max(retryAfter(q, 0, 0), time.Second/2) }

// nextDue is when a message is tried again. Nobody waits far beyond the instant at which it expires.
func nextDue(q config.Queue, now, birth time.Time, tries int, random float64) time.Time {
	due := now.Add(retryAfter(q, tries, random))
	if end := birth.Add(q.Lifetime); due.After(end) && end.Sub(now) > q.RetryMin {
		return end
	}
	return due
}

// expired tells whether a recipient that could not be reached now is given up. last is its outcome before
// this attempt, if it had one.
func expired(q config.Queue, now, birth time.Time, last queue.Record, tried bool) bool {
	if q.Lifetime <= 0 {
		return true
	}
	gap := now.Sub(last.Time)
	return tried && now.Sub(birth) >= q.Lifetime && gap >= 0 && gap <= max(longGap, 2*q.RetryMax)
}

// isDue tells whether a waiting message is to be tried. A time further off than any schedule would set means that
// the clock, or the configuration, was another when it was set.
func isDue(q config.Queue, now, due time.Time) bool {
	return !due.After(now) || due.Sub(now) > 2*q.RetryMax
}
