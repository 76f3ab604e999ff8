// Package mailq makes the listings of the queue: it reads the spool, selects messages and hands them to one of
// the layouts that other programs read. It takes no lock and changes nothing.
package mailq

import (
	"fmt"
	"io"
	"strings"

	"postrider/compat"
	"postrider/internal/status"
	"postrider/queue"
)

// Options say what is listed, and how. The zero value lists what waits and what is held in Sendmail's layout.
type Options struct {
	Format  string // "sendmail" (also ""), "postfix" or "json"
	Verbose bool   // Sendmail's layout with a reason for each recipient
	States  queue.State
	Filters []compat.QueueFilter // a message must pass all of them
}

// Print lists the messages of a spool.
func Print(w io.Writer, s *queue.Spool, o Options) error {
	if o.States == 0 {
		o.States = queue.New | queue.Cur | queue.Held
	}
	switch o.Format {
	case "json":
		return printJSON(w, s, o)
	case "postfix":
		return printLayout(compat.PostfixLayout(w), s, o)
	case "sendmail", "":
		n, err := Count(s, o)
		if err != nil {
			return err
		}
		return printLayout(compat.SendmailLayout(w, s.Root(), n, o.Verbose), s, o)
	}
	return status.Fail("mailq", status.ExitUsage, fmt.Sprintf("unknown format %q: sendmail, postfix or json", o.Format), nil)
}

// Count is how many messages Print would list.
func Count(s *queue.Spool, o Options) (int, error) {
	if o.States == 0 {
		o.States = queue.New | queue.Cur | queue.Held
	}
	if len(o.Filters) == 0 {
		return s.Count(o.States)
	}
	n := 0
	err := each(s, o, func(*queue.Message) error { n++; return nil })
	return n, err
}

func each(s *queue.Spool, o Options, fn func(*queue.Message) error) error {
	return s.List(o.States&^queue.Corrupt, func(m *queue.Message) error {
		if !Match(m, o.Filters) {
			return nil
		}
		return fn(m)
	})
}

func printLayout(l compat.Layout, s *queue.Spool, o Options) error {
	var row compat.Row
	err := each(s, o, func(m *queue.Message) error {
		fill(&row, m)
		return l.Row(&row)
	})
	if err == nil && o.States&queue.Corrupt != 0 {
		err = s.Scan(queue.Corrupt, func(e queue.Entry) error {
			return l.Row(&compat.Row{ID: e.Name, Lost: true})
		})
	}
	if err != nil {
		return err
	}
	return l.End()
}

// fill makes a row of a message, in the memory of the one before.
func fill(row *compat.Row, m *queue.Message) {
	*row = compat.Row{
		ID:         string(m.ID),
		Size:       max(0, m.Size-m.Traits.Header),
		Total:      m.Size,
		Arrival:    m.Envelope.Arrival,
		Sender:     m.Envelope.Sender,
		Body:       m.Envelope.Body,
		Active:     m.Busy,
		Held:       m.State == queue.Held,
		HoldReason: m.History.HoldReason(),
		Warned:     m.History.Warned(),
		Rcpts:      row.Rcpts[:0],
	}
	for i, r := range m.Envelope.Rcpts {
		reason := Reason(m, i)
		row.Rcpts = append(row.Rcpts, compat.RowRcpt{Address: r.Address, Reason: reason, Done: m.History.Done(i)})
		if reason != "" && !m.History.Done(i) {
			row.Reason = "Deferred: " + reason
		}
	}
}

// Reason is why a recipient waits, or how its delivery ended; "" when it was not tried.
func Reason(m *queue.Message, rcpt int) string {
	r, ok := m.History.Last(rcpt)
	if !ok {
		return ""
	}
	if r.Relay != "" && !strings.Contains(r.Text, r.Relay) {
		return r.Relay + ": " + r.Text
	}
	return r.Text
}

// Match tells whether a message passes all filters.
func Match(m *queue.Message, filters []compat.QueueFilter) bool {
	for _, f := range filters {
		if contains(m, f) == f.Negate {
			return false
		}
	}
	return true
}

func contains(m *queue.Message, f compat.QueueFilter) bool {
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(f.Substr)) }
	switch f.Field {
	case 'I':
		return has(string(m.ID))
	case 'S':
		return has(m.Envelope.Sender)
	case 'R':
		for _, r := range m.Envelope.Rcpts {
			if has(r.Address) {
				return true
			}
		}
	case 'Q':
		return m.State == queue.Held && has(m.History.HoldReason())
	}
	return false
}
