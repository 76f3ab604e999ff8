// Package smtpd is the server side of SMTP and LMTP: the sessions in which hosts, programs and people hand us mail.
//
// # A session
//
// A Session speaks over any net.Conn. What it may do is decided by a Policy, who is behind it by an auth.Authenticator;
// this package knows the protocol only. It goes through these states:
//
//	state      entered by                     commands that change it
//	start      connection, STARTTLS, XCLIENT  HELO EHLO LHLO (ready), STARTTLS, XCLIENT
//	ready      HELO EHLO LHLO, end of mail    MAIL (mail), AUTH, STARTTLS (start), XCLIENT (start)
//	mail       MAIL                           RCPT (rcpt), RSET EHLO (ready)
//	rcpt       RCPT that was accepted         RCPT, DATA (text), BDAT (chunks), RSET EHLO (ready)
//	chunks     BDAT                           BDAT, BDAT LAST (ready), RSET EHLO (ready)
//	text       DATA                           the line of one dot (ready)
//	closed     QUIT, 421, end of input
//
// NOOP HELP VRFY EXPN ETRN RSET QUIT are allowed in every state between commands. Whatever is out of order is 503.
//
// # The instant of acceptance
//
// The message passes in blocks into a queue.Draft, which is committed after the last byte has been seen and judged. The
// 250 is written when Commit has returned nil, and nothing else is a 250 to DATA or BDAT LAST. A session that ends
// before, for whatever reason, aborts its draft.
//
// # What strangers cannot do
//
// A command ends in CRLF, and in nothing else. The text of DATA ends with CRLF.CRLF, and in nothing else; a CR or LF that
// is no CRLF lets the message be refused when it has ended. No byte of a text is ever read as a command: a text that
// cannot be read to its end ends the session. A chunk of BDAT is as long as it says, or the session ends and there is no
// message. What was sent before its time (greeting, EHLO, DATA, STARTTLS) ends the session. Trusted clients may end lines
// in LF; see reader.
//
// Addresses are kept as parsed. Every command line, reply, header, count and wait has a cap. Errors slow a session down,
// and too many end it.
package smtpd

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"postrider/internal/address"
	"postrider/internal/auth"
	"postrider/internal/maillog"
	"postrider/internal/status"
	"postrider/internal/submit"
	"postrider/queue"
)

// Mode is what a port is for.
type Mode int

// The modes of ports.
const (
	MTA        Mode = iota // mail from other hosts
	Submission             // mail from users: login required, header completed (RFC 6409)
	LMTP                   // RFC 2033
	Local                  // mail from users of this machine: trusted, header completed as sendmail does it
)

// Port is one place where sessions begin. It is not changed while it is in use.
type Port struct {
	Name     string // for the log: the address as configured
	Mode     Mode
	TLS      *tls.Config // nil: no TLS
	Implicit bool        // TLS from the first byte (RFC 8314)
	Auth     Authenticator
}

// Authenticator finds out who a client is. *auth.Authenticator is one.
type Authenticator interface {
	// Mechanisms are the names of what may be used on a channel, best first; none: AUTH is not offered.
	Mechanisms(ch auth.Channel) []string
	// Start begins an exchange. Its error, and those of the exchange, are *status.Status that are fit for a reply.
	Start(ctx context.Context, mechanism string, ch auth.Channel) (auth.Exchange, error)
}

// Server is what sessions have in common. It is not changed while it is in use: who changes the configuration makes
// another Server for the sessions to come.
type Server struct {
	Hostname string // our name in greeting, EHLO and trace
	Origin   string // completes addresses without a domain from users
	Spool    Spool
	Policy   Policy
	Log      *maillog.Logger
	Stats    *Stats // nil: not counted

	SizeLimit  int64          // bytes of a message; 0: none
	HopLimit   int            // Received fields in a message that is accepted
	Recipients int            // of one message
	Timeout    time.Duration  // for a client's next command, and for each read of a message
	Lifetime   time.Duration  // of a session
	Delay      time.Duration  // before the greeting to a stranger
	XClient    []netip.Prefix // who may use XCLIENT
	Proxies    []netip.Prefix // whose connections begin with a PROXY header
	ETRN       bool           // offered on ports for other hosts
	VRFY, EXPN bool           // offered; the Policy answers them in any case

	IsLocal func(domain string) bool  // whose localparts differ not by case
	User    func(uid int) submit.User // a user of this machine; nil: only the number is known
	Checks  []Check                   // what looks at each message, in order

	// Committed is called after a message has been accepted. nil: nothing is.
	Committed func(queue.Entry)

	Now   func() time.Time                     // nil: time.Now
	Sleep func(context.Context, time.Duration) // nil: a timer
}

// Spool is where messages go. *queue.Spool is one.
type Spool interface {
	NewDraft(queue.Envelope) (*queue.Draft, error)
	// Room tells whether a message of so many bytes may be taken. The error is a temporary *status.Status.
	Room(size int64) error
}

