package policy

import (
	"context"

	"postrider/internal/access"
	"postrider/internal/address"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// friendly tells whether a client may relay, and is believed.
func (p *Policy) friendly(c *smtpd.Client) bool { return p.grant(c) != "" }

// grant is why a client may relay, in one word for the log; "" when it may not.
func (p *Policy) grant(c *smtpd.Client) string {
	s, _ := c.State.(*session)
	switch {
	case s == nil:
		return ""
	case s.grant != "":
		return s.grant
	case c.Login != "":
		return "login"
	}
	return ""
}

// unknownClient refuses what comes in a session that was not judged.
func unknownClient() smtpd.Verdict {
	return smtpd.Verdict{Status: status.New("policy", 451, status.Code{4, 3, 0}, "local error in processing", nil), Reason: "client was not judged"}
}

// Mail implements smtpd.Policy.
func (p *Policy) Mail(_ context.Context, c *smtpd.Client, t *smtpd.Transaction) smtpd.Verdict {
	s, _ := c.State.(*session)
	switch {
	case s == nil:
		return unknownClient()
	case c.Mode == smtpd.Submission && c.Login == "":
		// RFC 6409 section 4.3 leaves it to the site who may submit; here it is whoever logs in, and nobody else.
		return smtpd.Verdict{Status: status.New("policy.mail", 530, status.Code{5, 7, 0}, "log in first", nil)}
	case p.over(c, s, messages, p.conf.Smtpd.ClientMessages):
		return smtpd.Verdict{Status: status.New("policy.mail", 450, status.Code{4, 7, 1}, "too many messages from your host, try again later", nil), Reason: "client_messages"}
	case t.Sender.IsNull(): // RFC 5321 section 4.5.5: reports must come through
		return smtpd.Verdict{}
	case t.Sender.Domain() == "" && !p.friendly(c):
		return refuse(553, status.Code{5, 5, 4}, t.Sender, "a sender needs a domain")
	}
	if v := p.mayUse(c, t.Sender); v.Status != nil {
		return v
	}
	return p.senderRule(t.Sender)
}

// over counts something that a client does and tells whether it is too often. Friends by their network and users of this
// machine are not limited.
func (p *Policy) over(c *smtpd.Client, s *session, what counter, limit int) bool {
	if s.client == nil {
		return false
	}
	return p.clients.count(s.client, what) > limit && limit > 0 && !c.Trusted
}

// refuse makes a permanent refusal about an address.
func refuse(reply int, code status.Code, a address.Address, text string) smtpd.Verdict {
	return smtpd.Verdict{Status: status.New("policy", reply, code, "<"+a.String()+">: "+text, nil)}
}

// senderRule applies From: of the access table.
func (p *Policy) senderRule(a address.Address) smtpd.Verdict {
	r := p.access.Get().Sender(a)
	return ruled(r, status.New("policy.sender", 550, status.Code{5, 7, 1}, "<"+a.String()+">: access denied", nil))
}

// ruled is the verdict of a line of the access table; plain is the reply of a bare REJECT.
func ruled(r access.Rule, plain *status.Status) smtpd.Verdict {
	v := smtpd.Verdict{Reason: accessWhy(r)}
	switch r.Action {
	case access.Reject:
		if v.Status = r.Status; v.Status == nil {
			v.Status = plain
		}
		v.Close = v.Status.Reply() == 421
	case access.Discard:
		v.Discard = true
	case access.Quarantine:
		v.Hold = r.Text
	default:
		return smtpd.Verdict{}
	}
	return v
}

// Data implements smtpd.Policy. Nothing is left to be judged: a null sender may have several recipients, as RFC 5321 has
// it, since each of them was looked at.
func (p *Policy) Data(context.Context, *smtpd.Client, *smtpd.Transaction) smtpd.Verdict {
	return smtpd.Verdict{}
}

// Login implements smtpd.Policy. Each attempt counts as a failure from its beginning, or those that go on at once would
// have no limit, until it is known to be none.
func (p *Policy) Login(_ context.Context, c *smtpd.Client, tried bool, err error) smtpd.Verdict {
	s, _ := c.State.(*session)
	limit := p.conf.Smtpd.ClientAuthFailures
	switch {
	case s == nil:
		return unknownClient()
	case s.client == nil || limit == 0 || c.Trusted:
		return smtpd.Verdict{}
	case !tried:
		if !s.attempt.begun {
			s.attempt.slot, s.attempt.begun = p.clients.reserve(s.client, authFailures, limit)
		}
		if !s.attempt.begun {
			return tooManyLogins()
		}
		return smtpd.Verdict{}
	}
	began := s.attempt
	s.attempt = attempt{}
	switch guess := isGuess(err); {
	case began.begun && !guess:
		p.clients.release(s.client, authFailures, began.slot)
	case !began.begun && guess: // of which nobody has asked before
		p.clients.count(s.client, authFailures)
	}
	if err != nil && p.clients.counted(s.client, authFailures) >= limit {
		return tooManyLogins()
	}
	return smtpd.Verdict{} // it knew the password after all
}

// attempt is a login that was begun and counted.
type attempt struct {
	begun bool
	slot  int64 // of the window that it is counted in
}

// isGuess tells whether an attempt that ended so may have been one at a password: not when the server failed, nor when it
// never came to a password.
func isGuess(err error) bool {
	if err == nil {
		return false
	}
	st := status.From(err)
	switch st.Reply() {
	case 500, 501, 504, 538:
		return false
	}
	return st.Class() != status.Temporary
}

func tooManyLogins() smtpd.Verdict {
	return goAway("too many failed logins from your host", "client_auth_failures")
}
