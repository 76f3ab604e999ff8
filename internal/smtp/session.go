package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"postrider/internal/status"
)

// Session is a connection on which mail can be sent. Dial makes it.
type Session struct {
	target Target
	opt    Options
	conn   net.Conn
	r      *bufio.Reader
	out    []byte // commands and message blocks that have not been written yet
	ext    extensions

	loggedIn bool // the peer has taken our login

	until time.Time // when what the session is at has to be over

	err     *status.Status // why the session cannot be used any more; nil while it can
	aborted atomic.Bool    // a context ended in the middle of something
	dirty   bool           // the peer has a transaction open: RSET goes before the next MAIL
	sent    int            // Send calls so far
}

// Relay names the peer for the log: "mx.example.org[192.0.2.7]:25".
func (s *Session) Relay() string { return s.target.relay() }

func (t Target) relay() string {
	if t.Name == t.Address { // a socket
		return t.Name
	}
	host, port, err := net.SplitHostPort(t.Address)
	if t.Network == "unix" || err != nil {
		return t.Name + "[" + t.Address + "]"
	}
	return t.Name + "[" + host + "]:" + port
}

// TLS is the protocol version and cipher suite, "TLSv1.3/TLS_AES_128_GCM_SHA256"; "" in clear.
func (s *Session) TLS() string {
	c, ok := s.conn.(*tls.Conn)
	if !ok {
		return ""
	}
	state := c.ConnectionState()
	version := strings.Replace(tls.VersionName(state.Version), "TLS ", "TLSv", 1)
	return version + "/" + tls.CipherSuiteName(state.CipherSuite)
}

// Reusable tells whether another Send may be tried.
func (s *Session) Reusable() bool {
	return s.err == nil && !s.aborted.Load() && (s.ext.mailMax == 0 || s.sent < s.ext.mailMax)
}

// Close says QUIT and ends the connection. It waits for the 221 only when there is a Dialogue to show it: a peer
// does not need us to hear it. Close after an error is allowed.
func (s *Session) Close() error {
	if s.err != nil || s.aborted.Load() {
		return s.conn.Close()
	}
	s.until = time.Now().Add(2 * s.opt.Timeouts.Quit)
	s.command("QUIT")
	if err := s.flush(s.opt.Timeouts.Quit); err == nil && s.opt.Dialogue != nil {
		_, _ = s.reply(s.opt.Timeouts.Quit, "QUIT")
	}
	if s.err == nil {
		s.err = status.New("smtp.quit", 421, status.Code{4, 4, 2}, "session closed", net.ErrClosed)
	}
	return s.conn.Close()
}

// watch makes the end of ctx break off whatever the session is doing, until the function it returns is called.
func (s *Session) watch(ctx context.Context) (stop func() bool) {
	conn := s.conn
	return context.AfterFunc(ctx, func() {
		s.aborted.Store(true)
		conn.Close()
	})
}

// use starts talking over conn.
func (s *Session) use(conn net.Conn) {
	s.conn, s.r = conn, bufio.NewReaderSize(conn, s.caps().line)
	s.ext = extensions{}
}

// command adds a command to what flush will send, and shows it.
func (s *Session) command(line string) { s.secret(line, line) }

// secret is command with something else to show.
func (s *Session) secret(line, shown string) {
	s.out = append(append(s.out, line...), "\r\n"...)
	s.show(shown)
}

func (s *Session) show(command string) {
	if s.opt.Dialogue != nil {
		fmt.Fprintf(s.opt.Dialogue, ">>> %s\n", status.Clean(command, peerCaps.line))
	}
}

// deadline is when a wait ends that may take limit.
func (s *Session) deadline(limit time.Duration) time.Time {
	if t := time.Now().Add(limit); t.Before(s.until) {
		return t
	}
	return s.until
}

// write sends what has been gathered, in one write.
func (s *Session) write(limit time.Duration) error {
	_ = s.conn.SetWriteDeadline(s.deadline(limit)) // an error will show in Write
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	return err
}

