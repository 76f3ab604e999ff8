package smtpd

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/internal/submit"
	"postrider/queue"
)

// XSUBMIT is an extension of our own, for the program sendmail of users who do not own the spool. It is offered to them
// on a Unix socket alone, by which the kernel tells who they are. The client sends
//
//	XSUBMIT size CRLF         and as many bytes of options, see submit.Options.AppendBlock
//	BDAT size CRLF            and as many bytes of what sendmail has read, as it was read; any number of times
//	BDAT size LAST CRLF       and the last of them
//
// without waiting for anything. To all of this there is one reply, see submit.Answer. Where it comes early it is a
// refusal, and the chunks that follow are thrown away, up to a limit. A chunk of no bytes says that the client still
// waits for its own input. So headers are completed in one place, by package submit, with what the server knows of the
// host and of the user.
//
// The Policy is asked about the client, the sender and the transaction as a whole. It is not asked about recipients:
// what is wrong with one is told by mail to the sender, as with a sendmail that queues by itself.
const xsubmitKeyword = "XSUBMIT"

// mayXSubmit tells whether the client is one to whom XSUBMIT is offered.
func (s *Session) mayXSubmit() bool {
	_, unix := s.conn.RemoteAddr().(*net.UnixAddr)
	return unix && s.port.Mode == Local && s.client.Trusted && s.client.UID >= 0
}

func (s *Session) xsubmit(args string) {
	size, err := strconv.ParseUint(args, 10, 31)
	switch {
	case s.port.Mode != Local:
		s.mistake(500, codeUnknown, "command not known")
		return
	case !s.mayXSubmit(): // a sendmail that has not waited for our word sends a stranger's words next
		s.drop(502, codeUnknown, xsubmitKeyword+" is not available", "bad options")
		return
	case err != nil || size > submit.MaxBlock:
		s.drop(501, codeArgument, "syntax: XSUBMIT size", "bad options")
		return
	}
	if size > freeBlock {
		if blockBytes.Add(int64(size)) > maxBlocks {
			blockBytes.Add(-int64(size))
			s.drop(421, status.Code{4, 3, 2}, s.Hostname+" too busy just now", "too many options")
			return
		}
		defer blockBytes.Add(-int64(size))
	}
	patience := s.in.limit
	defer func() { s.in.limit = patience }()
	s.in.grow()
	s.in.limit = s.longLimit
	newHandover(s).take(int64(size))
}

// Blocks of options that are longer than freeBlock share maxBlocks bytes of memory, in all sessions.
const (
	freeBlock = 64 << 10
	maxBlocks = 32 << 20
)

var blockBytes atomic.Int64

// longTime is how long a job may write what it has to say.
const longTime = 24 * time.Hour

// longLimit is limit for what a job writes: it may take its time, but not for ever.
func (s *Session) longLimit() time.Time {
	until := timeNow().Add(s.Timeout)
	if end := s.end.Add(longTime); !s.end.IsZero() && end.Before(until) {
		until = end
	}
	if s.closed != "" {
		return longAgo
	}
	return until
}

// handover is the one message of an XSUBMIT. It is the spool of package submit, which makes the draft when the envelope
// is known, and the writer of what the checks see.
type handover struct {
	s      *Session
	text   chunks
	draft  *queue.Draft
	checks []Inspection
	disposal
	close  bool
	reason string // why it is refused, for the log
}

func newHandover(s *Session) *handover {
	return &handover{s: s, text: chunks{in: &s.in}, disposal: s.disposal}
}

// take takes the message and replies.
func (h *handover) take(size int64) {
	s := h.s
	block := make([]byte, 0, min(size, smallBlock))
	if err := s.in.chunk(size, func(p []byte) { block = append(block, p...) }); err != nil {
		s.lineError(err)
		return
	}
	res, err := h.submit(block)
	for _, c := range h.checks {
		c.Abort()
	}
	switch broken := h.text.err; {
	case errors.Is(broken, errBadChunk):
		s.drop(501, codeArgument, "syntax: BDAT size [LAST]", "bad chunk")
	case errors.Is(broken, errWaste):
		s.drop(421, status.Code{4, 3, 0}, s.Hostname+" too much data of refused messages", "too much refused data")
	case broken != nil:
		s.lineError(broken)
	case err == nil:
		s.grant = "uid"
		s.answer(codeOK, 250, submit.Answer(res, nil))
		s.accepted(res.Size, h.disposal, res.Entry)
	case err == errDiscarded:
		s.thrownAway(h.why)
	default:
		h.refuse(res, status.From(err))
	}
	s.reset()
}

var errDiscarded = status.New("smtpd.discard", 250, codeOK, submit.Discarded, nil)

// submit puts the message into the spool.
func (h *handover) submit(block []byte) (submit.Result, error) {
	s := h.s
	if text := s.missing(afterEhlo | betweenMails); text != "" {
		return submit.Result{}, status.New("smtpd.xsubmit", 503, codeUnknown, text, nil)
	}
	o := submit.Options{
		User:      s.user,
		Hostname:  s.Hostname,
		Origin:    s.Origin,
		IsLocal:   s.IsLocal,
		SizeLimit: s.SizeLimit,
		HopLimit:  s.HopLimit,
		Now:       s.Now,
		Whole:     h.whole,
	}
	if len(s.Checks) > 0 {
		o.Tee = h
	}
	if err := o.ParseBlock(block); err != nil {
		return submit.Result{}, err
	}
	return submit.Submit(&h.text, h, o)
}

