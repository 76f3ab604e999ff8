package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"postrider/internal/address"
	"postrider/internal/status"
)

// The caps on what is read of one message. The text of a message has none.
const (
	maxEnvelope = 64 << 20 // bytes of what is about the message
	maxRcpts    = 100_000
	maxRecord   = 1 << 20 // bytes of a record or a line of that
)

// Message is one message that waits in another system's queue.
type Message struct {
	Arrival time.Time
	Sender  string // in wire form; "" is the null reverse-path
	Rcpts   []Rcpt // that still have to get it
	Ret     string // "", "FULL", "HDRS"
	EnvID   string // in xtext
	Body    string // "", "7BIT", "8BITMIME"
	UTF8    bool
	Client  string // who handed it over, "name[address]"
	Login   string
	Warned  bool // the sender has been told that it is late
	Notes   []string

	copy func(io.Writer) error
}

// Rcpt is a recipient. Address is in wire form; what is no address is there as it was found, cleaned, and is none.
type Rcpt struct {
	Address string
	ORcpt   string // "rfc822;..." with xtext
	Notify  string // as NOTIFY has it; "" when it was not given
	NoAlias bool   // it took the place of an alias already
}

// The errors of messages.
var (
	ErrMalformed  = errors.New("not a queue file")
	ErrUnfinished = errors.New("the queue file is not complete")
	ErrDone       = errors.New("no recipient is left")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Copy writes the message in wire form: lines that end in CRLF, no dots doubled.
func (m *Message) Copy(w io.Writer) error {
	c := &wire{w: w}
	if err := m.copy(c); err != nil {
		return err
	}
	return c.end()
}

// wire makes the line ends of what is written to it CRLF: LF, and all CRs before it.
type wire struct {
	w       io.Writer
	crs     int  // seen and not yet written: they belong to a line's end, or not
	partial bool // in a line
}

var (
	crlf    = []byte("\r\n")
	manyCRs = bytes.Repeat([]byte{'\r'}, 64)
)

func (c *wire) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return n, c.piece(p)
		}
		if err := c.piece(p[:i]); err != nil {
			return 0, err
		}
		c.crs, c.partial = 0, false
		if _, err := c.w.Write(crlf); err != nil {
			return 0, err
		}
		p = p[i+1:]
	}
	return n, nil
}

// piece writes a part of a line, and keeps CRs at its end back.
func (c *wire) piece(p []byte) error {
	text := bytes.TrimRight(p, "\r")
	if len(p) > 0 {
		c.partial = true
	}
	if len(text) > 0 {
		for ; c.crs > 0; c.crs -= min(c.crs, len(manyCRs)) {
			if _, err := c.w.Write(manyCRs[:min(c.crs, len(manyCRs))]); err != nil {
				return err
			}
		}
		if _, err := c.w.Write(text); err != nil {
			return err
		}
	}
	c.crs += len(p) - len(text)
	return nil
}

// end ends the last line.
func (c *wire) end() error {
	if !c.partial {
		return nil
	}
	_, err := c.w.Write(crlf)
	return err
}

// setSender takes a reverse-path. One that is malformed cannot be sent, and nobody could be told of a failure.
func (m *Message) setSender(s string) error {
	if s == "" {
		m.Sender = ""
		return nil
	}
	a, ok := parseInternal(s)
	if !ok {
		return malformed("the sender %q is no address", status.Clean(s, 80))
	}
	m.Sender = a.String()
	m.UTF8 = m.UTF8 || a.NeedsUTF8()
	return nil
}

// addRcpt takes a recipient. What is no address is returned to the sender when it is tried.
func (m *Message) addRcpt(s string, r Rcpt) error {
	if len(m.Rcpts) >= maxRcpts {
		return malformed("more than %d recipients", maxRcpts)
	}
	if a, ok := parseInternal(s); ok {
		r.Address = a.String()
		m.UTF8 = m.UTF8 || a.NeedsUTF8()
	} else {
		r.Address = "<" + status.Clean(s, 256)
	}
	m.Rcpts = append(m.Rcpts, r)
	return nil
}

// parseInternal reads an address whose localpart may lack the quotes that it needs on the wire.
func parseInternal(s string) (address.Address, bool) {
	if a, err := address.Parse(s); err == nil {
		return a, !a.IsNull()
	}
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		i = len(s)
	}
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s[:i]) + `"` + s[i:]
	a, err := address.Parse(quoted)
	return a, err == nil && i > 0 && !a.IsNull()
}

// xtext encodes what SMTP carries as xtext (RFC 3461 section 4).
func xtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// isXtext tells whether a word is that already.
func isXtext(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case c < '!' || c > '~' || c == '=':
			return false
		}
	}
	return s != ""
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }
