package smtpd

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"postrider/internal/auth"
	"postrider/internal/status"
)

// channel is the connection as those see it who check logins.
func (s *Session) channel() auth.Channel {
	ch := auth.Channel{TLS: s.client.TLS, Trusted: s.client.Trusted}
	if s.client.Addr.IsValid() {
		ch.Remote = s.client.Addr.String()
	}
	if a := s.conn.LocalAddr(); a != nil {
		ch.Local = a.String()
	}
	return ch
}

// mechanisms are the ways to log in that are offered now.
func (s *Session) mechanisms() []string {
	if s.port.Auth == nil {
		return nil
	}
	return s.port.Auth.Mechanisms(s.channel())
}

// auth is AUTH (RFC 4954 section 4).
func (s *Session) auth(args string) {
	name, initial, given := strings.Cut(args, " ")
	mechanism := strings.ToUpper(name)
	switch {
	case s.client.Login != "":
		s.mistake(503, codeUnknown, "you have logged in already")
		return
	case s.port.Auth == nil:
		s.mistake(502, codeUnknown, "AUTH is not available")
		return
	case name == "" || strings.Contains(initial, " "):
		s.mistake(501, codeArgument, "syntax: AUTH mechanism [response]")
		return
	case len(s.mechanisms()) == 0 && s.client.TLS == nil && s.port.TLS != nil:
		s.mistake(538, status.Code{5, 7, 11}, "say STARTTLS first")
		return
	}
	if v := s.Policy.Login(s.ctx, &s.client, false, nil); v.Status != nil {
		s.refuse(v, "")
		return
	}
	ctx, cancel := context.WithCancel(s.ctx) // whoever is asked for the client must not wait for one that has given up
	defer cancel()
	a := attempt{mechanism: mechanism}
	x, err := s.port.Auth.Start(ctx, mechanism, s.channel())
	if err == nil {
		err = s.exchange(x, &a, initial, given)
		a.login = x.Login()
	}
	s.loggedIn(a, err)
}

// attempt is one attempt to log in.
type attempt struct {
	mechanism string
	login     string // as whom; what the client claims, when it failed
	spoken    bool   // the client has answered: what comes to no end from here on was a guess
}

// exchange has the dialogue of a mechanism with the client.
func (s *Session) exchange(x auth.Exchange, a *attempt, initial string, given bool) error {
	var response []byte
	if given {
		var err error
		if response, err = decodeResponse(initial); err != nil {
			return err
		}
	}
	for {
		challenge, done, err := x.Next(response)
		if err != nil {
			return err
		}
		a.spoken = a.spoken || response != nil
		if done && len(challenge) == 0 {
			return nil
		}
		s.reply(334, noCode, base64.StdEncoding.EncodeToString(challenge))
		line, err := s.in.line()
		if errors.Is(err, errLong) {
			s.close("line too long")
			return status.New("smtpd.auth", 500, status.Code{5, 5, 6}, "the response is too long", nil)
		}
		if err != nil {
			s.lineError(err)
			return err
		}
		if string(line) == "*" {
			return status.New("smtpd.auth", 501, status.Code{5, 7, 0}, "login given up", nil)
		}
		if response, err = decodeResponse(string(line)); err != nil {
			return err
		}
		if done {
			if len(response) > 0 {
				return badResponse
			}
			return nil
		}
	}
}

var badResponse = status.New("smtpd.auth", 501, codeSyntax, "not a response: it is neither base64 nor =", nil)

// decodeResponse reads a response; the result is not nil. "=" is an empty initial response, and so is an empty line later.
func decodeResponse(s string) ([]byte, error) {
	if s == "=" || s == "" {
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.Contains(s, "\r") { // which the decoder passes over
		return nil, badResponse
	}
	return b, nil
}

var errGuess = status.New("smtpd.auth", 535, status.Code{5, 7, 8}, "login given up", nil)

// loggedIn replies to an attempt to log in. The policy is told how each ended of which it was asked.
func (s *Session) loggedIn(a attempt, err error) {
	if err == nil && a.login == "" {
		err = status.New("smtpd.auth", 454, status.Code{4, 7, 0}, "login failed just now", nil)
	}
	if err != nil {
		s.loginFailed(a, status.From(err))
		return
	}
	s.client.Login = a.login
	if v := s.Policy.Login(s.ctx, &s.client, true, nil); v.Status != nil {
		s.client.Login, v.Close = "", true
		s.refuse(v, "")
		return
	}
	s.Log.LoggedIn(s.logName(), a.mechanism, a.login)
	if s.Stats != nil {
		s.Stats.Logins.Add(1)
	}
	s.reply(235, codeLogin, "welcome")
}

// loginFailed replies to an attempt that failed, unless there is nobody left to reply to. A client that gives up when it
// has seen that it will fail, as those with tokens may, has guessed like one that waits to be told.
func (s *Session) loginFailed(a attempt, st *status.Status) {
	gone := s.closed != "" && st.Reply() != 500
	why := st
	if a.spoken && (gone || st.Reply() == 501) {
		why = errGuess
	}
	v := s.Policy.Login(s.ctx, &s.client, true, why)
	if !gone || why == errGuess {
		s.Log.LoginFailed(s.logName(), a.mechanism, a.login, why.Diagnostic())
		if s.Stats != nil {
			s.Stats.LoginFailures.Add(1)
		}
	}
	if gone {
		return
	}
	s.status(st)
	if why.Reply() != 535 { // it was no guess
		s.blame()
		return
	}
	s.failures++
	switch {
	case v.Status != nil:
		s.close("too many failed logins")
	case s.failures >= maxLoginFails:
		s.drop(421, status.Code{4, 7, 0}, s.Hostname+" too many failed logins", "too many failed logins")
	default:
		s.pause(slowDown)
	}
}
