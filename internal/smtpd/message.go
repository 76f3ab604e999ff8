package smtpd

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"syscall"

	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/internal/submit"
	"postrider/queue"
)

// maxHeader is the longest header of a message.
const maxHeader = 1 << 20

// message is the text of one message on its way into the spool. What goes wrong first is kept in failed; what comes
// after it is thrown away, so that the session can go on behind the end of the text.
type message struct {
	s      *Session
	text   dots
	to     intake // nil: the message is discarded
	size   int64
	header headerScan
	checks []Inspection
	failed *status.Status
	reason string // of failed, for the log
	disposal
	wasted int64 // bytes thrown away after it
	close  bool  // a check wants the session to end
	last   byte
}

// intake is where a message is stored.
type intake interface {
	io.Writer
	hold(reason string)
	commit() (queue.Entry, error)
	abort()
}

// begin opens the message of the transaction.
func (s *Session) begin(chunks bool) *message {
	m := &message{s: s, text: dots{ends: s.lineEnds(), plain: chunks}, disposal: s.disposal, last: '\n'}
	s.chunks = m
	if m.discard = m.discard || len(s.tx.Rcpts) == 0; m.discard {
		return m
	}
	if err := s.Spool.Room(s.tx.Declared); err != nil {
		m.fail(stored(err), "")
		return m
	}
	var err error
	if s.port.Mode == Submission || s.port.Mode == Local {
		m.to = newSubmission(s)
	} else {
		m.to, err = newDraft(s)
	}
	if err != nil {
		m.to = nil
		m.fail(stored(err), "")
		return m
	}
	for _, c := range s.Checks {
		if i := c.Begin(s.ctx, &s.client, s.tx); i != nil {
			m.checks = append(m.checks, i)
		}
	}
	return m
}

// lineEnds says how the client may end lines in a text.
func (s *Session) lineEnds() ends {
	switch {
	case s.port.Mode == Local:
		return looseEnds
	case s.client.Trusted:
		return mendedEnds
	}
	return strictEnds
}

func (m *message) fail(st *status.Status, reason string) {
	if m.failed == nil {
		m.failed, m.reason = st, reason
		m.abort()
	}
}

// raw takes bytes as the client sent them, without dots.
func (m *message) raw(p []byte) { m.text.feed(p, m.write) }

// write takes bytes of the text.
func (m *message) write(p []byte) {
	if m.failed != nil {
		m.wasted += int64(len(p))
		return
	}
	if m.size += int64(len(p)); m.s.SizeLimit > 0 && m.size > m.s.SizeLimit {
		m.fail(errTooBig, "")
		return
	}
	m.pass(p)
}

// pass hands on what is not too much.
func (m *message) pass(p []byte) {
	if len(p) > 0 {
		m.last = p[len(p)-1]
	}
	if !m.header.done {
		if st := m.header.scan(p, m.s.HopLimit); st != nil {
			m.fail(st, "")
			return
		}
	}
	for _, c := range m.checks {
		if _, err := c.Write(p); err != nil {
			m.fail(status.From(err), "check")
			return
		}
	}
	if m.to == nil {
		return
	}
	if _, err := m.to.Write(p); err != nil {
		m.fail(stored(err), "")
	}
}

// stored is the outcome of an error of the spool: what a full disk or a lack of descriptors is called in a reply (RFC 5321
// section 4.2.2), and after which a client knows to come back.
func stored(err error) *status.Status {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return status.New("queue.full", 452, status.Code{4, 3, 1}, "insufficient system storage", err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return status.New("queue.busy", 421, status.Code{4, 3, 2}, "too busy just now", err)
	}
	return status.From(err)
}

var (
	errTooBig   = status.New("smtpd.text", 552, status.Code{5, 3, 4}, "message is larger than this server takes", nil)
	errHops     = status.New("smtpd.text", 554, status.Code{5, 4, 6}, "too many hops: the message is in a loop", nil)
	errHeader   = status.New("smtpd.text", 552, status.Code{5, 3, 4}, "message header is too large", nil)
	errStrayCR  = status.New("smtpd.text", 554, status.Code{5, 6, 0}, "bare CR or LF in the message: lines end in CRLF (RFC 5321 section 2.3.8)", nil)
	errRejected = errors.New("refused")
)

// end judges the message when its text has ended, and commits it.
func (m *message) end() (queue.Entry, *status.Status) {
	if m.failed == nil && m.text.ends == strictEnds && (m.text.bareCR || m.text.bareLF || m.text.state == atCR) {
		m.fail(errStrayCR, "bare CR or LF")
	}
	if m.failed == nil && m.last != '\n' { // the last chunk need not end a line; the text of DATA does
		m.pass(crlf)
	}
	if m.failed == nil {
		m.judge()
	}
	switch {
	case m.failed != nil:
		return queue.Entry{}, m.failed
	case m.discard:
		m.abort()
		return queue.Entry{}, nil
	}
	if m.hold != "" {
		m.to.hold(m.hold)
	}
	entry, err := m.to.commit()
	m.to = nil
	if err != nil {
		m.failed = stored(err)
	}
	return entry, m.failed
}

// judge lets the checks say what they found.
func (m *message) judge() {
	checks := m.checks
	for i, c := range checks {
		m.checks = checks[i+1:]
		v := c.End()
		m.heed(v)
		m.close = m.close || v.Close
		if v.Status != nil {
			m.fail(v.Status, v.Reason)
			return
		}
	}
	m.checks = nil
}

