// Package dsn decides which delivery reports are due and writes them: RFC 3461 (who wants what), RFC 3464 and
// RFC 6522 (the format), RFC 6533 (the same for internationalized mail).
//
// A report has three parts: words for people, fields for programs, and the message or its header. It is about
// one message and any number of its recipients.
//
// Whatever came from outside, addresses, replies of remote servers, the message itself, is taken for hostile:
// text is cleaned and capped before it stands anywhere, so that none of it can begin a line, a field or a part.
package dsn

import (
	"crypto/rand"
	"io"
	"mime/quotedprintable"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"

	"postrider/internal/status"
	"postrider/queue"
)

// Report is a report to be written.
type Report struct {
	ID           string    // the report's own queue ID, for its Message-ID
	Date         time.Time // of the report
	ReportingMTA string    // our host name; the report comes from MAILER-DAEMON there
	To           string    // wire form
	Double       bool      // it goes to the postmaster, as the message has no sender

	MessageID string            // the reported message's queue ID
	Arrival   time.Time         // when that message arrived here
	EnvID     string            // its ENVID, in xtext as it was carried
	Ret       string            // its RET: "", "FULL" or "HDRS"
	By        time.Time         // its deadline (RFC 2852); zero: none
	UTF8      bool              // it is SMTPUTF8 mail
	Original  *io.SectionReader // the message, in wire form

	Rcpts []Rcpt

	boundary string // for tests; "": a random one
}

// Rcpt is a recipient that a report is about.
type Rcpt struct {
	Address        string // wire form
	ORcpt          string // ORCPT as it was carried: "rfc822;..." with xtext, or ""
	Action         Action
	Status         *status.Status // the last outcome; temporary when Failed is for lack of time
	Remote         string         // who answered, "mx.example[192.0.2.7]:25"; "": nobody but us
	LastAttempt    time.Time      // zero: not told
	WillRetryUntil time.Time      // for Delayed and Overdue; zero: not told
}

// Kind is the report's kind in one word, by the worst that it tells: "failure", "delay" or "success".
func (r *Report) Kind() string {
	kind := "success"
	for _, rcpt := range r.Rcpts {
		switch rcpt.Action {
		case Failed:
			return "failure"
		case Delayed, Overdue:
			kind = "delay"
		}
	}
	return kind
}

// Envelope is the envelope to queue the report with: null reverse-path (RFC 5321 section 4.5.5), and the marks
// by which Decide knows it again.
func (r *Report) Envelope() queue.Envelope {
	proto := ProtoReport
	if r.Double {
		proto = ProtoDouble
	}
	return queue.Envelope{
		Arrival: r.Date,
		Rcpts:   []queue.Rcpt{{Address: r.To}},
		UTF8:    !isASCII(r.To),
		UID:     -1,
		Proto:   proto,
	}
}

// part is one body part: its header and what writes its body, which may be called more than once.
type part struct {
	contentType string
	params      map[string]string
	description string
	encoding    string
	write       func(io.Writer) error
}

// Write writes the report to w, with CRLF line ends. It reads r.Original twice, and holds neither it nor the
// report in memory.
func Write(w io.Writer, r *Report) error {
	orig, err := examine(r)
	if err != nil {
		return err
	}
	parts := []part{r.humanPart(orig), r.statusPart(), orig.part(r.UTF8)}
	boundary := r.boundary
	if boundary == "" {
		boundary = "=_" + rand.Text()
	}
	h := r.header(orig, boundary, is8bit(parts))
	if err := textproto.WriteHeader(w, h.Header); err != nil {
		return err
	}
	mw := textproto.NewMultipartWriter(w)
	if err := mw.SetBoundary(boundary); err != nil {
		return err
	}
	for _, p := range parts {
		if err := p.writeTo(mw); err != nil {
			return err
		}
	}
	return mw.Close()
}

func is8bit(parts []part) bool {
	for _, p := range parts {
		if p.encoding == "8bit" {
			return true
		}
	}
	return false
}

func (p part) writeTo(mw *textproto.MultipartWriter) error {
	var h message.Header
	h.Set("Content-Transfer-Encoding", p.encoding)
	h.Set("Content-Description", p.description)
	h.SetContentType(p.contentType, p.params)
	w, err := mw.CreatePart(h.Header)
	if err != nil {
		return err
	}
	if p.encoding != "quoted-printable" {
		return p.write(w)
	}
	qp := quotedprintable.NewWriter(w)
	if err := p.write(qp); err != nil {
		return err
	}
	return qp.Close()
}

// header is the report's header. Add and Set put a field on top.
func (r *Report) header(orig *original, boundary string, eightBit bool) message.Header {
	var h message.Header
	if eightBit { // RFC 2045 section 6.4: the outer encoding covers the inner ones
		h.Set("Content-Transfer-Encoding", "8bit")
	}
	h.SetContentType("multipart/report", map[string]string{"report-type": "delivery-status", "boundary": boundary})
	host := clean(r.ReportingMTA, false)
	for _, f := range [][2]string{
		{"MIME-Version", "1.0"},
		{"Auto-Submitted", "auto-replied"}, // RFC 3834 section 5.2
		{"References", orig.messageID},
		{"In-Reply-To", orig.messageID},
		{"Message-ID", "<" + clean(r.ID, false) + "@" + host + ">"},
		{"Subject", r.subject()},
		{"To", "<" + clean(r.To, true) + ">"},
		{"From", "Mail Delivery System <MAILER-DAEMON@" + host + ">"},
		{"Date", r.Date.Format(dateForm)},
	} {
		if f[1] != "" {
			h.Add(f[0], f[1])
		}
	}
	return h
}

const dateForm = "Mon, 02 Jan 2006 15:04:05 -0700"

func (r *Report) subject() string {
	switch kind := r.Kind(); {
	case r.Double:
		return "Postmaster notice: undeliverable message without a sender"
	case kind == "failure":
		return "Undelivered Mail Returned to Sender"
	case kind == "delay":
		return "Delayed Mail (still being retried)"
	}
	return "Successful Mail Delivery Report"
}
