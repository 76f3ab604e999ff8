package smtpd

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postrider/internal/address"
	"postrider/internal/status"
)

// maxRelease is how far ahead a message may be sent (RFC 4865).
const maxRelease = 30 * 24 * time.Hour

// maxHelo is the longest name of a host (RFC 5321 section 4.5.3.1.2).
const maxHelo = 255

func (s *Session) helo(args string) {
	if s.port.Mode == LMTP {
		s.mistake(500, codeUnknown, "LMTP begins with LHLO")
		return
	}
	if s.named(args, false) && s.inStep() {
		s.reply(250, noCode, s.Hostname)
	}
}

func (s *Session) ehlo(args string) {
	if s.port.Mode == LMTP {
		s.mistake(500, codeUnknown, "LMTP begins with LHLO")
		return
	}
	s.hail(args)
}

func (s *Session) lhlo(args string) {
	if s.port.Mode != LMTP {
		s.mistake(500, codeUnknown, "command not known")
		return
	}
	s.hail(args)
}

// hail does EHLO and LHLO.
func (s *Session) hail(args string) {
	if s.named(args, true) && s.inStep() {
		s.lines(250, noCode, append([]string{s.Hostname}, s.extensions()...))
	}
}

// named takes the name that a client gives itself; false when it has been refused. It ends a transaction (RFC 5321
// section 4.1.4).
func (s *Session) named(args string, extended bool) bool {
	name, _, _ := strings.Cut(args, " ")
	if name == "" || len(name) > maxHelo {
		s.mistake(501, codeSyntax, s.verb+" needs the name of your host")
		return false
	}
	s.atHelo = Verdict{}
	s.reset()
	old := s.client
	s.client.Helo, s.client.ESMTP = name, extended
	if v := s.Policy.Helo(s.ctx, &s.client); v.Status != nil {
		s.refuse(v, "")
		s.client = old
		return false
	} else if v.Discard || v.Hold != "" {
		s.atHelo = v
		s.reset()
	}
	return true
}

// extensions are the lines of the reply to EHLO. One is there only when all that it promises is kept.
func (s *Session) extensions() []string {
	list := []string{"PIPELINING", sizeKeyword(s.SizeLimit), "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "DSN", "DELIVERBY"}
	if s.port.TLS != nil && s.client.TLS == nil {
		list = append(list, "STARTTLS")
	}
	if m := s.mechanisms(); len(m) > 0 && s.client.Login == "" {
		list = append(list, "AUTH "+strings.Join(m, " "))
	}
	if s.port.Mode == Submission || s.port.Mode == Local {
		list = append(list, "FUTURERELEASE "+itoa(int(maxRelease/time.Second))+" "+s.now().Add(maxRelease).UTC().Format(time.RFC3339))
	}
	if s.ETRN && s.port.Mode == MTA {
		list = append(list, "ETRN")
	}
	if s.VRFY {
		list = append(list, "VRFY")
	}
	if s.EXPN {
		list = append(list, "EXPN")
	}
	list = append(list, "HELP", "LIMITS RCPTMAX="+itoa(s.Recipients))
	if s.mayXClient() {
		list = append(list, "XCLIENT ADDR PORT PROTO HELO LOGIN")
	}
	if s.mayXSubmit() {
		list = append(list, xsubmitKeyword)
	}
	return list
}

func sizeKeyword(limit int64) string {
	if limit <= 0 {
		return "SIZE"
	}
	return "SIZE " + strconv.FormatInt(limit, 10)
}

// isLiteral tells whether a word is an address literal, "[192.0.2.1]" or "[IPv6:2001:db8::1]".
func isLiteral(word string) bool {
	inner, ok := strings.CutPrefix(word, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	v6, isV6 := strings.CutPrefix(inner, "IPv6:")
	a, err := netip.ParseAddr(v6)
	return ok && closed && err == nil && a.Zone() == "" && isV6 == a.Is6()
}

// vrfy is RFC 5321 section 3.5.
func (s *Session) vrfy(args string) { s.lookUp(args, s.Policy.Verify) }

func (s *Session) expn(args string) { s.lookUp(args, s.Policy.Expand) }

func (s *Session) etrn(args string) {
	switch {
	case !s.ETRN || s.port.Mode != MTA:
		s.mistake(502, codeUnknown, "ETRN is not available")
	case args == "" || strings.Contains(args, " "):
		s.mistake(501, codeArgument, "ETRN needs one domain")
	default:
		domain, below := strings.CutPrefix(args, "@")
		ascii, err := address.ASCIIDomain(domain)
		if err != nil {
			s.mistake(501, codeArgument, "not a domain")
			return
		}
		if below {
			ascii = "@" + ascii
		}
		st := s.Policy.Turn(s.ctx, &s.client, ascii)
		if st == nil {
			st = errNoAnswer
		}
		if st.Class() != status.Success {
			s.refuse(Verdict{Status: st}, "")
			return
		}
		s.Log.Turned(ascii, st.Diagnostic(), s.arrival(""))
		s.status(st)
	}
}
