package smtpd

import (
	"bytes"
	"strings"

	"postrider/internal/status"
)

// command is what a verb means. It is done only in a session that fulfils needs; otherwise the reply is 503.
type command struct {
	do    func(s *Session, args string)
	needs needs
	far   bool // it brings a message nearer, so that there may be any number of it
}

// needs is what has to be before a command.
type needs uint8

const (
	afterHelo    needs = 1 << iota // HELO, EHLO or LHLO
	afterEhlo                      // EHLO or LHLO
	betweenMails                   // no transaction
	inMail                         // a transaction
)

var commands map[string]command

func init() { // a variable would refer to itself, through HELP
	commands = map[string]command{
		"HELO":     {do: (*Session).helo},
		"EHLO":     {do: (*Session).ehlo},
		"LHLO":     {do: (*Session).lhlo},
		"MAIL":     {do: (*Session).mail, needs: afterHelo | betweenMails},
		"RCPT":     {do: (*Session).rcpt, needs: inMail, far: true},
		"DATA":     {do: (*Session).data, needs: inMail},
		"BDAT":     {do: (*Session).bdat, far: true},
		"RSET":     {do: (*Session).rset},
		"NOOP":     {do: (*Session).noop},
		"QUIT":     {do: (*Session).quit},
		"HELP":     {do: (*Session).help},
		"VRFY":     {do: (*Session).vrfy},
		"EXPN":     {do: (*Session).expn},
		"ETRN":     {do: (*Session).etrn, needs: afterEhlo | betweenMails},
		"STARTTLS": {do: (*Session).startTLS},
		"AUTH":     {do: (*Session).auth, needs: afterEhlo | betweenMails},
		"XCLIENT":  {do: (*Session).xclient, needs: betweenMails},
		"XSUBMIT":  {do: (*Session).xsubmit},
	}
}

// foreign are the first words of other protocols, which a browser may be made to speak to us.
var foreign = map[string]bool{"GET": true, "POST": true, "PUT": true, "HEAD": true, "OPTIONS": true, "CONNECT": true, "DELETE": true, "PATCH": true, "TRACE": true, "HOST:": true}

// command does what a line asks for.
func (s *Session) command(line []byte) {
	s.count.Commands++
	word, args := line, []byte(nil)
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		word, args = line[:i], bytes.TrimRight(line[i+1:], " \t")
	}
	if len(word) > 16 || len(line) > maxCommand && !bytes.EqualFold(word, []byte("AUTH")) {
		s.verb = "?"
		s.tooLong(line)
		return
	}
	s.verb = strings.ToUpper(string(word))
	c, ok := commands[s.verb]
	switch {
	case foreign[s.verb] && s.count.Commands <= 2 && s.client.Helo == "":
		s.drop(421, status.Code{4, 7, 0}, s.Hostname+" this is not an HTTP server", "another protocol")
	case !ok:
		s.verb = "?"
		s.mistake(500, codeUnknown, "command not known")
	case !plain(args):
		s.mistake(501, codeSyntax, "control character in a command")
		s.noChunk()
	default:
		s.do(c, string(args))
	}
}

func (s *Session) tooLong(line []byte) {
	if len(line) > maxCommand {
		s.drop(500, codeSyntax, "line too long", "line too long") // it may have been a BDAT
		return
	}
	s.mistake(500, codeUnknown, "command not known")
}

// noChunk ends the session when the command that was refused would have said how many bytes behind it are no commands.
func (s *Session) noChunk() {
	if s.verb == "BDAT" || s.verb == xsubmitKeyword {
		s.close("bad chunk")
	}
}

func (s *Session) do(c command, args string) {
	if !c.far {
		s.idle++
	}
	if s.idle > maxIdle && !s.client.Friend() {
		s.drop(421, status.Code{4, 7, 0}, s.Hostname+" too many commands that lead nowhere", "too many idle commands")
		return
	}
	if text := s.missing(c.needs); text != "" {
		s.mistake(503, codeUnknown, text)
		return
	}
	c.do(s, args)
}

// missing says what is not as a command needs it; "" when all is.
func (s *Session) missing(n needs) string {
	switch {
	case n&afterHelo != 0 && s.client.Helo == "":
		return "send " + s.hello() + " first"
	case n&afterEhlo != 0 && !s.client.ESMTP:
		return "send " + s.hello() + " first"
	case n&betweenMails != 0 && s.tx != nil:
		return "not while a mail transaction goes on"
	case n&inMail != 0 && s.tx == nil:
		return "send MAIL first"
	}
	return ""
}

func (s *Session) hello() string {
	if s.port.Mode == LMTP {
		return "LHLO"
	}
	return "EHLO"
}

// plain tells whether a command holds no control character.
func plain(p []byte) bool {
	for _, c := range p {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// inStep ends the session of a stranger who has sent more than it may before the reply to this command.
func (s *Session) inStep() bool {
	if s.client.Trusted || !s.more() {
		return true
	}
	s.outOfStep()
	return false
}

func (s *Session) outOfStep() {
	st := status.New("smtpd.sync", 554, status.Code{5, 5, 0}, "out of step: wait for the reply to "+s.verb, nil)
	s.logRefusal(st, "", "sent more before the reply")
	s.drop(554, st.Code(), st.Text(), "out of step")
}

func (s *Session) rset(args string) {
	s.reset()
	s.reply(250, codeOK, "Ok")
}

func (s *Session) noop(string) { s.reply(250, codeOK, "Ok") }

func (s *Session) quit(string) {
	s.reply(221, codeOK, s.Hostname+" closing connection")
	s.close("quit")
}

func (s *Session) help(string) {
	s.lines(214, codeOK, []string{"postrider, a mail server; its commands are:", strings.Join(s.verbs(), " "), "see RFC 5321, and smtpd(8)"})
}

// verbs are the commands that the client may use just now, or after some others of them.
func (s *Session) verbs() []string {
	list := []string{"HELO", "EHLO"}
	if s.port.Mode == LMTP {
		list = []string{"LHLO"}
	}
	list = append(list, "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "HELP")
	for _, v := range []struct {
		name string
		is   bool
	}{
		{"VRFY", s.VRFY}, {"EXPN", s.EXPN}, {"ETRN", s.ETRN && s.port.Mode == MTA}, {"STARTTLS", s.port.TLS != nil && s.client.TLS == nil},
		{"AUTH", len(s.mechanisms()) > 0 && s.client.Login == ""}, {"XCLIENT", s.mayXClient()},
	} {
		if v.is {
			list = append(list, v.name)
		}
	}
	return list
}
