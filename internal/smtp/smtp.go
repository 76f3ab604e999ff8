// Package smtp is the client side of SMTP and LMTP: sessions that hand messages to a next hop.
//
// Dial brings a session up as far as it will go: connection, greeting, EHLO (or HELO, or LHLO), TLS, login. Send
// runs one mail transaction over it, and may be called again and again; Close says QUIT. A Session serves one
// goroutine at a time.
//
// The rules that hold everywhere:
//
// What happens before MAIL concerns the session and never a message, so it is temporary whatever the peer says: a
// refused greeting, a missing STARTTLS, a wrong password hold the mail and bounce nothing. The one exception is a
// 521 greeting, with which a host says that it takes no mail at all (RFC 7504).
//
// Whatever is not understood is temporary, 451 4.5.0, and ends the session, because after it nobody knows which
// reply belongs to which command. A 421 ends the session wherever it comes.
//
// When the connection breaks after the final dot and before the reply to it, the peer may or may not have taken the
// message. It counts as not delivered and will be tried again: that is the one window in which a recipient may get a
// message twice (RFC 5321 section 4.5.3.2.6, RFC 1047).
//
// Peers are hostile: replies are capped in line length, lines and time and cleaned before anybody sees them, and
// no write and no read goes without a deadline, nor a session's beginning or a transaction as a whole. Nothing that
// could end a command line or a path is ever sent.
//
// A password goes to nobody who may be somebody else: without TLS and a valid certificate there is no login, whatever
// the mode, except on this machine.
//
// Who has submitted a message is told to nobody but a peer that has taken our login (RFC 4954 section 5).
//
// The message leaves in a form that every peer reads the same way (see body.go): a spool that holds a bare CR, a bare
// LF or a NUL never shows it on the wire.
//
// Our own delivery agent hears more than others do, and may name others in place of a recipient (see agent.go).
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"postrider/internal/status"
)

// TLSMode says how much TLS a session wants.
type TLSMode int

// The modes. May takes TLS when it is offered, without verifying anything, and goes on in clear when it fails.
// Encrypt wants STARTTLS or nothing. Implicit speaks TLS from the first byte (RFC 8314 section 3).
const (
	None TLSMode = iota
	May
	Encrypt
	Implicit
)

// Credentials is what a session logs in with.
type Credentials struct{ User, Password string }

// Target is one address of a next hop, and what a session with it has to be like.
type Target struct {
	Name     string       // host name, for certificates and for the log
	Network  string       // "tcp" or "unix"
	Address  string       // "192.0.2.1:25", or a path
	LMTP     bool         // speak LMTP (RFC 2033)
	Agent    bool         // it is our own delivery agent, which offers XLOCAL; with LMTP only
	TLS      TLSMode      // how much TLS
	Verify   bool         // Encrypt and Implicit: the certificate has to be valid for Name
	Config   *tls.Config  // roots and the like; nil: the system's
	Auth     *Credentials // nil: no login
	HeloName string       // our name in EHLO; "" means "localhost"
}

// Options is what sessions have in common. The zero value is ready for use.
type Options struct {
	Timeouts Timeouts
	// Dialogue receives the commands (after ">>> ") and the replies as they pass, without secrets and message text.
	Dialogue io.Writer
	// Dialer connects; nil means net.Dialer.
	Dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	}
	// Now is the clock that Message.By goes by; nil means time.Now.
	Now func() time.Time
}

// Timeouts limits every wait. A field that is 0 has its default.
type Timeouts struct {
	Connect  time.Duration // 30 s: to connect to the address
	Greeting time.Duration // 5 min: for the 220
	Command  time.Duration // 5 min: for the reply to one command, or the TLS handshake
	Data     time.Duration // 2 min: for the 354
	Block    time.Duration // 3 min: to send one block of the message
	Final    time.Duration // 10 min: for a reply to the final dot
	Quit     time.Duration // 5 s: for the 221, when there is a Dialogue to show it

	// A peer that uses each of these limits to the last second would hold us for hours.
	Setup       time.Duration // 15 min: to bring a session up, from the connection to the login
	Transaction time.Duration // 30 min, and a second more for each minRate bytes: for one Send
}

// minRate is how many bytes a second a peer must take on the average.
const minRate = 2 << 10

// withDefaults fills in RFC 5321 section 4.5.3.2.
func (t Timeouts) withDefaults() Timeouts {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Connect, 30 * time.Second},
		{&t.Greeting, 5 * time.Minute},
		{&t.Command, 5 * time.Minute},
		{&t.Data, 2 * time.Minute},
		{&t.Block, 3 * time.Minute},
		{&t.Final, 10 * time.Minute},
		{&t.Quit, 5 * time.Second},
		{&t.Setup, 15 * time.Minute},
		{&t.Transaction, 30 * time.Minute},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return t
}

// Message is one transaction: an envelope and the message in wire form (CRLF, not dot-stuffed).
type Message struct {
	Sender   string // wire form; "" is the null reverse-path
	Rcpts    []Rcpt
	Header   string            // what goes before Body, whole lines: fields, or a header where Body is without
	Body     *io.SectionReader // read from its start; its own offset is neither used nor moved
	EightBit bool              // the body (not the header) holds 8-bit bytes
	BodyType string            // as declared at submission: "", "7BIT", "8BITMIME"
	UTF8     bool              // the header needs SMTPUTF8; addresses are looked at here
	Ret      string            // "", "FULL", "HDRS"
	EnvID    string            // xtext
	Auth     string            // AUTH as it was given at submission: "", "<>" or xtext

	By       time.Time // deadline of the delivery (RFC 2852); zero: none
	ByNotify bool      // mode N: it may be passed on to who knows nothing of deadlines; else mode R: it may not
	ByTrace  bool      // each host that takes it is to report that

	ID      string    // queue ID, for our delivery agent
	Arrival time.Time // when it was accepted, for our delivery agent
}

// Rcpt is one recipient.
type Rcpt struct {
	Address string // wire form
	ORcpt   string // "rfc822;" and xtext, or ""
	Notify  string // "SUCCESS,DELAY", or ""

	// For our delivery agent.
	Number  int    // the recipient's in the message, always the same
	Mailbox bool   // into the mailbox, whatever the user's .forward says
	Member  string // "|command", "/file", "/maildir/": what Address, a user or an alias, stands for; "": the user
}

// Result is the outcome of a transaction.
type Result struct {
	// Rcpts holds one outcome for each of Message.Rcpts, in their order. Success carries the final reply. The Op of
	// what the peer itself has said is OpReply.
	Rcpts []*status.Status
	// Begun: the text of the message was sent, all or in part. When it is false the peer cannot have the message.
	Begun bool
	// DSN: the peer took the DSN parameters and owes the reports from now on. When it is false, a recipient that
	// asked for SUCCESS is due a "relayed" report from us (RFC 3461 section 5.2.2).
	DSN bool
	// By: the peer knows of the deadline from now on. When it is false and there is one, in mode N, a "relayed" report
	// is due from us (RFC 2852 section 4.1.4.2).
	By bool
	// Members, when not nil, has for each recipient those that our delivery agent has named in his place, at least one, as
	// aliases(5) spells them: "address", "\user", "|command" and so on. He gets nothing, and his outcome is the reply 251.
	// nil: nobody.
	Members [][]string
}

// OpReply is the Op of a status that a peer has replied. Any other was found out by us.
const OpReply = "smtp.reply"

// ErrStale is in the chain of Send's error when the peer had ended the session between two messages. Nothing of the
// new message was offered, so this is no failed attempt: dial again. A session's first Send never says so.
var ErrStale = errors.New("the peer has ended the idle session")