// abort leaves nothing of the message. It may be called twice.
func (m *message) abort() {
	for _, c := range m.checks {
		c.Abort()
	}
	m.checks = nil
	if m.to != nil {
		m.to.abort()
		m.to = nil
	}
}

// draft stores a message as it comes, behind our trace field.
type draft struct {
	s *Session
	*queue.Draft
}

func newDraft(s *Session) (*draft, error) {
	d, err := s.Spool.NewDraft(s.tx.Envelope)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(d, s.trace(string(d.ID())))
	if err != nil {
		d.Abort()
		return nil, err
	}
	return &draft{s, d}, nil
}

func (d *draft) commit() (queue.Entry, error) { return d.Commit() }
func (d *draft) abort()                       { d.Abort() }
func (d *draft) hold(reason string)           { d.Hold(reason) }

// submission stores a message through package submit, which completes its header. It runs beside the session.
type submission struct {
	spool Spool
	pipe  *io.PipeWriter
	done  chan struct{}
	res   submit.Result
	err   error

	mu     sync.Mutex
	draft  *queue.Draft // once there is one
	reason string       // to hold it
}

// NewDraft implements submit.Spool.
func (sub *submission) NewDraft(e queue.Envelope) (*queue.Draft, error) {
	d, err := sub.spool.NewDraft(e)
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.draft = d; d != nil && sub.reason != "" {
		d.Hold(sub.reason)
	}
	return d, err
}

func (sub *submission) hold(reason string) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.reason = reason; sub.draft != nil {
		sub.draft.Hold(reason) // submit waits for more of the text, and reads this after
	}
}

func newSubmission(s *Session) *submission {
	r, w := io.Pipe()
	sub := &submission{spool: s.Spool, pipe: w, done: make(chan struct{})}
	env := s.tx.Envelope
	o := submit.Options{
		IgnoreDots: true,
		Envelope:   &env,
		Trace:      s.trace,
		User:       s.user,
		Hostname:   s.Hostname,
		Origin:     s.Origin,
		IsLocal:    s.IsLocal,
		SizeLimit:  s.SizeLimit,
		HopLimit:   s.HopLimit,
		Now:        s.Now,
	}
	go func() {
		defer close(sub.done)
		sub.res, sub.err = submit.Submit(r, sub, o)
		r.CloseWithError(cause(sub.err))
	}()
	return sub
}

// cause is what further writes get once a submission has ended.
func cause(err error) error {
	if err == nil {
		return errRejected
	}
	return err
}

func (sub *submission) Write(p []byte) (int, error) { return sub.pipe.Write(p) }

func (sub *submission) commit() (queue.Entry, error) {
	sub.pipe.Close()
	<-sub.done
	return sub.res.Entry, sub.err
}

func (sub *submission) abort() {
	sub.pipe.CloseWithError(errRejected)
	<-sub.done
}

// headerScan looks at the header of a message as it passes.
type headerScan struct {
	done bool
	size int
	hops int
	line []byte // the beginning of the current line, as far as it is of interest
}

const received = "received:"

// scan takes the next piece of a message.
func (h *headerScan) scan(p []byte, limit int) *status.Status {
	for len(p) > 0 && !h.done {
		i := bytes.IndexByte(p, '\n')
		piece := p
		if i >= 0 {
			piece = p[:i+1]
		}
		p = p[len(piece):]
		if h.size += len(piece); h.size > maxHeader {
			return errHeader
		}
		if room := len(received) - len(h.line); room > 0 {
			h.line = append(h.line, piece[:min(room, len(piece))]...)
		}
		if i >= 0 {
			h.endLine()
		}
		if limit > 0 && h.hops > limit {
			return errHops
		}
	}
	return nil
}

func (h *headerScan) endLine() {
	switch {
	case string(h.line) == "\r\n", string(h.line) == "\n":
		h.done = true
	case bytes.EqualFold(h.line, []byte(received)):
		h.hops++
	}
	h.line = h.line[:0]
}

// trace is the Received field of a message (RFC 5321 section 4.4, RFC 3848, RFC 6531 section 3.7.3).
func (s *Session) trace(id string) string {
	b := make([]byte, 0, 512)
	b = append(b, "Received: from "...)
	b = append(b, safeHelo(s.client.Helo)...)
	b = append(b, " ("...)
	b = append(b, s.peerName()...)
	b = append(b, ")\r\n\tby "...)
	b = append(b, s.Hostname...)
	b = append(b, " (postrider) with "...)
	b = append(b, s.protocol()...)
	if s.client.TLS != nil {
		b = append(b, " (using "...)
		b = append(b, s.tlsName()...)
		b = append(b, ')')
	}
	if s.client.Login != "" {
		b = append(b, " (authenticated)"...)
	}
	b = append(b, "\r\n\tid "...)
	b = append(b, id...)
	if len(s.tx.Rcpts) == 1 && !s.tx.Rcpts[0].NeedsUTF8() {
		b = append(b, "\r\n\tfor <"...)
		b = append(b, s.tx.Rcpts[0].String()...)
		b = append(b, '>')
	}
	b = append(b, "; "...)
	b = s.now().AppendFormat(b, "Mon, 2 Jan 2006 15:04:05 -0700")
	return string(append(b, crlf...))
}

// safeHelo is what a client called itself, or what may stand for it in a header and a log.
func safeHelo(helo string) string {
	if address.ValidHostname(helo) || isLiteral(helo) {
		return helo
	}
	return "unknown"
}
