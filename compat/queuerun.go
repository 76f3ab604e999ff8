package compat

import (
	"math"
	"time"

	"postrider/internal/status"
)

// persistent is the interval of a bare -qp.
const persistent = 5 * time.Minute

// runForms are the forms of -q, for the usage text.
var runForms = []struct{ form, does string }{
	{"", "once, in the background"},
	{"f", "once, in the foreground"},
	{"time", "every so often: 30m, 1h30m; minutes unless s, m, h, d or w says otherwise"},
	{"p[time]", "the same, in one lasting process"},
	{"[!]Isubstr", "messages with substr in their queue ID, or with ! without it"},
	{"[!]Rsubstr", "the same, in a recipient's address"},
	{"[!]Ssubstr", "the same, in the sender's address"},
	{"Q[substr]", "messages held, and for a reason with substr"},
	{"L", "damaged queue files"},
	{"Gname", "accepted as -q: there are no queue groups"},
}

// setQueueRun reads the forms of -q. Selections by different fields narrow each other, those by one field add up.
func setQueueRun(p *parser, v string) error {
	r := &p.inv.QueueRun
	r.Set = true
	if v == "" {
		return nil
	}
	switch v[0] {
	case '!', 'I', 'R', 'S':
		return r.filter(v)
	case 'Q':
		r.Quarantined = true
		if len(v) > 1 {
			r.Filters = append(r.Filters, QueueFilter{'Q', false, v[1:]})
		}
		return nil
	case 'L':
		r.Lost = true
		return nil
	case 'G':
		p.ignore("-q"+v, "there are no queue groups")
		return nil
	case 'p':
		if v == "p" {
			r.Interval = persistent
			return nil
		}
		return r.every(v[1:])
	}
	if v == "f" {
		r.Foreground = true
		return nil
	}
	return r.every(v)
}

// filter reads [!]Isubstr and its like. Without a text to look for every message would match, which is hardly
// what a caller meant who names a field.
func (r *Run) filter(v string) error {
	f := QueueFilter{Negate: v[0] == '!'}
	rest := v
	if f.Negate {
		rest = v[1:]
	}
	if rest == "" || rest[0] != 'I' && rest[0] != 'R' && rest[0] != 'S' {
		return usage("unknown selection -q" + status.Clean(v, maxShown))
	}
	if len(rest) == 1 {
		return usage("option -q" + v + " needs a text to look for")
	}
	f.Field, f.Substr = rest[0], rest[1:]
	r.Filters = append(r.Filters, f)
	return nil
}

func (r *Run) every(v string) error {
	d, ok := interval(v)
	if !ok {
		return usage(`bad interval "` + status.Clean(v, maxShown) + `" of -q`)
	}
	r.Interval = d
	return nil
}

// interval reads numbers with their units: "30m", "1h30m", "0". A number without a unit counts minutes.
func interval(s string) (time.Duration, bool) {
	var total time.Duration
	for s != "" {
		var n int64
		digits := 0
		for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
			n = n*10 + int64(s[digits]-'0')
			if digits++; n > math.MaxInt32 {
				return 0, false
			}
		}
		if digits == 0 {
			return 0, false
		}
		unit := time.Minute
		if s = s[digits:]; s != "" {
			unit, s = unitOf(s[0]), s[1:]
		}
		if unit == 0 || n > int64((math.MaxInt64-total)/unit) {
			return 0, false
		}
		total += time.Duration(n) * unit
	}
	return total, true
}

// unitOf is the time that a unit's letter stands for, 0 for any other letter.
func unitOf(c byte) time.Duration {
	switch c {
	case 's':
		return time.Second
	case 'm':
		return time.Minute
	case 'h':
		return time.Hour
	case 'd':
		return 24 * time.Hour
	case 'w':
		return 7 * 24 * time.Hour
	}
	return 0
}
