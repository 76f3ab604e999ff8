// Package submit makes a queued message of what a program writes to sendmail's standard input.
//
// # Rules
//
//   - The envelope is the operands, with -t joined by the addresses of To, Cc and Bcc; of Resent-To, Resent-Cc and
//     Resent-Bcc alone when there is any Resent- field. Each mailbox is taken once.
//   - An address without a domain gets the origin, in the envelope and in the header. In the header the bytes of
//     "@origin" are put in; no other byte of a field's body is changed, ever.
//   - Bcc, Resent-Bcc, Return-Path and Content-Length go. Blanks before a colon go. Nothing else that the caller
//     wrote is removed, and what is missing (Date, From, Message-ID) is added after it; Received stands first.
//   - The header is what looks like one: it ends before the first line that is neither a field nor the continuation
//     of one. From_ lines before it are dropped.
//   - A line ends in LF, with any number of CRs before it; in the spool it ends in CRLF. A CR elsewhere and a NUL
//     stay. A line of one dot ends the input unless dots are to be ignored.
//   - The header is kept in memory and capped; the body passes in blocks. Time is linear in the input.
//   - An error means that the message was not accepted and that nothing of it is in the spool.
package submit

import (
	"io"
	"time"

	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/queue"
)

// Options are what the command line, the configuration and the system say of a submission.
type Options struct {
	Recipients []string // operands; each may be a list
	Extract    bool     // -t: take recipients from the header
	IgnoreDots bool     // -i: a line of one dot does not end the message
	Gateway    bool     // -G: the header is not completed
	From       *string  // -f: the reverse-path; nil is the user, "" and "<>" are the null reverse-path
	FullName   string   // -F, or else $NAME; "" is the user's own
	NoRcpt     NoRecipientAction

	Notify  queue.Notify // -N, for every recipient
	Ret     string       // -R: "", "FULL" or "HDRS"
	EnvID   string       // -V, in xtext
	Body    string       // -B: "", "7BIT" or "8BITMIME"
	UTF8    bool         // -U: SMTPUTF8 whether or not an address needs it
	NoAlias bool         // -n
	Tag     string       // -L
	Hops    int          // -h: hops already made; the Received fields count when they are more

	// Envelope is the envelope that SMTP gave: no recipient and no sender is taken from the fields above or from the
	// header. It is stored as it is, but that UTF8 is set where the header needs it. nil: it is made of the fields
	// above.
	Envelope *queue.Envelope
	// Trace is the Received field that stands first, with its CRLF. nil: that of a local submission.
	Trace func(id string) string

	// ReceivedProto and ReceivedHost are -p: how and from where the message came before. What is not fit for a
	// Received field is left out.
	ReceivedProto, ReceivedHost string

	User      User
	Hostname  string                   // in Received, Message-ID and the From of MAILER-DAEMON
	Origin    string                   // completes addresses without a domain
	IsLocal   func(domain string) bool // whose localparts differ not by case; nil: no domain's
	SizeLimit int64                    // bytes of the message in wire form; 0: no limit
	HopLimit  int                      // hops allowed; 0: no limit
	Now       func() time.Time         // nil: time.Now

	// Tee gets what is stored, but for the Received field that we add. Its errors refuse the message. Its first byte
	// comes after the draft is made. nil: nothing does.
	Tee io.Writer
	// Whole is called once the message has been read to its end and is about to be committed. Its error refuses the
	// message. nil: nothing is called.
	Whole func() error
}

// User is who submits.
type User struct {
	Name  string // login name; "" when the system has none for the UID
	Gecos string // the passwd field: what is before the first of ",;%" is the full name, & in it the login name
	UID   int
}

// Spool is where drafts are made. *queue.Spool is one.
type Spool interface {
	NewDraft(queue.Envelope) (*queue.Draft, error)
}

// Result tells what was accepted, and of which recipients not.
type Result struct {
	Entry    queue.Entry
	Envelope queue.Envelope
	Size     int64     // of the message in wire form
	Bad      []BadRcpt // what could not be read; also when Submit failed because of it
	More     int       // how many more there are, when ParseAnswer made the result
}

// BadRcpt is an address that could not be read.
type BadRcpt struct {
	Field string // the header field that holds it; "" when it was an operand
	Text  string // as written, made one line of printable text (see status.Clean)
	Err   error
}

