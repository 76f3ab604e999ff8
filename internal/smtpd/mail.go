package smtpd

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/queue"
)

// mail is MAIL (RFC 5321 section 4.1.1.2). A transaction exists once it has been accepted.
func (s *Session) mail(args string) {
	sender, params, ok := s.path(args, "FROM:")
	if !ok {
		return
	}
	t := &Transaction{Sender: sender, Envelope: queue.Envelope{UID: s.client.UID, User: s.client.User, Login: s.client.Login, Body: "7BIT"}}
	if s.client.Addr.IsValid() {
		t.Envelope.Client = s.peerName()
	}
	if st := s.mailParams(t, params); st != nil {
		s.mistake(st.Reply(), st.Code(), st.Text())
		return
	}
	if sender.NeedsUTF8() && !t.Envelope.UTF8 {
		s.mistake(553, status.Code{5, 6, 7}, "this address needs SMTPUTF8")
		return
	}
	s.complete(t, sender)
	s.tx = t
	v := s.Policy.Mail(s.ctx, &s.client, t)
	if v.Status == nil {
		v.Status = s.room(t)
	}
	if v.Status != nil {
		s.refuse(v, "")
		s.tx = nil
		return
	}
	s.heed(v)
	s.reply(250, codeSender, "Ok")
}

// complete gives the sender of one of our users a domain, and the envelope its sender.
func (s *Session) complete(t *Transaction, sender address.Address) {
	if s.completes() {
		t.Sender = sender.WithDomain(s.Origin)
	}
	t.Envelope.Sender = t.Sender.String()
}

// completes tells whether addresses without a domain get ours (RFC 6409 section 5.1).
func (s *Session) completes() bool { return s.port.Mode == Submission || s.port.Mode == Local }

// room tells whether a message of the size that was declared can be taken (RFC 1870 section 6.1).
func (s *Session) room(t *Transaction) *status.Status {
	if s.SizeLimit > 0 && t.Declared > s.SizeLimit {
		return errTooBig
	}
	if err := s.Spool.Room(t.Declared); err != nil {
		return stored(err)
	}
	return nil
}

// path reads "FROM:<path> parameters" or "TO:<path> parameters"; when it is not ok it has replied.
func (s *Session) path(args, prefix string) (a address.Address, params []string, ok bool) {
	args = strings.TrimLeft(args, " ")
	if len(args) < len(prefix) || !strings.EqualFold(args[:len(prefix)], prefix) {
		s.mistake(501, codeSyntax, "syntax: "+s.verb+" "+prefix+"<address>")
		return a, nil, false
	}
	text := strings.TrimLeft(args[len(prefix):], " ")
	var rest string
	var err error
	switch {
	case strings.HasPrefix(text, "<"):
		a, rest, err = address.ParsePath(text)
	case s.client.Trusted: // as scripts write it
		var word string
		word, rest, _ = strings.Cut(text, " ")
		rest = " " + rest
		a, err = address.Parse(word)
	default:
		err = errors.New("an address stands between < and >")
	}
	if rest = strings.TrimRight(rest, " "); err == nil && rest != "" && rest[0] != ' ' {
		err = errors.New("a blank must follow the address")
	}
	if err != nil {
		code := status.Code{5, 1, 7}
		if s.verb == "RCPT" {
			code = status.Code{5, 1, 3}
		}
		s.mistake(501, code, "not an address: "+err.Error())
		return a, nil, false
	}
	if params = strings.Fields(rest); len(params) > 0 && !s.client.ESMTP {
		s.mistake(555, codeArgument, "parameters are for those who said "+s.hello())
		return a, nil, false
	}
	return a, params, true
}

// Outcomes of parameters.
func badParam(text string) *status.Status {
	return status.New("smtpd.param", 501, codeArgument, text, nil)
}

func unknownParam(key string) *status.Status {
	return status.New("smtpd.param", 555, codeArgument, "parameter "+status.Clean(key, 40)+" is not known", nil)
}

// eachParam calls set for each parameter, each of which may be given once.
func eachParam(params []string, set func(key, value string, has bool) *status.Status) *status.Status {
	seen := make([]string, 0, 8)
	for _, p := range params {
		key, value, has := strings.Cut(p, "=")
		key = strings.ToUpper(key)
		for _, k := range seen {
			if k == key {
				return badParam("parameter " + status.Clean(key, 40) + " is given twice")
			}
		}
		seen = append(seen, key)
		if has && value == "" {
			return badParam("parameter " + status.Clean(key, 40) + " has no value")
		}
		if st := set(key, value, has); st != nil {
			return st
		}
	}
	return nil
}

