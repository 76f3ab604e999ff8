package mailq

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"

	"postrider/internal/status"
	"postrider/queue"
)

// jsonMessage is a line of JSON: the keys of "postqueue -j" first and in its order, then ours.
type jsonMessage struct {
	QueueName    string     `json:"queue_name"`
	QueueID      string     `json:"queue_id"`
	ArrivalTime  int64      `json:"arrival_time"`
	MessageSize  int64      `json:"message_size"`
	ForcedExpire bool       `json:"forced_expire"`
	Sender       string     `json:"sender"`
	Recipients   []jsonRcpt `json:"recipients"`

	NextAttempt int64  `json:"next_attempt,omitempty"` // Unix seconds
	Attempts    int    `json:"attempts"`
	HoldReason  string `json:"hold_reason,omitempty"`
	UID         *int   `json:"uid,omitempty"`
	Client      string `json:"client,omitempty"`
	Tag         string `json:"tag,omitempty"`
}

type jsonRcpt struct {
	Address     string `json:"address"`
	DelayReason string `json:"delay_reason,omitempty"`

	Status      string `json:"status"` // "waiting", or the word of the newest outcome
	Reply       int    `json:"reply,omitempty"`
	Code        string `json:"dsn,omitempty"`
	Relay       string `json:"relay,omitempty"`
	LastAttempt int64  `json:"last_attempt,omitempty"` // Unix seconds
}

func printJSON(w io.Writer, s *queue.Spool, o Options) error {
	out := bufio.NewWriterSize(w, 64<<10)
	err := each(s, o, func(m *queue.Message) error {
		line, err := json.Marshal(toJSON(m))
		if err != nil {
			return err
		}
		out.WriteString(spaced(line))
		return out.WriteByte('\n')
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

func toJSON(m *queue.Message) jsonMessage {
	j := jsonMessage{
		QueueName:   queueName(m),
		QueueID:     string(m.ID),
		ArrivalTime: m.Envelope.Arrival.Unix(),
		MessageSize: m.Size,
		Sender:      status.Clean(m.Envelope.Sender, status.MaxText),
		Attempts:    m.History.Attempts(),
		HoldReason:  status.Clean(m.History.HoldReason(), status.MaxText),
		Client:      status.Clean(m.Envelope.Client, status.MaxText),
		Tag:         status.Clean(m.Envelope.Tag, status.MaxText),
	}
	if j.Sender == "" {
		j.Sender = "MAILER-DAEMON"
	}
	if !m.Due.IsZero() {
		j.NextAttempt = m.Due.Unix()
	}
	if m.Envelope.UID >= 0 {
		j.UID = &m.Envelope.UID
	}
	for i, r := range m.Envelope.Rcpts {
		j.Recipients = append(j.Recipients, toJSONRcpt(m, i, r.Address))
	}
	return j
}

func toJSONRcpt(m *queue.Message, i int, address string) jsonRcpt {
	j := jsonRcpt{Address: status.Clean(address, status.MaxText), Status: "waiting"}
	last, ok := m.History.Last(i)
	if !ok {
		return j
	}
	j.Status, j.Reply, j.Code, j.LastAttempt = last.Kind.String(), last.Reply, last.Code.String(), last.Time.Unix()
	j.Relay = status.Clean(last.Relay, status.MaxText)
	j.DelayReason = status.Clean(Reason(m, i), status.MaxText)
	return j
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

// spaced puts a blank behind each colon and comma between values, as postqueue does: there are scripts that
// look for it.
func spaced(line []byte) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		b.WriteByte(c)
		switch {
		case quoted && c == '\\':
			i++
			b.WriteByte(line[i])
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ':' || c == ','):
			b.WriteByte(' ')
		}
	}
	return b.String()
}
