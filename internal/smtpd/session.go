package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"postrider/internal/maillog"
	"postrider/internal/status"
	"postrider/internal/submit"
)

// Counts after which a session is slowed down, and ended. Errors are commands that make no sense and refusals; a message
// that is accepted forgives them. Friends have more patience.
const (
	slowErrors    = 5
	maxErrors     = 20
	friendErrors  = 200
	maxIdle       = 100 // commands that bring no message nearer: all but RCPT and BDAT, until one is accepted
	maxLoginFails = 5
	slowDown      = time.Second
	handshakeTime = time.Minute
	writeTime     = 5 * time.Minute
	farewell      = 5 * time.Second // to tell a client that its session has lasted too long
)

// maxWaste is how many bytes of refused messages a session swallows.
var maxWaste int64 = 32 << 20

// Session is one connection of a client.
type Session struct {
	*Server
	ctx    context.Context // for those who are asked; it outlives a shutdown
	going  context.Context // done when the server goes down
	port   *Port
	conn   net.Conn // TLS once that is up
	in     reader
	out    []byte // replies to be sent
	wide   bool   // the reply may be more than ASCII
	broken bool   // nothing more can be
	client Client
	real   netip.Addr // who the client is, whatever it says by XCLIENT
	user   submit.User
	begun  time.Time
	end    time.Time // when the session has to be over; zero: never

	tx        *Transaction        // nil when there is none
	chunks    *message            // the message of which chunks have come, or the text
	rcpts     int                 // RCPT commands of the transaction, refused ones too
	discarded int                 // recipients for whom the message is to be thrown away
	disposal                      // of the message
	atConnect Verdict             // what was said of the client: for all its messages
	atHelo    Verdict             // and of what it called itself
	seen      map[string]struct{} // keys of the recipients of the transaction
	grant     string              // why the last recipient was accepted

	known    bool // by the Policy, which is to forget it
	errors   int
	idle     int
	failures int // logins that failed
	wasted   int64
	textFrom time.Time // when the text began; zero outside of one
	textSaw  int64     // and how many bytes had come by then
	count    maillog.SessionCount
	closed   string // why the session is over; "" while it is not
	verb     string // of the command being done
}

// LocalAddr is the address of a client of this machine that came by no socket, as net.Conn.RemoteAddr gives it.
type LocalAddr struct{ UID int }

// Network implements net.Addr.
func (LocalAddr) Network() string { return "local" }

func (LocalAddr) String() string { return "local" }

