package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// udpSize is the answer size that crosses the Internet without fragments.
const udpSize = 1232

// servers asks the recursive servers of a resolv.conf, one after the other.
type servers struct {
	conf   func() resolvConf
	dialer net.Dialer
}

// ask tries every server in turn, as many rounds as configured. A server that says yes or no ends the search;
// one that fails in any other way leaves the question to the next.
func (s *servers) ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	conf := s.conf()
	var last error
	for range conf.attempts {
		for _, server := range conf.servers {
			msg, err := s.try(ctx, server, conf.timeout, name, qtype)
			if err == nil {
				err = useless(msg)
			}
			if err == nil {
				return msg, nil
			}
			last = fmt.Errorf("server %s: %w", server, err)
			if ctx.Err() != nil {
				return nil, last
			}
		}
	}
	return nil, last
}

// useless tells why an answer says neither yes nor no; nil when it does. A server that is neither in charge of the
// name nor asks others for us, and refers to somebody else, has not said that there is nothing.
func useless(msg *dns.Msg) error {
	switch {
	case msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError:
		return fmt.Errorf("answers %s", rcode(msg.Rcode))
	case len(msg.Answer) == 0 && msg.Rcode == dns.RcodeSuccess && !msg.Authoritative && !msg.RecursionAvailable && !negative(msg):
		return errors.New("refers to another server")
	}
	return nil
}

// try asks one server: over UDP, again without EDNS0 when the server does not know it (RFC 6891 section 7),
// over TCP when the answer is truncated (RFC 7766 section 5).
func (s *servers) try(ctx context.Context, server string, timeout time.Duration, name string, qtype uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), qtype)
	q.SetEdns0(udpSize, false)
	msg, err := s.exchange(ctx, "udp", server, q)
	if err == nil && (msg.Rcode == dns.RcodeFormatError || msg.Rcode == dns.RcodeNotImplemented) {
		q.Extra = nil
		q.Id = dns.Id()
		msg, err = s.exchange(ctx, "udp", server, q)
	}
	if err == nil && msg.Truncated {
		q.Id = dns.Id()
		msg, err = s.exchange(ctx, "tcp", server, q)
	}
	return msg, err
}

// exchange sends q and returns the answer to it. Over UDP, whatever is no answer to q is ignored: it may be
// late, or forged.
func (s *servers) exchange(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	c, err := s.dialer.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := &dns.Conn{Conn: c, UDPSize: udpSize}
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		p, err := conn.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			return nil, err
		}
		msg := new(dns.Msg)
		if err == nil {
			err = msg.Unpack(p)
		}
		// A truncated answer may end anywhere; its header is enough to go on to TCP.
		if answers(msg, q) && (err == nil || msg.Truncated) {
			return msg, nil
		}
		if network == "tcp" {
			return nil, errors.New("not an answer to the question")
		}
	}
}

func answers(msg, q *dns.Msg) bool {
	if !msg.Response || msg.Id != q.Id || msg.Opcode != dns.OpcodeQuery || len(msg.Question) != 1 {
		return false
	}
	a, b := msg.Question[0], q.Question[0]
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}
