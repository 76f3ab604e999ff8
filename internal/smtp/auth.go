package smtp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/emersion/go-sasl"

	"postrider/internal/status"
)

// maxChallenges bounds an AUTH exchange; PLAIN needs one answer, LOGIN two.
const maxChallenges = 4

// login authenticates us (RFC 4954). Whatever goes wrong is temporary: a login that somebody mistyped holds the
// queue, it does not bounce it.
func (s *Session) login() error {
	if s.TLS() == "" && !s.private() {
		return authError(status.Code{4, 7, 11}, "login refused by us: the session is not encrypted", nil)
	}
	client, name := s.mechanism()
	if client == nil {
		return authError(status.Code{4, 7, 4}, "the peer offers no login that we know", nil)
	}
	_, initial, err := client.Start()
	if err != nil {
		return authError(status.Code{4, 7, 0}, "login failed", err)
	}
	line, shown := "AUTH "+name, "AUTH "+name
	if initial != nil {
		line, shown = line+" "+base64.StdEncoding.EncodeToString(initial), shown+" *"
	}
	return s.authenticate(client, line, shown)
}

// authenticate sends the command and answers the challenges that follow.
func (s *Session) authenticate(client sasl.Client, line, shown string) error {
	for range maxChallenges {
		s.secret(line, shown)
		if err := s.flush(s.opt.Timeouts.Command); err != nil {
			return err
		}
		r, err := s.reply(s.opt.Timeouts.Command, "AUTH")
		if err != nil {
			return err
		}
		if r.class() == 2 {
			return nil
		}
		if r.code != 334 {
			return authRefused(r)
		}
		line, shown = answer(client, r), "*"
	}
	return authError(status.Code{4, 5, 0}, "the peer does not come to an end with AUTH", nil)
}

// answer is the response to a challenge; "*" cancels (RFC 4954 section 4).
func answer(client sasl.Client, r reply) string {
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.text))
	if err != nil {
		return "*"
	}
	response, err := client.Next(challenge)
	if err != nil {
		return "*"
	}
	return base64.StdEncoding.EncodeToString(response)
}

// authRefused keeps the peer's code and text; without an enhanced code it is 4.7.8, RFC 4954 section 6.
func authRefused(r reply) *status.Status {
	peer := r.status()
	code := status.Code{4, peer.Code()[1], peer.Code()[2]}
	if code[1] == 0 {
		code = status.Code{4, 7, 8}
	}
	text := fmt.Sprintf("login refused by the peer: %s", peer.Diagnostic())
	return authError(code, status.Clean(text, status.MaxText), nil)
}

func authError(code status.Code, text string, err error) *status.Status {
	return status.New("smtp.auth", 454, code, text, err)
}

// mechanism picks the login: PLAIN, or LOGIN for those who have nothing else.
func (s *Session) mechanism() (sasl.Client, string) {
	c := s.target.Auth
	switch {
	case s.ext.offersAuth(sasl.Plain):
		return sasl.NewPlainClient("", c.User, c.Password), sasl.Plain
	case s.ext.offersAuth(sasl.Login):
		return &loginClient{answers: []string{c.User, c.Password}}, sasl.Login
	}
	return nil, ""
}

// saysAuth tells whether the AUTH parameter goes to this peer: it must offer AUTH, and trust us.
func (s *Session) saysAuth() bool { return s.loggedIn && len(s.ext.auth) > 0 }

// authParameter is the value of AUTH= for a peer that trusts us (RFC 4954 section 5): who has submitted the message, or
// that we do not know.
func authParameter(given string) string {
	if !isXtext(given) || len(given) > maxAuthParameter {
		return "<>"
	}
	return given
}

// maxAuthParameter is how many bytes AUTH= may add to MAIL.
const maxAuthParameter = 500

// isXtext tells whether s is a value that was encoded (RFC 3461 section 4) and is not empty.
func isXtext(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) || !upperHex(s[i+1]) || !upperHex(s[i+2]) {
				return false
			}
			i += 2
		case c < '!' || c > '~' || c == '=':
			return false
		}
	}
	return s != ""
}

func upperHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

// private tells whether the connection stays on this machine.
func (s *Session) private() bool {
	switch a := s.conn.RemoteAddr().(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// loginClient answers whatever is asked with the name first, the password second: the wording of LOGIN's challenges
// was never fixed (go-sasl's client insists on "Password:" and on an initial response, which not all peers take).
type loginClient struct{ answers []string }

func (l *loginClient) Start() (mechanism string, initial []byte, err error) {
	return sasl.Login, nil, nil
}

func (l *loginClient) Next([]byte) ([]byte, error) {
	if len(l.answers) == 0 {
		return nil, errors.New("one challenge too many")
	}
	a := l.answers[0]
	l.answers = l.answers[1:]
	return []byte(a), nil
}
