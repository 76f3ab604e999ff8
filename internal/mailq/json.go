package mailq

import (
	"bufio"
	"io"
	"strconv"
	"time"

	"postrider/internal/status"
	"postrider/queue"
)

// jsonLines prints each message as an object on a line of its own: the keys of "postqueue -j" first and in its
// order, with a blank behind each colon and comma since there are scripts that look for it, and then ours.
// There is nothing for an empty queue, and nothing for a message that cannot be read.
type jsonLines struct {
	out *bufio.Writer
	buf []byte
}

func newJSON(w io.Writer) *jsonLines { return &jsonLines{out: bufio.NewWriterSize(w, 64<<10)} }

func (p *jsonLines) lost(queue.Entry, error) error { return nil }

func (p *jsonLines) end() error { return p.out.Flush() }

func (p *jsonLines) message(m *queue.Message) error {
	p.buf = append(appendMessage(p.buf[:0], m), '\n')
	_, err := p.out.Write(p.buf)
	return err
}

func appendMessage(b []byte, m *queue.Message) []byte {
	e := &m.Envelope
	sender := e.Sender
	if sender == "" {
		sender = "MAILER-DAEMON"
	}
	b = appendString(append(b, '{'), "queue_name", queueName(m))
	b = appendString(b, "queue_id", string(m.ID))
	b = appendInt(b, "arrival_time", e.Arrival.Unix())
	b = appendInt(b, "message_size", m.Size)
	b = append(appendKey(b, "forced_expire"), "false"...)
	b = appendString(b, "sender", sender)
	b = appendRcpts(b, "recipients", m, false)
	b = appendTime(b, "next_attempt", m.Due)
	b = appendInt(b, "attempts", int64(m.History.Attempts()))
	b = appendString(b, "hold_reason", m.History.HoldReason())
	if e.UID >= 0 {
		b = appendInt(b, "uid", int64(e.UID))
	}
	b = appendString(b, "user", e.User)
	b = appendString(b, "client", e.Client)
	b = appendString(b, "login", e.Login)
	b = appendString(b, "tag", e.Tag)
	b = appendTime(b, "release_time", e.Release)
	b = appendTime(b, "deliver_by", e.By)
	return append(appendRcpts(b, "done", m, true), '}')
}

// appendRcpts lists the recipients that wait, which postqueue calls the recipients, or those that are done, if any.
func appendRcpts(b []byte, key string, m *queue.Message, done bool) []byte {
	start := len(b)
	b = append(appendKey(b, key), '[')
	empty := len(b)
	for i := range m.Envelope.Rcpts {
		if m.History.Done(i) != done {
			continue
		}
		if len(b) > empty {
			b = append(b, ", "...)
		}
		b = appendRcpt(b, m, i)
	}
	if done && len(b) == empty {
		return b[:start]
	}
	return append(b, ']')
}

func appendRcpt(b []byte, m *queue.Message, i int) []byte {
	last, tried := m.History.Last(i)
	word, why := "waiting", "delay_reason"
	if tried {
		word = last.Kind.String()
	}
	if m.History.Done(i) {
		why = "text"
	}
	b = appendString(append(b, '{'), "address", m.Envelope.Rcpts[i].Address)
	b = appendString(b, why, reason(m, i))
	b = appendString(b, "expanded_from", m.Envelope.Root(i))
	b = appendString(b, "status", word)
	if last.Reply != 0 {
		b = appendInt(b, "reply", int64(last.Reply))
	}
	b = appendString(b, "dsn", last.Code.String())
	b = appendString(b, "relay", last.Relay)
	b = appendTime(b, "last_attempt", last.Time)
	return append(b, '}')
}

// queueName is the name of Postfix's queue that fits best.
func queueName(m *queue.Message) string {
	switch {
	case m.State == queue.Held:
		return "hold"
	case m.Busy:
		return "active"
	case m.State == queue.New:
		return "incoming"
	}
	return "deferred"
}

// appendKey begins a member of an object, with a comma unless it is the first.
func appendKey(b []byte, key string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ", "...)
	}
	b = append(append(b, '"'), key...)
	return append(b, `": `...)
}

// appendString adds a member unless it is empty.
func appendString(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendQuoted(appendKey(b, key), value)
}

func appendInt(b []byte, key string, n int64) []byte {
	return strconv.AppendInt(appendKey(b, key), n, 10)
}

// appendTime adds a member in Unix seconds unless the time is zero.
func appendTime(b []byte, key string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return appendInt(b, key, t.Unix())
}

// appendQuoted writes a JSON string (RFC 8259 section 7). What Clean returns has neither control characters nor
// invalid UTF-8, which leaves two characters to be escaped.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range []byte(status.Clean(s, 2*status.MaxText)) {
		if c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '"')
}
