package mailq

import (
	"slices"
	"strings"

	"postrider/compat"
	"postrider/queue"
)

// Match tells whether a message passes the filters: of those for one field at least one must fit, as in Sendmail, and
// of several fields each.
func Match(m *queue.Message, filters []compat.QueueFilter) bool {
	return match(filters, func(f *compat.QueueFilter) bool { return contains(m, f) })
}

// matchName tells whether a damaged file passes, of which only the name is known.
func matchName(name string, filters []compat.QueueFilter) bool {
	return match(filters, func(f *compat.QueueFilter) bool { return f.Field == 'I' && has(name, f.Substr) })
}

func match(filters []compat.QueueFilter, contains func(*compat.QueueFilter) bool) bool {
	for i := range filters {
		field := filters[i].Field
		// The first filter of a field answers for the others.
		same := func(f compat.QueueFilter) bool { return f.Field == field }
		fits := func(f compat.QueueFilter) bool { return same(f) && contains(&f) != f.Negate }
		if slices.IndexFunc(filters, same) == i && !slices.ContainsFunc(filters, fits) {
			return false
		}
	}
	return true
}

func contains(m *queue.Message, f *compat.QueueFilter) bool {
	switch f.Field {
	case 'I':
		return has(string(m.ID), f.Substr)
	case 'S':
		return has(m.Envelope.Sender, f.Substr)
	case 'R':
		return slices.ContainsFunc(m.Envelope.Rcpts, func(r queue.Rcpt) bool { return has(r.Address, f.Substr) })
	case 'Q':
		return m.State == queue.Held && has(m.History.HoldReason(), f.Substr)
	}
	return false
}

// has looks for a text in any case of letters.
func has(s, substr string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(substr)) }
