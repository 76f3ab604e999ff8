package smtpd

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"postrider/internal/status"
)

// What a client gets that could not read the answer (RFC 5248).
var (
	errWideVrfy = status.New("smtpd.lookup", 252, status.Code{2, 6, 8}, "the answer needs SMTPUTF8; will take mail and try to deliver it", nil)
	errWideExpn = status.New("smtpd.lookup", 550, status.Code{5, 6, 8}, "the answer needs SMTPUTF8", nil)
)

// isWide tells whether an answer shows mailboxes that are not ASCII. In a refusal nothing is lost by a question mark.
func isWide(a Answer) bool {
	wide := func(s string) bool { return strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) }
	return slices.ContainsFunc(a.Lines, wide) || a.Status.Class() == status.Success && wide(a.Status.Text())
}

var errNoAnswer = status.New("smtpd.policy", 451, status.Code{4, 3, 0}, "no answer just now", nil)

// lookUp does VRFY and EXPN. Only a client that says so gets more than ASCII (RFC 6531 section 3.7.4.2).
func (s *Session) lookUp(args string, ask func(context.Context, *Client, string) Answer) {
	text := strings.TrimSpace(args)
	if i := strings.LastIndexByte(text, ' '); i >= 0 && strings.EqualFold(text[i+1:], "SMTPUTF8") {
		text, s.wide = strings.TrimSpace(text[:i]), true
		defer func() { s.wide = false }()
	}
	if text == "" {
		s.mistake(501, codeArgument, s.verb+" needs a name")
		return
	}
	a := ask(s.ctx, &s.client, text)
	if a.Status == nil {
		a = Answer{Status: errNoAnswer}
	}
	if !s.wide && isWide(a) {
		a = Answer{Status: errWideVrfy, Reason: "no SMTPUTF8"}
		if s.verb == "EXPN" {
			a.Status = errWideExpn
		}
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
