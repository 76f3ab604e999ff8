package policy

import (
	"context"
	"strings"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/route"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// Aliases are the aliases of this machine. *aliases.Database is one.
type Aliases interface {
	Lookup(local string) (aliases.Entry, bool, error)
	Members(aliases.Entry) ([]aliases.Member, error)
	Private(aliases.Entry) bool
}

// How many questions by VRFY and EXPN are answered within a minute.
const (
	answersToStrangers = 10
	answersToFriends   = 100
)

// maxChain is how many aliases VRFY follows from one to the next, and maxChoices how many users it names.
const (
	maxChain   = 10
	maxChoices = 20
)

func answer(reply int, code status.Code, text string) smtpd.Answer {
	return smtpd.Answer{Status: status.New("policy.verify", reply, code, text, nil)}
}

// noAnswer is the reply of a server that does not verify (RFC 5321 section 3.5.3).
func noAnswer(why string) smtpd.Answer {
	a := answer(252, status.Code{2, 5, 2}, "cannot VRFY user, but will take mail and try to deliver it")
	a.Reason = why
	return a
}

// mayAsk tells whether a client gets true answers, as a setting has it.
func (p *Policy) mayAsk(c *smtpd.Client, setting string) bool {
	s, _ := c.State.(*session)
	return s != nil && (setting == "all" || setting == "trusted" && p.friendly(c))
}

// tooOften counts a question and tells whether there are too many within a minute. Users of this machine may ask as they
// like.
func (p *Policy) tooOften(c *smtpd.Client, what counter, strangers, friends int) bool {
	s, _ := c.State.(*session)
	if s == nil || s.client == nil {
		return s == nil
	}
	most := strangers
	if p.friendly(c) {
		most = friends
	}
	return p.clients.count(s.client, what) > most
}

// Verify implements smtpd.Policy.
func (p *Policy) Verify(_ context.Context, c *smtpd.Client, text string) smtpd.Answer {
	switch {
	case !p.mayAsk(c, p.conf.Smtpd.Vrfy):
		return noAnswer("vrfy")
	case p.tooOften(c, answers, answersToStrangers, answersToFriends):
		return noAnswer("too many questions")
	}
	a, ok := mailbox(text)
	switch {
	case !ok:
		return p.verifyName(text)
	}
	switch place, err := p.place(a); {
	case err != nil:
		return smtpd.Answer{Status: status.From(err)}
	case place == route.LocalPlace:
		return p.verifyLocal(a)
	case place == route.Virtual:
		return p.verifyUser(a)
	default:
		return p.verifyForeign(c, a, place)
	}
}

// mailbox reads what is asked for, if it is a mailbox: with or without brackets and domain.
func mailbox(text string) (address.Address, bool) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "<") {
		a, rest, err := address.ParsePath(text)
		return a, err == nil && rest == "" && !a.IsNull()
	}
	a, err := address.Parse(text)
	return a, err == nil
}

// verifyForeign answers about a mailbox elsewhere, of which nothing is known.
func (p *Policy) verifyForeign(c *smtpd.Client, a address.Address, place route.Place) smtpd.Answer {
	if p.mayReach(a, place, p.grant(c), p.access.Get().Recipient(a, false)) != "" {
		return noAnswer("")
	}
	return answer(551, status.Code{5, 7, 1}, "user not local; please try <"+a.String()+">")
}

// verifyLocal answers about a mailbox of ours: an alias, a user, or a user's full name.
func (p *Policy) verifyLocal(a address.Address) smtpd.Answer {
	e, ok, err := p.alias(a)
	switch {
	case err != nil:
		return smtpd.Answer{Status: status.From(err)}
	case ok:
		return p.verifyAlias(a, e)
	}
	if strings.Contains(a.Unquoted(), " ") && a.Domain() == "" {
		return p.verifyName(a.Unquoted())
	}
	return p.verifyUser(a)
}

func (p *Policy) alias(a address.Address) (aliases.Entry, bool, error) {
	if p.o.Aliases == nil {
		return aliases.Entry{}, false, nil
	}
	return p.o.Aliases.Lookup(a.Unquoted())
}

// verifyAlias follows an alias that stands for one other. A list, a command or a file is the alias's own business, and so
// are members that are not for strangers.
func (p *Policy) verifyAlias(a address.Address, e aliases.Entry) smtpd.Answer {
	itself := answer(250, status.Code{2, 1, 5}, shown("", p.complete(a)))
	for range maxChain {
		if e.List() || p.o.Aliases.Private(e) {
			return itself
		}
		switch m := e.Members[0]; m.Kind {
		case aliases.User:
			return p.verifyUser(m.Address)
		case aliases.Address:
			if !p.isLocal(m.Address) {
				return answer(251, status.Code{2, 1, 5}, "user not local; will forward to <"+m.Address.String()+">")
			}
			next, ok, err := p.alias(m.Address)
			switch {
			case err != nil:
				return smtpd.Answer{Status: status.From(err)}
			case !ok || next.Name == e.Name:
				return p.verifyUser(m.Address)
			}
			e = next
		default:
			return itself
		}
	}
	return itself
}

// verifyUser answers about a user, or one that is called so.
func (p *Policy) verifyUser(a address.Address) smtpd.Answer {
	d := p.o.Router.Check(a)
	switch {
	case d.Kind == route.Refuse && d.Status.Class() == status.Temporary:
		return smtpd.Answer{Status: d.Status}
	case d.Kind == route.Refuse && a.Domain() == "":
		return p.verifyName(a.Unquoted())
	case d.Kind == route.Refuse:
		return smtpd.Answer{Status: d.Status}
	case d.Kind == route.Local:
		return answer(250, status.Code{2, 1, 5}, p.user(d.User.Name, a))
	}
	return answer(250, status.Code{2, 1, 5}, shown("", p.complete(a)))
}

// user is a user as replies have him; a is how he was asked for.
func (p *Policy) user(login string, a address.Address) string {
	own, err := address.Parse(login)
	if err != nil || own.Domain() != "" {
		own = a
	}
	if d := a.Domain(); d != "" && own.Domain() == "" {
		own = own.WithDomain(d)
	}
	return shown(p.people.Get().names[login], p.complete(own))
}

// complete gives a bare address a domain that leads here.
func (p *Policy) complete(a address.Address) address.Address { return a.WithDomain(p.here) }

// verifyName answers about a full name, or a word of one.
func (p *Policy) verifyName(name string) smtpd.Answer {
	logins := p.people.Get().find(name)
	var users []string
	for _, login := range logins[:min(len(logins), maxChoices)] {
		if a, err := address.Parse(login); err == nil && a.Domain() == "" {
			users = append(users, p.user(login, a))
		}
	}
	switch len(users) {
	case 0:
		return answer(550, status.Code{5, 1, 1}, "no such user here")
	case 1:
		return answer(250, status.Code{2, 1, 5}, users[0])
	}
	a := answer(553, status.Code{5, 1, 4}, "ambiguous; possibilities are")
	a.Lines = append([]string{a.Status.Text()}, users...)
	return a
}