// NewDraft implements submit.Spool. The envelope is known by now, so this is where the policy has its say.
func (h *handover) NewDraft(e queue.Envelope) (*queue.Draft, error) {
	s := h.s
	s.tx = transaction(e)
	if err := s.Spool.Room(0); err != nil {
		return nil, err
	}
	if err := h.heed(s.Policy.Mail(s.ctx, &s.client, s.tx)); err != nil {
		return nil, err
	}
	if err := h.heed(s.Policy.Data(s.ctx, &s.client, s.tx)); err != nil {
		return nil, err
	}
	for _, c := range s.Checks {
		if i := c.Begin(s.ctx, &s.client, s.tx); i != nil {
			h.checks = append(h.checks, i)
		}
	}
	var err error
	h.draft, err = s.Spool.NewDraft(e)
	return h.draft, err
}

// transaction is an envelope as policies look at it. A recipient that is no address is the zero one.
func transaction(e queue.Envelope) *Transaction {
	t := &Transaction{Envelope: e, Rcpts: make([]address.Address, len(e.Rcpts))}
	t.Sender, _ = address.Parse(e.Sender)
	for i, r := range e.Rcpts {
		t.Rcpts[i], _ = address.Parse(r.Address)
	}
	return t
}

// heed notes what was said of the message, and returns why it is refused.
func (h *handover) heed(v Verdict) error {
	h.disposal.heed(v)
	if v.Status != nil {
		h.reason, h.close = v.Reason, v.Close
		return v.Status
	}
	return nil
}

// Write hands what is stored to the checks.
func (h *handover) Write(p []byte) (int, error) {
	for _, c := range h.checks {
		if _, err := c.Write(p); err != nil {
			return 0, status.From(err)
		}
	}
	return len(p), nil
}

// whole judges the message when its text has ended: its chunks must have ended too, as a client that is gone before has
// not handed it over.
func (h *handover) whole() error {
	if err := h.text.skip(); err != nil {
		return err
	}
	for len(h.checks) > 0 {
		c := h.checks[0]
		h.checks = h.checks[1:]
		if err := h.heed(c.End()); err != nil {
			return err
		}
	}
	if h.discard {
		return errDiscarded
	}
	if h.hold != "" {
		h.draft.Hold(h.hold)
	}
	return nil
}

// refuse replies that the message is not accepted, at once, and throws the rest of it away.
func (h *handover) refuse(res submit.Result, st *status.Status) {
	s := h.s
	s.answer(st.Code(), st.Reply(), submit.Answer(res, st))
	s.refuseText(&message{s: s, reason: h.reason, close: h.close}, st)
	s.status(st)
	s.resent(st)
	if s.flush() == nil && s.closed == "" && h.text.skip() != nil {
		s.close("too much refused data")
	}
}

// answer writes the lines of an answer but for the last, which is said as in every other session. They may be longer than
// other replies.
func (s *Session) answer(enhanced status.Code, code int, lines []string) {
	for _, line := range lines[:len(lines)-1] {
		s.out = append(strconv.AppendInt(s.out, int64(code), 10), '-')
		s.out = append(append(append(s.out, enhanced.String()...), ' '), line...)
		s.out = append(s.out, crlf...)
	}
}

// chunks reads the text of an XSUBMIT.
type chunks struct {
	in   *reader
	left int64 // of the current chunk
	last bool  // it is the last
	err  error // why no more can be read, unless that is the end
}

var (
	errBadChunk = errors.New("not a chunk")
	errWaste    = errors.New("too much refused data")
)

// Read reads bytes of the chunks, to the end of the last one.
func (c *chunks) Read(p []byte) (int, error) {
	if err := c.next(); err != nil {
		return 0, err
	}
	n := copy(p, c.some())
	c.consume(n)
	return n, nil
}

// next sees to it that there is some. Its error is io.EOF behind the last chunk.
func (c *chunks) next() error {
	for c.err == nil && c.left == 0 {
		if c.last {
			return io.EOF
		}
		c.err = c.begin()
	}
	if c.err == nil && !c.in.pending() {
		c.err = unexpected(c.in.fill())
	}
	return c.err
}

// begin reads the line before a chunk.
func (c *chunks) begin() (err error) {
	line, err := c.in.line()
	if err != nil {
		return unexpected(err)
	}
	args, ok := strings.CutPrefix(string(line), "BDAT ")
	if c.left, c.last, err = parseChunk(args); err != nil || !ok {
		return errBadChunk
	}
	return nil
}

// some is what there is of the current chunk.
func (c *chunks) some() []byte {
	p := c.in.buf[c.in.r:c.in.w]
	return p[:min(int64(len(p)), c.left)]
}

func (c *chunks) consume(n int) {
	c.in.r += n
	c.left -= int64(n)
}

// skip throws the rest away, unless it is too much.
func (c *chunks) skip() error {
	for wasted := int64(0); ; {
		if err := c.next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		n := len(c.some())
		if wasted += int64(n); wasted > maxWaste {
			c.err = errWaste
			return c.err
		}
		c.consume(n)
	}
}

// parseChunk reads what stands behind BDAT.
func parseChunk(args string) (size int64, last bool, err error) {
	word, rest, _ := strings.Cut(args, " ")
	n, err := strconv.ParseUint(word, 10, 62)
	last = strings.EqualFold(rest, "LAST")
	if err == nil && rest != "" && !last {
		err = errBadChunk
	}
	return int64(n), last, err
}
