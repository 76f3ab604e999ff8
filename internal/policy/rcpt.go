package policy

import (
	"context"
	"strings"

	"postrider/internal/access"
	"postrider/internal/address"
	"postrider/internal/route"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// Rcpt implements smtpd.Policy.
func (p *Policy) Rcpt(ctx context.Context, c *smtpd.Client, t *smtpd.Transaction, rcpt address.Address) smtpd.Verdict {
	s, _ := c.State.(*session)
	grant := p.grant(c)
	switch {
	case s == nil:
		return unknownClient()
	case p.over(c, s, recipients, p.conf.Smtpd.ClientRecipients):
		return smtpd.Verdict{Status: status.New("policy.rcpt", 452, status.Code{4, 7, 1}, "too many recipients from your host, try again later", nil), Reason: "client_recipients"}
	case c.Mode == smtpd.Submission && c.Login == "": // not reached after MAIL, and nothing to rely on that for
		return smtpd.Verdict{Status: status.New("policy.rcpt", 530, status.Code{5, 7, 0}, "log in first", nil)}
	case rcpt.IsNull():
		return refuse(553, status.Code{5, 1, 3}, rcpt, "the null address is no recipient")
	}
	place, err := p.place(rcpt)
	if err != nil {
		return smtpd.Verdict{Status: status.From(err)}
	}
	local, master := ours(place), isPostmaster(rcpt)
	if rcpt.Domain() == "" && !master && grant == "" {
		return refuse(553, status.Code{5, 1, 3}, rcpt, "a recipient needs a domain")
	}
	rule := p.access.Get().Recipient(rcpt, local)
	v := ruled(rule, status.New("policy.rcpt", 550, status.Code{5, 2, 1}, "<"+rcpt.String()+">: no mail is taken for this recipient", nil))
	if v.Status != nil {
		return v
	}
	if grant == "" && !(master && local) {
		if r := p.strangerRefusal(ctx, c, s, rule); r != nil {
			return r.verdict()
		}
	}
	why := p.mayReach(rcpt, place, grant, rule)
	if why == "" {
		v := refuse(550, status.Code{5, 7, 1}, rcpt, "relaying denied")
		v.Reason = "relay"
		return v
	}
	if v.Discard { // only now: a stranger learns nothing from it that a refusal would not say
		return v
	}
	if st := p.exists(ctx, rcpt, local, grant); st != nil {
		return smtpd.Verdict{Status: st}
	}
	v.Reason = why
	return v
}

// strangerRefusal is what speaks against a stranger, nil when nothing does. OK for the client or the recipient overrules
// all but what the access table itself has against the client.
func (p *Policy) strangerRefusal(ctx context.Context, c *smtpd.Client, s *session, rule access.Rule) *refusal {
	pass := s.pass || rule.Action == access.OK || rule.Action == access.Relay
	switch {
	case s.found != nil && (s.found.table || !pass):
		return s.found
	case pass:
		return nil
	}
	return p.heloRefusal(ctx, c, s)
}

// isPostmaster tells whether a recipient is one that must not be refused to anybody (RFC 5321 section 4.5.1), if its
// domain is ours.
func isPostmaster(a address.Address) bool { return strings.EqualFold(a.Unquoted(), "postmaster") }

// place tells where a recipient belongs: the place is that of the domain to which the mail will really go.
func (p *Policy) place(a address.Address) (route.Place, error) {
	if a.Domain() == "" {
		return route.LocalPlace, nil
	}
	if ip, ok := a.Literal(); ok {
		if p.own.has(ip) {
			return route.LocalPlace, nil
		}
		return route.Elsewhere, nil
	}
	name, err := address.ASCIIDomain(a.Domain())
	if err != nil {
		return route.Elsewhere, nil
	}
	return p.o.Router.Place(name)
}

// ours tells whether we know who is in a domain.
func ours(place route.Place) bool { return place == route.LocalPlace || place == route.Virtual }

// isLocal tells whether a recipient is a user of this machine, if anybody. While that cannot be found out it is none.
func (p *Policy) isLocal(a address.Address) bool {
	place, err := p.place(a)
	return err == nil && place == route.LocalPlace
}

// mayReach is why mail for a recipient may pass, "" when it may not.
func (p *Policy) mayReach(a address.Address, place route.Place, grant string, rule access.Rule) string {
	switch {
	case place == route.LocalPlace:
		return "local"
	case place == route.Virtual:
		return "virtual"
	case grant != "":
		return grant
	case rule.Action == access.Relay:
		return accessWhy(rule)
	case place == route.RelayPlace:
		return "relay-domains"
	}
	if name, err := p.o.Router.Renamed(a.Domain()); err == nil && p.relaysFor(name) {
		return "relay.domains"
	}
	return ""
}

// relaysFor tells whether relay.domains has a domain.
func (p *Policy) relaysFor(domain string) bool {
	name, err := address.ASCIIDomain(domain)
	return err == nil && p.domains.isRelay(name)
}

// exists tells why there is no such recipient, or that nobody knows just now; nil when there is one, for all that can be
// known here. The next hop is asked for strangers only: a friend is told by a report.
func (p *Policy) exists(ctx context.Context, a address.Address, local bool, grant string) *status.Status {
	d := p.o.Router.Check(a)
	switch {
	case d.Kind == route.Refuse:
		return d.Status
	case p.conf.Smtpd.AskNextHop && !local && grant == "" && d.Kind == route.Relay:
		return p.askNextHop(ctx, a, d.Next)
	}
	return nil
}
