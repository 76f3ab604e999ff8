package policy

import (
	"context"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// maxShown is how many members EXPN shows.
const maxShown = 1000

// Expand implements smtpd.Policy.
func (p *Policy) Expand(_ context.Context, c *smtpd.Client, text string) smtpd.Answer {
	switch {
	case p.conf.Smtpd.Expn == "off":
		return because("expn", answer(502, status.Code{5, 7, 0}, "EXPN is not available"))
	case !p.mayAsk(c, p.conf.Smtpd.Expn):
		return because("expn", answer(550, status.Code{5, 7, 1}, "EXPN is not for you; log in first"))
	case p.tooOften(c, answers, answersToStrangers, answersToFriends):
		return because("too many questions", answer(450, status.Code{4, 7, 1}, "too many questions, try again later"))
	}
	a, ok := mailbox(text)
	switch {
	case !ok:
		return answer(550, status.Code{5, 1, 1}, "no such list here")
	case !p.isLocal(a):
		return answer(550, status.Code{5, 7, 1}, "<"+a.String()+">: not a list of this host")
	}
	e, ok, err := p.alias(a)
	switch {
	case err != nil:
		return smtpd.Answer{Status: status.From(err)}
	case !ok:
		return p.verifyUser(a) // a user is the only member of himself
	}
	return p.members(a, e)
}

func because(why string, a smtpd.Answer) smtpd.Answer {
	a.Reason = why
	return a
}

// members shows who is in a list. Whoever has given it an owner, or has kept it where not everybody can read it, does not
// want that.
func (p *Policy) members(a address.Address, e aliases.Entry) smtpd.Answer {
	if p.o.Aliases.Private(e) {
		return because("private list", answer(550, status.Code{5, 7, 1}, "<"+p.complete(a).String()+">: its members are not shown"))
	}
	list, err := p.o.Aliases.Members(e)
	if err != nil {
		return smtpd.Answer{Status: status.From(err)}
	}
	var lines []string
	for _, m := range list {
		if len(lines) == maxShown {
			return because("long list", answer(550, status.Code{5, 7, 1}, "<"+p.complete(a).String()+">: it has too many members to show"))
		}
		if line := p.member(m); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return because("no member is an address", answer(550, status.Code{5, 7, 1}, "<"+p.complete(a).String()+">: its members are not shown"))
	}
	all := answer(250, status.Code{2, 1, 5}, lines[0])
	all.Lines = lines
	return all
}

// member is a member of a list as EXPN shows it, with the full name that the list has or else the user's; "" when it is
// none that is shown: commands and files are nobody's business.
func (p *Policy) member(m aliases.Member) string {
	if m.Kind != aliases.Address && m.Kind != aliases.User {
		return ""
	}
	name := fullName("-", m.Name)
	if name == "" && p.isLocal(m.Address) {
		name = p.people.Get().names[m.Address.Unquoted()]
	}
	return shown(name, p.complete(m.Address))
}
