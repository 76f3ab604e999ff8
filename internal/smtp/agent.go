package smtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postrider/internal/status"
)

// Our own delivery agent, local(8), speaks LMTP with an extension of ours, XLOCAL. It is said to nobody else, and a peer
// that does not offer it is not our agent and gets no mail.
//
//	MAIL FROM:<sender> XID=<queue id> XARRIVAL=<microseconds since 1970>
//	RCPT TO:<user@host> XRCPT=<number>                    the user: 250, or 251 when his .forward names others
//	RCPT TO:<user@host> XRCPT=<number> XMAILBOX           the user's mailbox, whatever his .forward says
//	RCPT TO:<name@host> XRCPT=<number> XMEMBER=<member>   a command, file or Maildir that the user or the alias stands for
//
// A reply 251 has a line for each member, "2.1.5 <member>", in xtext (RFC 3461 section 4). Nothing is delivered for this
// recipient then, and no reply to the final dot is his. What is not of this form is not understood: a member must
// neither be lost nor made up.

// The caps on a 251. Nothing of it is ever cut.
const (
	maxMembers    = 1000
	maxMember     = 900     // bytes of one
	maxNamedBytes = 4 << 20 // of all members in one transaction; who comes after them is asked for in another
)

// agentCaps are the caps on replies of our agent.
var agentCaps = replyCaps{
	line: len("251-2.1.5 \r\n") + 3*maxMember, keep: len("2.1.5 ") + 3*maxMember, lines: maxMembers,
	text: maxMembers * (len("2.1.5 \n") + 3*maxMember),
}

// caps are the caps on the peer's replies.
func (s *Session) caps() replyCaps {
	if s.target.Agent {
		return agentCaps
	}
	return peerCaps
}

// agentMail adds to MAIL what our agent hears of a message.
func (t *transaction) agentMail(b []byte) []byte {
	if !t.target.Agent {
		return b
	}
	b = parameter(b, " XID=", t.m.ID)
	return strconv.AppendInt(append(b, " XARRIVAL="...), t.m.Arrival.UnixMicro(), 10)
}

// agentRcpt adds to RCPT what our agent hears of a recipient.
func (t *transaction) agentRcpt(b []byte, r Rcpt) []byte {
	if !t.target.Agent {
		return b
	}
	b = strconv.AppendInt(append(b, " XRCPT="...), int64(r.Number), 10)
	switch {
	case r.Member != "":
		b = appendXtext(append(b, " XMEMBER="...), r.Member)
	case r.Mailbox:
		b = append(b, " XMAILBOX"...)
	}
	return b
}

// hearMembers judges a reply 251.
func (t *transaction) hearMembers(i int, r reply) error {
	list, err := parseMembers(r.text)
	if err == nil && t.m.Rcpts[i].Mailbox {
		err = errors.New("a mailbox was asked for")
	}
	if err != nil {
		text := status.Clean("the delivery agent's reply cannot be understood: "+err.Error(), status.MaxText)
		return t.end(status.New("smtp.agent", 451, status.Code{4, 5, 0}, text, nil))
	}
	if t.named > 0 && t.named+len(r.text) > maxNamedBytes {
		t.outcome[i] = status.New("smtp.agent", 452, status.Code{4, 5, 3}, "too many are named at once", nil)
		return nil
	}
	if t.named += len(r.text); t.members == nil {
		t.members = make([][]string, len(t.m.Rcpts))
	}
	t.members[i] = list
	t.outcome[i] = status.New(OpReply, r.code, status.Code{2, 1, 5}, "forwarded", nil)
	return nil
}

// parseMembers reads the text of a 251.
func parseMembers(text string) ([]string, error) {
	lines := strings.Split(text, "\n")
	list := make([]string, len(lines))
	for i, line := range lines {
		code, word, ok := status.ParseCode(line)
		if !ok || code != (status.Code{2, 1, 5}) {
			return nil, fmt.Errorf("no 2.1.5 in line %d", i+1)
		}
		if list[i], ok = readXtext(word); !ok || !isMember(list[i]) {
			return nil, fmt.Errorf("no recipient in line %d", i+1)
		}
	}
	return list, nil
}

// isMember tells whether s may be a recipient as aliases(5) spells it.
func isMember(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxMember
}

const hexDigits = "0123456789ABCDEF"

// appendXtext encodes s as xtext (RFC 3461 section 4).
func appendXtext(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '+' || c == '=' {
			b = append(b, '+', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// readXtext undoes appendXtext; false when s is not xtext.
func readXtext(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ' || c > '~' || c == '=':
			return "", false
		case c != '+':
			b = append(b, c)
		default:
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		}
	}
	return string(b), true
}