// mailParams reads the parameters of MAIL.
func (s *Session) mailParams(t *Transaction, params []string) *status.Status {
	e := &t.Envelope
	st := eachParam(params, func(key, value string, has bool) *status.Status {
		switch key {
		case "SIZE":
			return t.setSize(value)
		case "BODY":
			return setBody(e, value)
		case "SMTPUTF8":
			if e.UTF8 = true; has {
				return badParam("SMTPUTF8 takes no value")
			}
		case "RET":
			if e.Ret = strings.ToUpper(value); e.Ret != "FULL" && e.Ret != "HDRS" {
				return badParam("RET is FULL or HDRS")
			}
		case "ENVID":
			if e.EnvID = value; len(value) > 100 || !isPrintable(value) {
				return badParam("ENVID is not xtext of at most 100 characters")
			}
		case "AUTH":
			return s.setAuth(e, value)
		case "BY":
			return s.setBy(e, value)
		case "HOLDFOR", "HOLDUNTIL":
			return s.setRelease(e, key, value)
		default:
			return unknownParam(key)
		}
		return nil
	})
	if st == nil && !e.By.IsZero() && e.Release.After(e.By) {
		return badParam("the message would be late before it is sent")
	}
	if !e.Release.After(s.now()) {
		e.Release = time.Time{}
	}
	return st
}

func (t *Transaction) setSize(value string) *status.Status {
	n, err := strconv.ParseUint(value, 10, 64)
	if len(value) > 20 || err != nil && !errors.Is(err, strconv.ErrRange) {
		return badParam("SIZE is a number of up to 20 digits")
	}
	t.Declared = int64(min(n, 1<<62)) // of what is out of range ParseUint gives the most
	return nil
}

// setBody knows no BINARYMIME: no way out of the spool keeps such a message as it is.
func setBody(e *queue.Envelope, value string) *status.Status {
	switch e.Body = strings.ToUpper(value); e.Body {
	case "7BIT", "8BITMIME":
		return nil
	}
	return badParam("BODY is 7BIT or 8BITMIME")
}

// setAuth keeps who is said to have submitted the message, if the client is one whose word counts (RFC 4954 section 5).
func (s *Session) setAuth(e *queue.Envelope, value string) *status.Status {
	if len(value) > 500 || !isXtext(value) {
		return badParam("AUTH is not xtext of at most 500 characters")
	}
	if e.Auth = "<>"; s.client.Friend() {
		e.Auth = value
	}
	return nil
}

// setBy is RFC 2852 section 4.
func (s *Session) setBy(e *queue.Envelope, value string) *status.Status {
	secs, mode, ok := strings.Cut(value, ";")
	n, err := strconv.ParseInt(secs, 10, 64)
	mode = strings.ToUpper(mode)
	mode, traced := strings.CutSuffix(mode, "T")
	switch {
	case !ok || err != nil || len(strings.TrimLeft(secs, "+-")) > 9 || mode != "R" && mode != "N":
		return badParam("BY is seconds;R or seconds;N, with a T behind it for a trace")
	case mode == "R" && n <= 0:
		return badParam("the message is late already")
	}
	e.By, e.ByNotify, e.ByTrace = s.now().Add(time.Duration(n)*time.Second), mode == "N", traced
	return nil
}

// setRelease is RFC 4865 section 4, for those who submit.
func (s *Session) setRelease(e *queue.Envelope, key, value string) *status.Status {
	now := s.now()
	switch {
	case !s.completes():
		return unknownParam(key)
	case !e.Release.IsZero():
		return badParam("HOLDFOR and HOLDUNTIL exclude each other")
	case key == "HOLDFOR":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil || len(value) > 9 {
			return badParam("HOLDFOR is a number of seconds")
		}
		e.Release = now.Add(time.Duration(n) * time.Second)
	default:
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return badParam("HOLDUNTIL is a date and time as in RFC 3339")
		}
		if e.Release = t; t.Before(now) { // which is no release; until all parameters are known it is one
			e.Release = now
		}
	}
	if e.Release.After(now.Add(maxRelease)) {
		return badParam("the message would wait for too long")
	}
	return nil
}

