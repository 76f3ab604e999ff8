package smtpd

import (
	"context"
	"strings"

	"postrider/internal/status"
)

var errNoAnswer = status.New("smtpd.policy", 451, status.Code{4, 3, 0}, "no answer just now", nil)

// lookUp does VRFY and EXPN.
func (s *Session) lookUp(args string, ask func(context.Context, *Client, string) Answer) {
	text := strings.TrimSpace(args)
	if i := strings.LastIndexByte(text, ' '); i >= 0 && strings.EqualFold(text[i+1:], "SMTPUTF8") { // RFC 6531 section 3.7.4.2
		text = strings.TrimSpace(text[:i])
	}
	if text == "" {
		s.mistake(501, codeArgument, s.verb+" needs a name")
		return
	}
	a := ask(s.ctx, &s.client, text)
	if a.Status == nil {
		a = Answer{Status: errNoAnswer}
	}
	if a.Status.Class() != status.Success {
		s.logRefusal(a.Status, text, a.Reason)
	}
	if len(a.Lines) > 0 {
		s.lines(a.Status.Reply(), a.Status.Code(), a.Lines)
	} else {
		s.status(a.Status)
	}
	if a.Status.Class() == status.Permanent {
		s.blame()
	}
}
