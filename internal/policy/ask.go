package policy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"postrider/internal/address"
	"postrider/internal/route"
	"postrider/internal/status"
)

// How next hops are asked about recipients.
const (
	askTime    = 15 * time.Second // for one question, connections and all
	maxAsking  = 20               // questions at once; a recipient beyond is taken unasked
	maxAsked   = 10_000           // answers that are kept
	knownTime  = time.Hour        // for so long
	denyTime   = 5 * time.Minute
	failTime   = time.Minute // a next hop that could not be asked is left alone
	askHosts   = 2           // of a next hop that are tried
	askReplies = 20          // lines of a reply
	askLine    = 2048        // bytes of a line
)

// Dialer connects. *net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// askNextHop tells why the next hop of a relay domain would not take a recipient; nil when it would, and also when it
// cannot be asked: then it is asked when the message is delivered. A next hop that wants TLS or a login first is not asked.
func (p *Policy) askNextHop(ctx context.Context, a address.Address, next route.NextHop) *status.Status {
	if next.Auth != nil || next.TLS == route.TLSEncrypt || next.TLS == route.TLSImplicit || a.NeedsUTF8() {
		return nil
	}
	key := a.Key(false)
	if st, ok := p.asked.get(key); ok {
		return st
	}
	select {
	case p.asking <- struct{}{}:
		defer func() { <-p.asking }()
	default:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	st, err := p.ask(ctx, a, next)
	switch {
	case err != nil:
		p.report("question to the next hop of "+a.Domain(), err)
		p.asked.put(key, nil, failTime)
	case st != nil:
		p.asked.put(key, st, denyTime)
	default:
		p.asked.put(key, nil, knownTime)
	}
	return st
}

// ask asks the first host of a next hop that speaks to us.
func (p *Policy) ask(ctx context.Context, a address.Address, next route.NextHop) (*status.Status, error) {
	hosts, err := p.o.Router.Hosts(ctx, next)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts[:min(len(hosts), askHosts)] {
		network, where := "tcp", h.Addr.String()
		if h.Socket != "" {
			network, where = "unix", h.Socket
		}
		var conn net.Conn
		if conn, err = p.o.Dial.DialContext(ctx, network, where); err != nil {
			continue
		}
		var st *status.Status
		if st, err = p.question(ctx, conn, a, next.LMTP); err == nil {
			return st, nil
		}
	}
	return nil, err
}

// question speaks to one host as if there were a report for a, up to where it would be sent.
func (p *Policy) question(ctx context.Context, conn net.Conn, a address.Address, lmtp bool) (*status.Status, error) {
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	in := bufio.NewReaderSize(conn, askLine)
	hello := "HELO " + p.conf.Hostname
	if lmtp {
		hello = "LHLO " + p.conf.Hostname
	}
	for _, line := range []string{"", hello, "MAIL FROM:<>"} {
		if code, text, err := exchange(conn, in, line); err != nil {
			return nil, err
		} else if code/100 != 2 {
			return nil, fmt.Errorf("the host answers %d %s", code, status.Clean(text, 200))
		}
	}
	code, text, err := exchange(conn, in, "RCPT TO:<"+a.String()+">")
	if err != nil {
		return nil, err
	}
	io.WriteString(conn, "QUIT\r\n") // the answer is there; what becomes of this is of no interest
	if code/100 != 5 {
		return nil, nil
	}
	return nextHopSays(a, code, text), nil
}

// nextHopSays makes our reply of a next hop's refusal.
func nextHopSays(a address.Address, reply int, text string) *status.Status {
	said := status.Remote("policy.ask", reply, text)
	code := said.Code()
	if code == (status.Code{5, 0, 0}) {
		code = status.Code{5, 1, 1}
	}
	return status.New("policy.ask", 550, code, "<"+a.String()+">: refused where it goes next: "+said.Text(), nil)
}

// exchange sends a command, unless it is "", and reads the reply to it.
func exchange(w io.Writer, in *bufio.Reader, command string) (code int, text string, err error) {
	if command != "" {
		if _, err := io.WriteString(w, command+"\r\n"); err != nil {
			return 0, "", err
		}
	}
	for range askReplies {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, "", err
		}
		s := strings.TrimRight(string(line), "\r\n")
		if len(s) < 3 || s[0] < '2' || s[0] > '5' || !isDigit(s[1]) || !isDigit(s[2]) {
			return 0, "", errors.New("the host answers what is no reply")
		}
		code = int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
		if text == "" && len(s) > 4 {
			text = s[4:]
		}
		if len(s) == 3 || s[3] == ' ' {
			return code, text, nil
		}
	}
	return 0, "", errors.New("the reply has too many lines")
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
