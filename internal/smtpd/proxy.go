package smtpd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postrider/internal/status"
)

const (
	proxyTime  = 10 * time.Second
	maxProxyV1 = 107 // HAProxy, "The PROXY protocol", section 2.1
	maxProxyV2 = 4 << 10
)

var (
	proxyV2       = []byte("\r\n\r\n\x00\r\nQUIT\n")
	errProxy      = errors.New("not a PROXY header")
	errProxyLong  = errors.New("PROXY header too long")
	errProxyProto = errors.New("not an address of TCP")
)

// proxy reads the PROXY header with which a proxy tells whom it speaks for. It reads no byte more.
func (s *Session) proxy() error {
	s.conn.SetReadDeadline(time.Now().Add(min(proxyTime, s.Timeout)))
	from, err := readProxy(s.conn)
	if err != nil {
		return err
	}
	s.client.Via = s.client.Addr.String()
	if !from.IsValid() { // the proxy does not know, or it is a check of its own: nobody's friend
		from = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	s.setAddr(from)
	return nil
}

// readProxy reads a header of either version. The result is not valid when the proxy speaks for itself.
func readProxy(r io.Reader) (netip.AddrPort, error) {
	head := make([]byte, len(proxyV2), maxProxyV1)
	if _, err := io.ReadFull(r, head); err != nil {
		return netip.AddrPort{}, err
	}
	switch {
	case bytes.Equal(head, proxyV2):
		return readProxyV2(r)
	case bytes.HasPrefix(head, []byte("PROXY ")):
		return readProxyV1(r, head)
	}
	return netip.AddrPort{}, errProxy
}

func readProxyV1(r io.Reader, head []byte) (netip.AddrPort, error) {
	var one [1]byte
	for !bytes.HasSuffix(head, crlf) {
		if len(head) == maxProxyV1 {
			return netip.AddrPort{}, errProxyLong
		}
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return netip.AddrPort{}, unexpected(err)
		}
		head = append(head, one[0])
	}
	f := strings.Split(strings.TrimSuffix(string(head), "\r\n"), " ")
	if len(f) >= 2 && f[1] == "UNKNOWN" {
		return netip.AddrPort{}, nil
	}
	if len(f) != 6 {
		return netip.AddrPort{}, errProxy
	}
	from, err := netip.ParseAddr(f[2])
	port, err2 := strconv.ParseUint(f[4], 10, 16)
	if err != nil || err2 != nil || from.Zone() != "" || f[1] != "TCP4" && f[1] != "TCP6" || from.Is4() != (f[1] == "TCP4") {
		return netip.AddrPort{}, errProxy
	}
	return netip.AddrPortFrom(from, uint16(port)), nil
}

func readProxyV2(r io.Reader) (netip.AddrPort, error) {
	var fixed [4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return netip.AddrPort{}, unexpected(err)
	}
	n := int(binary.BigEndian.Uint16(fixed[2:]))
	if fixed[0]>>4 != 2 || n > maxProxyV2 {
		return netip.AddrPort{}, errProxy
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return netip.AddrPort{}, unexpected(err)
	}
	size := map[byte]int{0x11: 4, 0x21: 16}[fixed[1]]
	switch command := fixed[0] & 0xf; {
	case command == 0: // LOCAL: a health check
		return netip.AddrPort{}, nil
	case command != 1:
		return netip.AddrPort{}, errProxy
	case size == 0 || n < 2*size+4:
		return netip.AddrPort{}, errProxyProto
	}
	from, _ := netip.AddrFromSlice(body[:size])
	return netip.AddrPortFrom(from, binary.BigEndian.Uint16(body[2*size:])), nil
}

// mayXClient tells whether the connection is one that may say whom it speaks for.
func (s *Session) mayXClient() bool { return contains(s.XClient, s.real) }

// xclient is Postfix's XCLIENT: the client says whom it speaks for, and the session begins anew as that one's.
func (s *Session) xclient(args string) {
	if !s.mayXClient() {
		s.refuse(Verdict{Status: status.New("smtpd.xclient", 550, status.Code{5, 7, 0}, "you may not say so", nil)}, "")
		return
	}
	next := Client{Addr: s.client.Addr, Port: s.client.Port, UID: -1, Mode: s.port.Mode, TLS: s.client.TLS, Via: s.real.String()}
	login := ""
	for _, word := range strings.Fields(args) {
		if !next.set(word, &login) {
			s.mistake(501, codeArgument, "bad attribute: "+status.Clean(word, 60))
			return
		}
	}
	if args == "" {
		s.mistake(501, codeArgument, "XCLIENT needs attributes")
		return
	}
	s.leave()
	s.restart()
	s.client = next
	helo, esmtp := next.Helo, next.ESMTP
	s.client.Helo, s.client.ESMTP = "", false
	if s.meet() && s.greet() {
		s.client.Login = login
		s.called(helo, esmtp)
	}
}

// called takes the name that the other client has given itself. One that is refused was not given.
func (s *Session) called(name string, extended bool) {
	if name == "" {
		return
	}
	s.client.Helo, s.client.ESMTP = name, extended
	v := s.Policy.Helo(s.ctx, &s.client)
	if v.Status != nil {
		s.logRefusal(v.Status, "", v.Reason)
		s.client.Helo, s.client.ESMTP = "", false
		return
	}
	s.atHelo = v
	s.reset()
}

// set takes one attribute of XCLIENT.
func (c *Client) set(word string, login *string) bool {
	name, xtext, ok := strings.Cut(word, "=")
	value, valid := unxtext(xtext)
	if !ok || !valid {
		return false
	}
	unknown := value == "[UNAVAILABLE]" || value == "[TEMPUNAVAIL]"
	if unknown {
		value = ""
	}
	switch strings.ToUpper(name) {
	case "NAME", "DESTADDR", "DESTPORT": // not offered, and yet sent: a name is what DNS says, not a client; the others are about us
	case "ADDR":
		a, err := netip.ParseAddr(strings.TrimPrefix(strings.ToUpper(value), "IPV6:"))
		if c.Addr = a.Unmap(); err != nil || a.Zone() != "" {
			c.Addr = netip.IPv4Unspecified() // some host, and nobody's friend
			return unknown
		}
	case "PORT":
		n, err := strconv.ParseUint(value, 10, 16)
		c.Port = uint16(n)
		return unknown || err == nil
	case "PROTO":
		c.ESMTP = strings.EqualFold(value, "ESMTP")
		return unknown || c.ESMTP || strings.EqualFold(value, "SMTP")
	case "HELO":
		c.Helo = value
		return len(value) <= maxHelo
	case "LOGIN":
		*login = value
	default:
		return false
	}
	return true
}

// unxtext decodes xtext (RFC 3461 section 4) that holds no control characters.
func unxtext(s string) (string, bool) {
	if !isXtext(s) {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			c, i = byte(n), i+2
		}
		if c < ' ' || c == 0x7f {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

var _ net.Addr = LocalAddr{}
