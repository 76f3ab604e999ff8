package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/internal/submit"
)

// open brings a session to its greeting; false when it ends before.
func (s *Session) open() bool {
	s.setPeer()
	if from := s.client.Addr; contains(s.Proxies, from) {
		if err := s.proxy(); err != nil {
			s.Log.Warning("", "PROXY header of "+from.String()+": "+err.Error())
			s.close("bad PROXY header")
			return false
		}
	}
	s.real = s.client.Addr
	if s.port.Implicit && !s.handshake() {
		return false
	}
	return s.meet() && s.silent() && s.greet()
}

// setPeer finds out who is at the other end of the connection.
func (s *Session) setPeer() {
	s.client = Client{UID: -1, Mode: s.port.Mode}
	switch a := s.conn.RemoteAddr().(type) {
	case *net.TCPAddr:
		ap := a.AddrPort()
		s.setAddr(ap)
	case LocalAddr:
		s.client.UID = a.UID
	case *net.UnixAddr:
		s.client.UID = peerUID(s.conn)
	}
	if s.client.UID >= 0 {
		s.user = submit.User{UID: s.client.UID}
		if s.User != nil {
			s.user = s.User(s.client.UID)
		}
		s.client.User = s.user.Name
	}
}

func (s *Session) setAddr(ap netip.AddrPort) {
	s.client.Addr, s.client.Port = ap.Addr().Unmap().WithZone(""), ap.Port()
	s.client.UID, s.client.User, s.user = -1, "", submit.User{UID: -1}
}

// peerUID is who has connected to a Unix socket, by the kernel's word; -1 when it says nothing.
func peerUID(conn net.Conn) int {
	uid := -1
	control(conn, func(fd int) {
		if cred, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	return uid
}

// control calls fn with the descriptor of a socket; not at all when conn is none.
func control(conn net.Conn, fn func(fd int)) {
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { fn(int(fd)) })
		}
	}
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// meet asks the policy about the client, and turns it away if need be.
func (s *Session) meet() bool {
	s.verb = "CONNECT"
	v := s.Policy.Connect(s.ctx, &s.client)
	s.known = true
	if !address.ValidHostname(s.client.Name) { // it goes into headers
		s.client.Name = ""
	}
	if v.Status == nil {
		s.atConnect = v
		s.reset()
		s.in.loose = s.port.Mode == Local || s.client.Trusted
		return true
	}
	s.logRefusal(v.Status, "", v.Reason)
	code := v.Status.Reply()
	if code != 421 && code != 521 { // RFC 5321 section 3.1, RFC 7504
		code = 554
		if v.Status.Class() == status.Temporary {
			code = 421
		}
	}
	s.reply(code, noCode, s.Hostname+" "+v.Status.Text())
	s.close("refused")
	return false
}

// leave lets the policy forget the client.
func (s *Session) leave() {
	if s.known {
		s.Policy.Close(&s.client)
		s.known = false
	}
}

// silent waits before the greeting, and turns a stranger away who does not.
func (s *Session) silent() bool {
	if s.client.Trusted || s.port.Mode == Local {
		return true
	}
	if !s.early() {
		return s.closed == ""
	}
	st := status.New("smtpd.greeting", 554, status.Code{5, 5, 0}, "you have to wait for the greeting", nil)
	s.logRefusal(st, "", "talked before the greeting")
	s.reply(554, noCode, s.Hostname+" "+st.Text())
	s.close("talked before the greeting")
	return false
}

// early tells whether the client sends something before it is greeted.
func (s *Session) early() bool {
	if s.Delay <= 0 || s.in.pending() {
		return s.more()
	}
	s.conn.SetReadDeadline(time.Now().Add(s.Delay))
	stop := context.AfterFunc(s.going, func() { s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	n, err := s.conn.Read(s.in.buf)
	s.in.r, s.in.w = 0, n
	if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.close("closed by client")
	}
	return n > 0
}

// more tells whether the client has sent more than we have read.
func (s *Session) more() bool {
	if s.in.pending() {
		return true
	}
	t, ok := s.conn.(*tls.Conn)
	if !ok {
		_, some := peek(s.conn)
		return some
	}
	if s.in.poll() {
		return true
	}
	kind, some := peek(t.NetConn())
	return some && kind == recordOfData
}

// recordOfData is the type of TLS records that hold data (RFC 8446 section 5.1).
const recordOfData = 23

// peek looks at the first byte that is to be read just now, if there is one.
func peek(conn net.Conn) (first byte, some bool) {
	control(conn, func(fd int) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		first, some = b[0], err == nil && n > 0
	})
	return first, some
}

func (s *Session) greet() bool {
	kind := " ESMTP"
	if s.port.Mode == LMTP {
		kind = " LMTP"
	}
	s.reply(220, noCode, s.Hostname+kind+" postrider")
	return true
}

// startTLS is RFC 3207.
func (s *Session) startTLS(args string) {
	switch {
	case s.port.TLS == nil:
		s.mistake(502, codeUnknown, "TLS is not available")
		return
	case s.client.TLS != nil:
		s.mistake(503, codeUnknown, "TLS is in use already")
		return
	case args != "":
		s.mistake(501, codeArgument, "STARTTLS takes no parameter")
		return
	case s.in.pending(): // CVE-2011-0411: what comes now would be taken for protected
		s.outOfStep()
		return
	}
	s.reply(220, codeOK, "ready for TLS")
	s.restart()
	if s.flush() == nil {
		s.handshake()
	}
}

// handshake starts TLS. When it fails the session is over: nobody knows what the other side takes for protected.
func (s *Session) handshake() bool {
	conn := tls.Server(s.conn, s.port.TLS)
	s.conn.SetDeadline(time.Now().Add(min(handshakeTime, s.Timeout)))
	err := conn.HandshakeContext(s.going)
	if err != nil {
		if s.Stats != nil {
			s.Stats.TLSFailures.Add(1)
		}
		s.close("TLS failed: " + status.Clean(err.Error(), 100))
		return false
	}
	s.conn.SetDeadline(time.Time{})
	if s.Stats != nil {
		s.Stats.TLS.Add(1)
	}
	state := conn.ConnectionState()
	s.client.TLS = &state
	s.in.mu.Lock()
	s.conn, s.in.conn = conn, conn
	s.in.mu.Unlock()
	return true
}
