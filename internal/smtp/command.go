package smtp

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"postrider/internal/address"
	"postrider/internal/status"
)

// mailCommand is MAIL for m, with the parameters that the peer offers to take. The spelling is Sendmail's, which
// every server has met.
func (t *transaction) mailCommand() string {
	b := append(make([]byte, 0, 128), "MAIL From:<"...)
	sender, _ := t.ext.path(t.m.Sender) // checkSender has looked
	b = append(append(b, sender...), '>')
	if t.ext.sizeKnown { // RFC 1870
		b = strconv.AppendInt(append(b, " SIZE="...), t.plan.size, 10)
	}
	if t.plan.body8 { // RFC 6152
		b = append(b, " BODY=8BITMIME"...)
	}
	if t.utf8 { // RFC 6531
		b = append(b, " SMTPUTF8"...)
	}
	if t.ext.dsn { // RFC 3461 sections 4.3, 4.4
		b = parameter(b, " RET=", t.m.Ret)
		b = parameter(b, " ENVID=", t.m.EnvID)
	}
	if t.saysAuth() {
		b = parameter(b, " AUTH=", authParameter(t.m.Auth))
	}
	return string(t.agentMail(t.byParameter(b)))
}

// rcptCommand is RCPT for r.
func (t *transaction) rcptCommand(r Rcpt) string {
	b := append(make([]byte, 0, 128), "RCPT To:<"...)
	rcpt, _ := t.ext.path(r.Address) // checkRcpt has looked
	b = append(append(b, rcpt...), '>')
	if t.ext.dsn { // RFC 3461 sections 4.1, 4.2
		b = parameter(b, " NOTIFY=", r.Notify)
		if t.utf8 || ascii(r.ORcpt) { // RFC 6533 section 3
			b = parameter(b, " ORCPT=", r.ORcpt)
		}
	}
	return string(t.agentRcpt(b, r))
}

// path is how an address is said to this peer. Where SMTPUTF8 is not offered, a domain still has its ASCII form
// (RFC 5890 section 2.3.2.1); a localpart has none.
func (e extensions) path(wire string) (path string, ok bool) {
	if e.utf8 || ascii(wire) {
		return wire, true
	}
	at := strings.LastIndexByte(wire, '@')
	if at < 0 || !ascii(wire[:at]) {
		return "", false
	}
	domain, err := address.ASCIIDomain(wire[at+1:])
	return wire[:at+1] + domain, err == nil
}

// parameter adds name and value when the value is given and cannot be taken for anything else.
func parameter(b []byte, name, value string) []byte {
	if value == "" || !tokenSafe(value) {
		return b
	}
	return append(append(b, name...), value...)
}

// tokenSafe tells whether s is one word on a command line: not empty, no blank and no control byte.
func tokenSafe(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != "" && utf8.ValidString(s)
}

// pathSafe tells whether s stays inside the angle brackets of a path. Addresses come from a parser, so this only ever
// catches a fault of ours: control bytes nowhere, blanks and brackets only within quotes, quotes closed.
func pathSafe(s string) bool {
	quoted := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c < ' ' || c == 0x7f:
			return false
		case quoted && c == '\\':
			if i++; i == len(s) || s[i] < ' ' || s[i] == 0x7f {
				return false
			}
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '<' || c == '>'):
			return false
		}
	}
	return !quoted && utf8.ValidString(s)
}

func (r Rcpt) needsUTF8() bool { return !ascii(r.Address) }

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// checkSender is nil when the transaction can be begun at all.
func (t *transaction) checkSender() *status.Status {
	_, sayable := t.ext.path(t.m.Sender)
	switch {
	case !pathSafe(t.m.Sender):
		return status.New("smtp.mail", 501, status.Code{5, 1, 7}, "the sender's address is malformed", nil)
	case t.m.UTF8 && !t.ext.utf8:
		return needsUTF8("the message")
	case !sayable:
		return needsUTF8("the sender's address")
	case t.ext.size > 0 && t.plan.size > t.ext.size: // RFC 1870 section 6.1
		return status.New("smtp.mail", 552, status.Code{5, 3, 4}, "the message is larger than the peer takes ("+
			strconv.FormatInt(t.plan.size, 10)+" bytes, limit "+strconv.FormatInt(t.ext.size, 10)+")", nil)
	}
	return t.checkDeadline()
}

// checkRcpt is nil when r can be offered.
func (t *transaction) checkRcpt(r Rcpt) *status.Status {
	_, sayable := t.ext.path(r.Address)
	switch {
	case r.Address == "" || !pathSafe(r.Address):
		return status.New("smtp.rcpt", 501, status.Code{5, 1, 3}, "the recipient's address is malformed", nil)
	case !sayable:
		return needsUTF8("the recipient's address")
	}
	return nil
}

// needsUTF8 is RFC 6531 section 3.5's outcome.
func needsUTF8(what string) *status.Status {
	return status.New("smtp.utf8", 550, status.Code{5, 6, 7}, what+" needs SMTPUTF8, which the peer does not offer", nil)
}