// Client is who is at the other end of a session.
type Client struct {
	Addr    netip.Addr // of the host; not valid for a client of this machine that came by a pipe or a Unix socket
	Port    uint16
	UID     int    // of a client of this machine, by the kernel's word; -1: not known
	User    string // that user's name
	Name    string // the host's verified name in DNS, set by Policy.Connect; "" when there is none
	Trusted bool   // set by Policy.Connect: the client is one of ours, by its network or its UID

	Mode  Mode
	Helo  string // what it said in HELO, EHLO, LHLO or XCLIENT; "" before
	ESMTP bool
	TLS   *tls.ConnectionState // nil: in clear
	Login string               // as whom it has logged in; "" when it has not
	Via   string               // the proxy or XCLIENT client that told of it, for the log; "" when it came directly

	// State is the Policy's own.
	State any
}

// Friend tells whether the client may relay: it is trusted or has logged in.
func (c *Client) Friend() bool { return c.Trusted || c.Login != "" }

// Transaction is one message on its way in. Policies look at it and do not change it.
type Transaction struct {
	Sender   address.Address
	Rcpts    []address.Address // accepted so far
	Declared int64             // SIZE, 0 when it was not given
	Envelope queue.Envelope    // as it will be stored; Rcpts run parallel to those above
}

// Verdict is what a Policy says of one step. The zero value lets it pass.
type Verdict struct {
	Status *status.Status // the reply with which it is refused; nil: it passes
	Close  bool           // a refusal that also ends the session
	// Discard takes the message from the client and throws it away. From Rcpt it is about that recipient, otherwise
	// about the message.
	Discard bool
	Hold    string // the message is to be held in the queue, and why
	Reason  string // why it was decided so, for the log
}

// disposal is that a message is to be thrown away or held.
type disposal struct {
	discard bool
	hold    string // why, for whoever looks at the queue; "": it is not held
	why     string // Verdict.Reason of either
}

// heed takes a verdict in. Of several that want the same the first counts; to throw away outdoes to hold.
func (d *disposal) heed(v Verdict) {
	switch {
	case d.discard:
	case v.Discard:
		d.discard, d.why = true, v.Reason
	case v.Hold != "" && d.hold == "":
		d.hold, d.why = v.Hold, v.Reason
	}
}

// Policy decides. Its methods may be called by several sessions at once; those of one session come one after another.
// Whatever fails inside must be a refusal, at least a temporary one.
type Policy interface {
	// Connect judges a client before it is greeted, and sets its Name, Trusted and State. It is called again after
	// XCLIENT has told of another client; Close is called in between.
	Connect(ctx context.Context, c *Client) Verdict
	// Helo judges c.Helo.
	Helo(ctx context.Context, c *Client) Verdict
	// Mail judges the sender of a new transaction.
	Mail(ctx context.Context, c *Client, t *Transaction) Verdict
	// Rcpt judges a recipient that is not yet in t.Rcpts. A bare recipient has no domain.
	Rcpt(ctx context.Context, c *Client, t *Transaction, rcpt address.Address) Verdict
	// Data judges the transaction as a whole, before the text of the message is asked for.
	Data(ctx context.Context, c *Client, t *Transaction) Verdict
	// Login is asked, with tried false, whether the client may try to log in. If it may, Login is called once more with how
	// that ended: err is nil when it succeeded, of reply 535 when it was a wrong guess, and else it was none. A refusal
	// ends the session.
	Login(ctx context.Context, c *Client, tried bool, err error) Verdict
	// Verify answers VRFY, and Expand EXPN, with the lines of a reply. They need not care whether the client can read
	// what is not ASCII.
	Verify(ctx context.Context, c *Client, text string) Answer
	Expand(ctx context.Context, c *Client, text string) Answer
	// Turn answers ETRN: it starts a queue run for a domain, for all below it when it begins with "@".
	Turn(ctx context.Context, c *Client, domain string) *status.Status
	// Close forgets a client whose session has ended.
	Close(c *Client)
}

// Answer is a reply of one or more lines. Lines replaces the text of Status when it is not empty.
type Answer struct {
	Status *status.Status
	Lines  []string
	Reason string // for the log, when it is a refusal
}

// Check looks at the text of messages: content filters, signatures. It stands between the end of the text and the
// commit.
type Check interface {
	// Begin is called for each message. The trace field is not part of what is seen. nil: the message is not looked at.
	Begin(ctx context.Context, c *Client, t *Transaction) Inspection
}

// Inspection looks at one message. Write gets its text in wire form and must not keep it; End judges it, and is not
// called for a message that has been given up. Abort is called then.
type Inspection interface {
	Write(text []byte) (int, error)
	End() Verdict
	Abort()
}
