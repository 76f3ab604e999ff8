package smtpd

import (
	"strconv"
	"unicode/utf8"

	"postrider/internal/maillog"
	"postrider/internal/status"
)

// maxReply is the longest reply line, with its end (RFC 5321 section 4.5.3.1.5).
const maxReply = 512

func itoa(n int) string { return strconv.Itoa(n) }

// The replies that every command may have.
var (
	codeOK       = status.Code{2, 0, 0}
	codeSender   = status.Code{2, 1, 0}
	codeRcpt     = status.Code{2, 1, 5}
	codeLogin    = status.Code{2, 7, 0}
	codeUnknown  = status.Code{5, 5, 1} // no such command, or not now
	codeSyntax   = status.Code{5, 5, 2}
	codeArgument = status.Code{5, 5, 4}
	noCode       = status.Code{} // greeting, HELO, EHLO and 3yz have none (RFC 2034 section 4)
)

// reply is a reply of one line.
func (s *Session) reply(code int, enhanced status.Code, text string) {
	s.appendLine(code, ' ', enhanced, text)
	s.tally(code)
}

// lines is a reply of several lines, with the enhanced code on each (RFC 2034 section 4).
func (s *Session) lines(code int, enhanced status.Code, lines []string) {
	for i, line := range lines {
		sep := byte('-')
		if i == len(lines)-1 {
			sep = ' '
		}
		s.appendLine(code, sep, enhanced, line)
	}
	s.tally(code)
}

// status replies with an outcome.
func (s *Session) status(st *status.Status) { s.reply(st.Reply(), st.Code(), st.Text()) }

// appendLine adds one line to what is to be sent. Whatever the text holds, it is one line.
func (s *Session) appendLine(code int, sep byte, enhanced status.Code, text string) {
	start := len(s.out)
	s.out = append(strconv.AppendInt(s.out, int64(code), 10), sep)
	if enhanced != noCode {
		s.out = append(append(s.out, enhanced.String()...), ' ')
	}
	for _, r := range text {
		if len(s.out)-start+utf8.UTFMax+len(crlf) > maxReply && code != 334 { // RFC 4954 section 4 allows 12288
			break
		}
		if r < ' ' || r == 0x7f || r == utf8.RuneError || r >= utf8.RuneSelf && !s.wide && (s.tx == nil || !s.tx.Envelope.UTF8) {
			r = '?'
		}
		s.out = utf8.AppendRune(s.out, r)
	}
	s.out = append(s.out, crlf...)
}

// tally counts a reply.
func (s *Session) tally(code int) {
	if s.Stats == nil {
		return
	}
	switch code / 100 {
	case 4:
		s.Stats.Deferred.Add(1)
	case 5:
		s.Stats.Refused.Add(1)
	}
}

// mistake replies to a command that makes no sense.
func (s *Session) mistake(code int, enhanced status.Code, text string) {
	if s.Stats != nil {
		s.Stats.Errors.Add(1)
	}
	s.reply(code, enhanced, text)
	s.blame()
}

// refuse replies to a command that is refused, and logs why.
func (s *Session) refuse(v Verdict, to string) {
	st := v.Status
	s.logRefusal(st, to, v.Reason)
	s.status(st)
	if v.Close || st.Reply() == 421 {
		s.close("refused")
		return
	}
	s.blame()
}

func (s *Session) logRefusal(st *status.Status, to, reason string) {
	from := ""
	if s.tx != nil {
		from = s.tx.Envelope.Sender
	}
	if reason == "" && st.Unwrap() != nil {
		reason = st.Unwrap().Error()
	}
	s.count.Refused++
	s.Log.Rejected(maillog.Rejection{Command: s.verb, Client: s.logName(), Via: s.client.Via, Helo: s.heloName(), Login: s.client.Login, Mail: s.tx != nil,
		From: from, To: to, Reply: st.Diagnostic(), Reason: reason})
}

// blame counts an error. Errors slow a stranger down, and too many end the session.
func (s *Session) blame() {
	s.errors++
	most := maxErrors
	if s.client.Friend() {
		most = friendErrors
	}
	switch {
	case s.closed != "":
	case s.errors >= most:
		s.drop(421, status.Code{4, 7, 0}, s.Hostname+" too many errors", "too many errors")
	case s.errors > slowErrors && !s.client.Friend():
		s.pause(slowDown)
	}
}
