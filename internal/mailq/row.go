package mailq

import (
	"errors"
	"io/fs"
	"strings"

	"postrider/compat"
	"postrider/queue"
)

// rows prints messages in a layout that imitates another program's.
type rows struct {
	layout compat.Layout
	row    compat.Row
}

func (p *rows) message(m *queue.Message) error {
	fill(&p.row, m)
	return p.layout.Row(&p.row)
}

// lost shows a message that was counted but cannot be read.
func (p *rows) lost(e queue.Entry, err error) error {
	row := compat.Row{ID: string(e.ID), Size: e.Size, Total: e.Size, Sender: "(damaged queue file)"}
	if e.State == queue.Corrupt {
		row.ID = e.Name
	}
	if id, err := queue.ParseID(row.ID[:min(len(row.ID), len(anyID))]); err == nil {
		row.Arrival = id.Time()
	}
	if errors.Is(err, fs.ErrPermission) {
		row.Sender = "(permission denied)"
	}
	row.Gone = errors.Is(err, queue.ErrGone)
	row.Lost = !row.Gone
	return p.layout.Row(&row)
}

// anyID is as long as every queue ID.
const anyID = "0000000000000ZZZZ"

func (p *rows) end() error { return p.layout.End() }

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
	prefix := "Deferred: "
	if m.Early {
		prefix = ""
	}
	for i, r := range m.Envelope.Rcpts {
		rcpt := compat.RowRcpt{Address: r.Address, Reason: reason(m, i), Done: m.History.Done(i)}
		if rcpt.Reason != "" && !rcpt.Done {
			row.Reason = prefix + rcpt.Reason
		}
		row.Rcpts = append(row.Rcpts, rcpt)
	}
}

// reason is why a recipient waits, or how its delivery ended: "" for one that was not tried yet, but may be.
func reason(m *queue.Message, rcpt int) string {
	if same := m.Envelope.Rcpts[rcpt].Same; same > 0 && same <= len(m.Envelope.Rcpts) {
		return "gets it as " + m.Envelope.Rcpts[same-1].Address
	}
	r, tried := m.History.Last(rcpt)
	if !tried && m.Early {
		return "waits until " + m.Envelope.Release.Format("2006-01-02 15:04:05 -0700") + " as its sender asked"
	}
	if r.Relay != "" && !strings.Contains(r.Text, r.Relay) {
		return r.Relay + ": " + r.Text
	}
	return r.Text
}
