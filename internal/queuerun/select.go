package queuerun

import (
	"slices"
	"strings"
	"time"

	"postrider/queue"
)

// Field is what a Filter looks at.
type Field byte

// The fields, by the letters of sendmail's -q option.
const (
	ID        Field = 'I'
	Recipient Field = 'R'
	Sender    Field = 'S'
	Reason    Field = 'Q' // why a message is held
)

// Filter is met by messages that have Substr in a field, in any case of letters, or with Negate by those that have
// not.
type Filter struct {
	Field  Field
	Negate bool
	Substr string
}

// Selection is which messages a run attempts. The zero value is what is new and what is due. Everything that
// narrows it takes the messages as they are, due or not.
type Selection struct {
	All     bool       // whether due or not
	IDs     []queue.ID // only these
	Held    bool       // those that are held, instead of the others
	Filters []Filter   // only those that meet, of each field that has filters, at least one (as in Sendmail)

	// Insist has next hops tried that other runs could not reach lately. All, Held and Filters imply it: somebody has
	// asked for these messages. IDs do not, as they are also how a new message gets its first attempt.
	Insist bool
}

func (s *Selection) insists() bool { return s.Insist || s.All || s.Held || len(s.Filters) > 0 }

// states are where the messages are.
func (s *Selection) states() queue.State {
	if s.Held {
		return queue.Held
	}
	return queue.New | queue.Cur
}

// early tells whether messages that are not due are selected too.
func (s *Selection) early() bool {
	return s.All || s.Held || len(s.IDs) > 0 || len(s.Filters) > 0
}

// byName tells whether a message is selected as far as its name tells.
func (s *Selection) byName(e queue.Entry, due func(time.Time) bool) bool {
	if len(s.IDs) > 0 && !slices.Contains(s.IDs, e.ID) || !s.meets(ID, string(e.ID)) {
		return false
	}
	return s.early() || e.State != queue.Cur || due(e.Due)
}

// reads tells whether byEnvelope has anything to look at.
func (s *Selection) reads() bool {
	return slices.ContainsFunc(s.Filters, func(f Filter) bool { return f.Field != ID })
}

// byEnvelope tells whether a message is selected as far as its envelope and its journal tell.
func (s *Selection) byEnvelope(m *queue.Message) bool {
	rcpts := make([]string, len(m.Envelope.Rcpts))
	for i, r := range m.Envelope.Rcpts {
		rcpts[i] = r.Address
	}
	return s.meets(Recipient, rcpts...) && s.meets(Sender, m.Envelope.Sender) && s.meets(Reason, m.History.HoldReason())
}

// meets tells whether the values of a field meet one of its filters, or it has none.
func (s *Selection) meets(field Field, values ...string) bool {
	filtered := false
	for _, f := range s.Filters {
		if f.Field != field {
			continue
		}
		filtered = true
		found := slices.ContainsFunc(values, func(v string) bool {
			return strings.Contains(strings.ToLower(v), strings.ToLower(f.Substr))
		})
		if found != f.Negate {
			return true
		}
	}
	return !filtered
}