// Serve runs a session to its end and closes the connection. When ctx is done the session ends at the next command
// that does not belong to a transaction.
func (s *Server) Serve(ctx context.Context, conn net.Conn, p *Port) {
	x := &Session{Server: s, going: ctx, port: p, conn: conn, begun: s.now()}
	var cancel context.CancelFunc
	x.ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if s.Lifetime > 0 {
		x.end = timeNow().Add(s.Lifetime)
	}
	x.in = reader{conn: conn, buf: make([]byte, smallBlock), loose: p.Mode == Local, flush: x.flush, limit: x.limit}
	if s.Stats != nil {
		s.Stats.Connections.Add(1)
		s.Stats.Sessions.Add(1)
		defer s.Stats.Sessions.Add(-1)
	}
	stop := context.AfterFunc(ctx, x.in.drain)
	defer x.finish() // whatever happens
	defer stop()
	x.run()
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// run is the session. It returns when x.closed is set.
func (s *Session) run() {
	if !s.open() {
		return
	}
	for s.closed == "" {
		s.in.setIdle(s.tx == nil)
		line, err := s.in.line()
		s.in.setIdle(false)
		if err != nil {
			s.lineError(err)
			continue
		}
		s.command(line)
		s.in.shrink()
	}
}

// finish forgets the session.
func (s *Session) finish() {
	s.reset()
	s.flush()
	s.conn.Close()
	s.in.release()
	s.leave()
	s.Log.Session(s.logName(), s.heloName(), s.protocol(), s.tlsName(), s.count, s.now().Sub(s.begun), s.closed)
}

// close ends the session after what has been replied.
func (s *Session) close(why string) {
	if s.closed == "" {
		s.closed = why
	}
}

// drop ends the session with a reply of ours.
func (s *Session) drop(code int, enhanced status.Code, text, why string) {
	s.reply(code, enhanced, text)
	s.close(why)
	if s.Stats != nil {
		s.Stats.Dropped.Add(1)
	}
}

// lineError deals with a command line that could not be read.
func (s *Session) lineError(err error) {
	var timeout net.Error
	switch {
	case errors.Is(err, errBareLF):
		s.drop(521, status.Code{5, 5, 2}, "bare LF in a command: lines end in CRLF", "bare LF")
	case errors.Is(err, errLong): // it may have been a BDAT, and what follows a chunk
		s.drop(500, codeSyntax, "line too long", "line too long")
	case errors.Is(err, errDrained):
		s.drop(421, status.Code{4, 3, 2}, s.Hostname+" is going down", "shutdown")
	case errors.Is(err, io.EOF):
		s.close("closed by client")
	case errors.As(err, &timeout) && timeout.Timeout():
		s.drop(421, status.Code{4, 4, 2}, s.Hostname+" timeout: closing connection", "timeout")
	default:
		s.close("connection lost")
	}
}

// limit is until when the next read has to have succeeded: by the client's patience, by the rate at which a message must
// come, by the lifetime of the session.
func (s *Session) limit() time.Time {
	now := time.Now()
	if s.closed != "" {
		return longAgo
	}
	until := now.Add(s.Timeout)
	if !s.textFrom.IsZero() {
		rate := s.textFrom.Add(s.Timeout + time.Duration(s.in.saw-s.textSaw)*(time.Second/minRate))
		if rate.Before(until) {
			until = rate
		}
	}
	if !s.end.IsZero() && s.end.Before(until) {
		until = s.end
	}
	return until
}

// flush sends the replies. After an error nothing more is said.
func (s *Session) flush() error {
	switch {
	case s.broken:
		s.out = nil
		return net.ErrClosed
	case len(s.out) == 0:
		return nil
	}
	until := time.Now().Add(min(writeTime, s.Timeout))
	if end := s.end.Add(farewell); !s.end.IsZero() && end.Before(until) {
		until = end
	}
	s.conn.SetWriteDeadline(until)
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	if cap(s.out) > largeBlock {
		s.out = nil
	}
	if err != nil {
		s.broken = true
		s.close("connection lost")
	}
	return err
}

// pause waits, and what there is to say is said before.
func (s *Session) pause(d time.Duration) {
	if s.flush() != nil {
		return
	}
	if s.Sleep != nil {
		s.Sleep(s.going, d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.going.Done():
	}
}

// reset forgets the transaction.
func (s *Session) reset() {
	if s.chunks != nil {
		s.chunks.abort()
		s.chunks = nil
	}
	s.tx, s.rcpts, s.discarded, s.grant = nil, 0, 0, ""
	s.disposal = disposal{}
	s.heed(s.atConnect)
	s.heed(s.atHelo)
	s.textFrom = time.Time{}
	clear(s.seen)
}

// restart forgets all that the client has said (RFC 3207 section 4.2).
func (s *Session) restart() {
	s.atHelo = Verdict{}
	s.reset()
	s.client.Helo, s.client.ESMTP, s.client.Login = "", false, ""
}

// logName is who the client is, for logs: "name[address]", or "local[uid]".
func (s *Session) logName() string {
	if c := &s.client; !c.Addr.IsValid() && c.UID >= 0 {
		return "local[" + itoa(c.UID) + "]"
	}
	return s.peerName()
}

// peerName is who the client is, for traces: "name[address]".
func (s *Session) peerName() string {
	c := &s.client
	switch {
	case c.Addr.IsValid() && c.Name != "":
		return c.Name + "[" + c.Addr.String() + "]"
	case c.Addr.IsValid():
		return "unknown[" + c.Addr.String() + "]"
	case c.UID >= 0:
		return "userid " + itoa(c.UID)
	}
	return "local"
}

// heloName is what the client called itself, for logs; "" before it did.
func (s *Session) heloName() string {
	if s.client.Helo == "" {
		return ""
	}
	return safeHelo(s.client.Helo)
}

// protocol is the keyword of RFC 3848 and RFC 6531 for what is spoken.
func (s *Session) protocol() string {
	c := &s.client
	name := "SMTP"
	switch {
	case c.Mode == LMTP:
		name = "LMTP"
	case c.ESMTP:
		name = "ESMTP"
	}
	if s.tx != nil && s.tx.Envelope.UTF8 {
		name = "UTF8SMTP"
		if c.Mode == LMTP {
			name = "UTF8LMTP"
		}
	}
	if name == "SMTP" {
		return name
	}
	if c.TLS != nil {
		name += "S"
	}
	if c.Login != "" {
		name += "A"
	}
	return name
}

// tlsName is the version and the cipher suite of the connection; "" in clear.
func (s *Session) tlsName() string {
	t := s.client.TLS
	if t == nil {
		return ""
	}
	return strings.ReplaceAll(tls.VersionName(t.Version), " ", "v") + "/" + tls.CipherSuiteName(t.CipherSuite)
}

var (
	noTime  time.Time
	longAgo = time.Unix(1, 0)
)

// timeNow is the time of deadlines, which is the kernel's whatever the clock of the server.
func timeNow() time.Time { return time.Now() }
