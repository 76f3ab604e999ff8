package compat

import (
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"postrider/internal/status"
)

// Row is one message of a listing.
type Row struct {
	ID       string
	Size     int64     // of the body; Sendmail's layout shows it
	Total    int64     // of the whole message; Postfix's layout shows and adds it
	Arrival  time.Time // shown in its own location
	Sender   string    // "" is the null reverse-path
	Body     string    // the declared body type, or ""
	Priority int64

	Active     bool // a queue run holds it
	Held       bool
	HoldReason string
	Lost       bool   // not a whole queue file
	Gone       bool   // it left the queue after it was counted
	Warned     bool   // its sender was told of a delay
	Reason     string // why the message as a whole waits

	Rcpts []RowRcpt
}

// RowRcpt is a recipient of a message.
type RowRcpt struct {
	Address string
	Reason  string // why it waits; "" when it was not attempted
	Done    bool   // it is not waiting any more, and not listed
}

// Layout writes a listing, message by message, as another program's. Text of outside origin is made harmless.
// It is written in large pieces, the last of them by End.
type Layout interface {
	// Row lists one message. r is not kept.
	Row(r *Row) error
	// End completes the listing.
	End() error
}

const (
	// spill is how much text is gathered for one write.
	spill = 32 << 10
	// maxField is more than an address or a reason of ours ever has.
	maxField = 2 * status.MaxText
	// nullSender is what both Sendmail and Postfix show for the null reverse-path.
	nullSender = "MAILER-DAEMON"
)

// page is text on its way to a writer.
type page struct {
	w   io.Writer
	buf []byte
}

func newPage(w io.Writer) page { return page{w: w, buf: make([]byte, 0, spill+4096)} }

func (p *page) str(s string)   { p.buf = append(p.buf, s...) }
func (p *page) char(c byte)    { p.buf = append(p.buf, c) }
func (p *page) num(n int64)    { p.buf = strconv.AppendInt(p.buf, n, 10) }
func (p *page) clean(s string) { p.str(status.Clean(s, maxField)) }

// cut is clean limited to n bytes of the result, in whole characters.
func (p *page) cut(s string, n int) {
	s = status.Clean(s, maxField)
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	p.str(s)
}

func (p *page) date(t time.Time, layout string) { p.buf = t.AppendFormat(p.buf, layout) }

const blanks = "                                                                                "

// space writes n blanks, at most a line's.
func (p *page) space(n int) { p.str(blanks[:max(0, min(n, len(blanks)))]) }

// right writes n right-aligned, "%*d".
func (p *page) right(n int64, width int) {
	var digits [20]byte
	d := strconv.AppendInt(digits[:0], n, 10)
	p.space(width - len(d))
	p.buf = append(p.buf, d...)
}

// settle writes what has gathered once it is worth a write.
func (p *page) settle() error {
	if len(p.buf) < spill {
		return nil
	}
	return p.flush()
}

func (p *page) flush() error {
	_, err := p.w.Write(p.buf)
	p.buf = p.buf[:0]
	return err
}