// rcpt is RCPT (RFC 5321 section 4.1.1.3).
func (s *Session) rcpt(args string) {
	a, params, ok := s.path(args, "TO:")
	if !ok {
		return
	}
	if a.IsNull() {
		s.mistake(501, status.Code{5, 1, 3}, "the null address is no recipient")
		return
	}
	r := queue.Rcpt{}
	if st := rcptParams(&r, params, s.tx.Envelope.UTF8); st != nil {
		s.mistake(st.Reply(), st.Code(), st.Text())
		return
	}
	if a.NeedsUTF8() && !s.tx.Envelope.UTF8 {
		s.mistake(553, status.Code{5, 6, 7}, "this address needs SMTPUTF8")
		return
	}
	if s.rcpts++; s.rcpts > s.Recipients { // RFC 5321 section 4.5.3.1.10
		s.reply(452, status.Code{4, 5, 3}, "too many recipients")
		if s.rcpts > 2*s.Recipients { // it does not listen
			s.blame()
		}
		return
	}
	if s.chunks != nil {
		s.mistake(503, codeUnknown, "not after BDAT")
		return
	}
	s.addRcpt(a, r)
}

func (s *Session) addRcpt(a address.Address, r queue.Rcpt) {
	if s.completes() {
		a = a.WithDomain(s.Origin)
	}
	v := s.Policy.Rcpt(s.ctx, &s.client, s.tx, a)
	if v.Status != nil {
		s.refuse(v, a.String())
		return
	}
	if v.Discard {
		s.Log.RcptDiscarded(s.tx.Envelope.Sender, a.String(), s.arrival(v.Reason))
		s.reply(250, codeRcpt, "Ok")
		s.grant = v.Reason
		s.discarded++
		return
	}
	s.heed(v)
	s.grant = v.Reason
	if a.Domain() == "" { // <postmaster>, the only one that strangers may leave bare
		a = a.WithDomain(s.Hostname)
	}
	s.reply(250, codeRcpt, "Ok")
	if s.port.Mode != LMTP && s.isRepeated(a) { // LMTP replies to each in the end
		return
	}
	r.Address = a.String()
	s.tx.Rcpts = append(s.tx.Rcpts, a)
	s.tx.Envelope.Rcpts = append(s.tx.Envelope.Rcpts, r)
}

// isRepeated tells whether the transaction has a recipient already.
func (s *Session) isRepeated(a address.Address) bool {
	if s.seen == nil {
		s.seen = make(map[string]struct{}, 8)
	}
	key := a.Key(s.IsLocal != nil && s.IsLocal(a.Domain()))
	_, again := s.seen[key]
	s.seen[key] = struct{}{}
	return again
}

// rcptParams reads the parameters of RCPT (RFC 3461 section 4).
func rcptParams(r *queue.Rcpt, params []string, utf8 bool) *status.Status {
	return eachParam(params, func(key, value string, has bool) *status.Status {
		switch key {
		case "NOTIFY":
			n, err := queue.ParseNotify(value)
			if err != nil {
				return badParam("NOTIFY is NEVER, or some of SUCCESS, FAILURE, DELAY")
			}
			r.Notify = n
		case "ORCPT":
			kind, xtext, ok := strings.Cut(value, ";")
			raw := utf8 && strings.EqualFold(kind, "utf-8") && isUnitext(xtext)
			if !ok || len(value) > 500 || !isAtom(kind) || !raw && !isXtext(xtext) {
				return badParam("ORCPT is type;xtext of at most 500 characters")
			}
			r.ORcpt = value
		default:
			return unknownParam(key)
		}
		return nil
	})
}

// isXtext tells whether a word is xtext (RFC 3461 section 4).
func isXtext(word string) bool {
	for i := 0; i < len(word); i++ {
		c := word[i]
		switch {
		case c == '+':
			if i+2 >= len(word) || !isUpperHex(word[i+1]) || !isUpperHex(word[i+2]) {
				return false
			}
			i += 2
		case c < '!' || c == '=' || c > '~':
			return false
		}
	}
	return word != ""
}

// isPrintable tells whether a word is xtext of printable characters.
func isPrintable(word string) bool {
	text, ok := unxtext(word)
	return ok && isXtext(word) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// isUnitext tells whether a word is an address in UTF-8 as SMTPUTF8 allows it in ORCPT (RFC 6533 section 3).
func isUnitext(word string) bool {
	return word != "" && utf8.ValidString(word) && !strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r == '=' || r == 0x7f })
}

func isUpperHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

func isAtom(word string) bool {
	for i := range len(word) {
		if c := word[i] | 0x20; (c < 'a' || c > 'z') && (word[i] < '0' || word[i] > '9') && word[i] != '-' {
			return false
		}
	}
	return word != ""
}