// flush is write for commands; an error has ended the session.
func (s *Session) flush(limit time.Duration) error {
	if err := s.write(limit); err != nil {
		return s.lost("sending a command", err)
	}
	return nil
}

// reply reads the reply to what. An error has ended the session; so has a 421, which is returned as an error too.
func (s *Session) reply(limit time.Duration, what string) (reply, error) {
	_ = s.conn.SetReadDeadline(s.deadline(limit)) // an error will show in Read
	var see func([]byte)
	if s.opt.Dialogue != nil {
		see = func(line []byte) { fmt.Fprintln(s.opt.Dialogue, status.Clean(string(line), keepReplyLine)) }
	}
	r, err := readReply(s.r, s.caps(), see)
	switch {
	case err != nil && isSyntax(err):
		text := status.Clean("bad reply to "+what+": "+err.Error(), status.MaxText)
		return r, s.end(status.New("smtp.protocol", 451, status.Code{4, 5, 0}, text, nil))
	case err != nil:
		return r, s.lost("waiting for the reply to "+what, err)
	case r.code == 421: // RFC 5321 section 3.8
		return r, s.end(r.status())
	}
	return r, nil
}

func isSyntax(err error) bool {
	return errors.Is(err, errReplySyntax) || err == errReplyLong || err == errReplyLines || err == errReplyCodes
}

// roundTrip sends a command and reads its reply.
func (s *Session) roundTrip(line, verb string) (reply, error) {
	s.command(line)
	if err := s.flush(s.opt.Timeouts.Command); err != nil {
		return reply{}, err
	}
	return s.reply(s.opt.Timeouts.Command, verb)
}

// unexpected ends the session because of a reply that makes no sense where it came.
func (s *Session) unexpected(r reply, verb string) *status.Status {
	text := status.Clean(fmt.Sprintf("unexpected reply to %s: %d %s", verb, r.code, r.flat()), status.MaxText)
	return s.end(status.New("smtp.protocol", 451, status.Code{4, 5, 0}, text, nil))
}

// lost ends the session because of an error of the connection.
func (s *Session) lost(doing string, err error) *status.Status {
	text := "connection lost while " + doing
	switch {
	case s.aborted.Load():
		text = "interrupted while " + doing
	case errors.Is(err, os.ErrDeadlineExceeded):
		text = "timed out while " + doing
	}
	return s.end(status.New("smtp.io", 451, status.Code{4, 4, 2}, text, err))
}

// end closes the connection and returns st, the first reason for it stays.
func (s *Session) end(st *status.Status) *status.Status {
	if s.err == nil {
		s.err = st
	}
	s.conn.Close()
	return st
}

// stale tells whether the peer has hung up, or said something (that can only be 421), since the last reply.
func (s *Session) stale() bool {
	if s.r.Buffered() > 0 {
		return true
	}
	switch pending(s.conn) {
	case peerQuiet:
		return false
	case peerGone:
		return true
	}
	// TLS may have left a session ticket unread: only a look behind it tells.
	_ = s.conn.SetReadDeadline(time.Now().Add(staleWait))
	_, err := s.r.Peek(1)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// staleWait is how long stale waits for a whole TLS record of which a part is there.
const staleWait = 20 * time.Millisecond

type peer int

const (
	peerQuiet peer = iota // nothing to read
	peerSpoke             // something to read
	peerGone              // end of file, or an error
)

// pending asks the kernel what a read would find, without reading.
func pending(conn net.Conn) (p peer) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return peerQuiet
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return peerGone
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EAGAIN || err == syscall.EINTR:
			p = peerQuiet
		case err != nil || n == 0:
			p = peerGone
		default:
			p = peerSpoke
		}
	})
	if err != nil {
		return peerGone
	}
	return p
}

// cause is the part of an error worth showing: "connection refused", without addresses.
func cause(err error) string {
	var errno syscall.Errno
	var dns *net.DNSError
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timed out"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection lost"
	case errors.As(err, &dns):
		return dns.Err
	}
	return status.Clean(err.Error(), status.MaxText)
}