// Submit reads a message from in and puts it into the spool. When the error is nil the message is accepted. Those
// in Bad were in its header beside good ones: each is a recipient that cannot be an address, so that the queue
// returns the message for it. An operand that is bad refuses the message. When there is an error
// nothing is left in the spool and the error is a *status.Status with the exit status of sendmail: 64 for
// recipients, 65 for a header over the cap, 69 for a message too large or with too many hops, 74 when in fails,
// 75 when the spool does. An error of in that is a *status.Status itself is returned as that. Not all of in need be
// read then.
func Submit(in io.Reader, sp Spool, o Options) (Result, error) {
	s := &submission{Options: o, in: newInput(in, !o.IgnoreDots), now: time.Now()}
	defer s.in.release()
	if o.Now != nil {
		s.now = o.Now()
	}
	var res Result
	err := s.prepare()
	res.Bad = s.rcpts.bad
	if err == nil {
		res.Envelope = s.envelope()
		res.Entry, res.Size, err = s.store(sp, res.Envelope)
	}
	if err != nil {
		return Result{Bad: res.Bad}, status.From(err)
	}
	return res, nil
}

// submission is one message on its way from standard input to the spool.
type submission struct {
	Options
	in     *input
	now    time.Time
	sender address.Address
	rcpts  recipients
	header header
}

// prepare finds out all that the envelope and the header need. The body is still unread after it.
func (s *submission) prepare() error {
	if err := s.setEnvelope(); err != nil {
		return err
	}
	if err := s.header.read(s.in); err != nil {
		return err
	}
	if err := s.in.failure(); err != nil {
		return err
	}
	if hops := max(s.Hops, s.header.received); s.HopLimit > 0 && hops > s.HopLimit {
		return status.New("submit.hops", 554, status.Code{5, 4, 6}, "too many hops", nil)
	}
	if err := s.header.parse(s.extract); err != nil || s.Envelope != nil {
		return err
	}
	return s.rcpts.check()
}

// setEnvelope finds what is known of sender and recipients before the header is read.
func (s *submission) setEnvelope() error {
	if err := s.setSender(); err != nil || s.Envelope != nil {
		return err
	}
	s.rcpts = newRecipients(s.Origin, s.IsLocal)
	if err := s.rcpts.addOperands(s.Recipients); err != nil {
		return err
	}
	if !s.Extract && len(s.rcpts.list) == 0 {
		return refuse("Recipient addresses must be specified on the command line or via the -t option")
	}
	return nil
}

// extract takes the recipients of one field when -t asks for them.
func (s *submission) extract(f field, list addressList) error {
	resent := s.header.reseen != 0
	if !s.Extract || s.Envelope != nil || f.role&isRcpt == 0 || resent != (f.role&isResent != 0) {
		return nil
	}
	if list.err != nil {
		return status.Fail("submit.header", status.ExitDataErr, "cannot read the recipients in the header", list.err)
	}
	return s.rcpts.add(s.header.name(f), list)
}

func (s *submission) envelope() queue.Envelope {
	if s.Envelope != nil {
		e := *s.Envelope
		e.UTF8 = e.UTF8 || s.header.utf8
		return e
	}
	s.rcpts.appendBad()
	for i := range s.rcpts.list {
		s.rcpts.list[i].Notify = s.Notify
	}
	return queue.Envelope{
		Arrival: s.now,
		Sender:  s.sender.String(),
		Rcpts:   s.rcpts.list,
		Ret:     s.Ret,
		EnvID:   s.EnvID,
		Body:    s.Body,
		UTF8:    s.UTF8 || s.sender.NeedsUTF8() || s.rcpts.utf8 || s.header.utf8,
		UID:     s.User.UID,
		User:    s.User.Name,
		Proto:   "local",
		Tag:     s.Tag,
		NoAlias: s.NoAlias,
	}
}

// store writes the message and commits it.
func (s *submission) store(sp Spool, e queue.Envelope) (queue.Entry, int64, error) {
	d, err := sp.NewDraft(e)
	if err != nil {
		return queue.Entry{}, 0, err
	}
	err = s.write(d)
	if err == nil && s.Whole != nil {
		err = s.Whole()
	}
	if err != nil {
		d.Abort()
		return queue.Entry{}, 0, err
	}
	size := d.Size()
	entry, err := d.Commit()
	return entry, size, err
}

func (s *submission) write(d *queue.Draft) error {
	w := newWriter(d, s.SizeLimit)
	defer w.release()
	id := string(d.ID())
	s.writeTrace(w, id)
	if s.Tee != nil {
		w.flush()
		w.to = io.MultiWriter(d, s.Tee)
	}
	s.writeHeader(w, id)
	s.in.copyBody(w)
	w.flush()
	if err := s.in.failure(); err != nil {
		return err
	}
	return w.err
}
