package maillog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postrider/internal/status"
)

// maxValue caps one value, in bytes, before what must be escaped is escaped.
const maxValue = status.MaxText

// event is one line before it has a form. Its parts are cleaned where they are added.
type event struct {
	name     string
	severity int
	id       string
	parts    []part
}

// part is a field of a line. text is its form in a text line, "" when it shows in JSON only; value is its form
// in JSON, nil when it shows in text only.
type part struct {
	key   string
	text  string
	glue  string
	value any
}

// The severities of RFC 3164 section 4.1.1 that lines have.
const (
	sevWarning = 4
	sevInfo    = 6
)

func newEvent(name, id string) event {
	return event{name: name, severity: sevInfo, id: id}
}

func (e event) add(p part) event {
	e.parts = append(e.parts, p)
	return e
}

// addr adds an address, which may be null, or a name in the same brackets.
func (e event) addr(key, v string) event {
	v = status.Clean(v, maxValue)
	return e.add(part{key: key, text: key + "=<" + escape(v, " <>") + ">", glue: ", ", value: v})
}

// word adds a value without blanks and commas, if there is one.
func (e event) word(key, v string) event {
	if v == "" {
		return e
	}
	return e.add(part{key: key, text: key + "=" + token(v), glue: ", ", value: status.Clean(v, maxValue)})
}

func (e event) num(key string, n int64) event {
	return e.add(part{key: key, text: key + "=" + strconv.FormatInt(n, 10), glue: ", ", value: n})
}

func (e event) secs(key string, d time.Duration) event {
	s := seconds(d)
	return e.add(part{key: key, text: key + "=" + s, glue: ", ", value: json.Number(s)})
}

// verb adds the word for what happened. JSON has it as the event's name.
func (e event) verb(w string) event {
	return e.add(part{text: w, glue: ", "})
}

// free adds free text in parentheses, if there is any. It must be the last part.
func (e event) free(s string) event {
	if s == "" {
		return e
	}
	s = status.Clean(s, maxValue)
	return e.add(part{key: "text", text: "(" + s + ")", glue: " ", value: s})
}

// message is "ID: key=value, key=value, word (text)".
func (e event) message() string {
	var b strings.Builder
	if e.id == "" {
		b.WriteString("NOQUEUE: ")
	} else {
		b.WriteString(token(e.id) + ": ")
	}
	first := true
	for _, p := range e.parts {
		if p.text == "" {
			continue
		}
		if !first {
			b.WriteString(p.glue)
		}
		b.WriteString(p.text)
		first = false
	}
	return b.String()
}

// textLine is the line for files and standard error.
func textLine(o origin, now time.Time, e event) []byte {
	return []byte(stamp(now) + " " + o.host + " " + o.tag() + e.message())
}

// jsonLine is one JSON object with the same keys; time, host, program, pid, event and id come first.
func jsonLine(o origin, now time.Time, e event) []byte {
	var b bytes.Buffer
	pair := func(before, key string, v any) {
		b.WriteString(before)
		encode(&b, key)
		b.WriteByte(':')
		encode(&b, v)
	}
	pair("{", "time", stamp(now))
	pair(",", "host", o.host)
	pair(",", "program", o.program)
	pair(",", "pid", o.pid)
	pair(",", "event", e.name)
	if e.id != "" {
		pair(",", "id", status.Clean(e.id, maxValue))
	}
	for _, p := range e.parts {
		if p.value != nil {
			pair(",", p.key, p.value)
		}
	}
	b.WriteByte('}')
	return b.Bytes()
}

// encode appends v as JSON. Angle brackets stay readable: no line goes to a browser.
func encode(b *bytes.Buffer, v any) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		b.WriteString("null\n") // no part holds what JSON cannot
	}
	b.Truncate(b.Len() - 1) // Encode ends in a line end
}

func stamp(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000000Z07:00")
}

// seconds has two significant digits below ten seconds and whole seconds above, as Postfix's delays have.
func seconds(d time.Duration) string {
	s := max(d, 0).Seconds()
	switch {
	case s >= 9.95:
		return strconv.FormatFloat(s, 'f', 0, 64)
	case s >= 0.995:
		return strings.TrimSuffix(strconv.FormatFloat(s, 'f', 1, 64), ".0")
	}
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(s, 'f', 2, 64), "0"), ".")
}

// token is s as a value that ends at the next blank or comma.
func token(s string) string {
	return escape(status.Clean(s, maxValue), " ,<>")
}

// escape writes the bytes of set that s holds as \xNN.
func escape(s, set string) string {
	if !strings.ContainsAny(s, set) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(set, s[i]) >= 0 {
			fmt.Fprintf(&b, `\x%02X`, s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
