package policy

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"postrider/internal/address"
	"postrider/internal/dns"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// heloCheck is what was found out about the name that a client gave itself.
type heloCheck struct {
	name  string
	found *refusal
}

// Helo implements smtpd.Policy. A stranger that calls itself as we are called lies; what else may be wrong with its name
// is looked at when it names a recipient.
func (p *Policy) Helo(_ context.Context, c *smtpd.Client) smtpd.Verdict {
	s, _ := c.State.(*session)
	switch {
	case p.conf.Smtpd.Helo == "any", c.Mode != smtpd.MTA, p.friendly(c), s != nil && s.pass, p.own.has(plain(c.Addr)):
		return smtpd.Verdict{}
	}
	ip, literal := heloLiteral(c.Helo)
	name, err := address.ASCIIDomain(c.Helo)
	if literal && p.own.has(ip) || err == nil && name == p.hostname {
		return smtpd.Verdict{Status: status.New("policy.helo", 550, status.Code{5, 7, 1}, "that is the name of this host, not of yours", nil), Reason: "helo"}
	}
	return smtpd.Verdict{}
}

// heloLiteral is the address in an address literal.
func heloLiteral(s string) (netip.Addr, bool) {
	a, err := address.Parse("x@" + s)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Literal()
}

// heloRefusal is what a stranger's HELO is refused for, nil when for nothing.
func (p *Policy) heloRefusal(ctx context.Context, c *smtpd.Client, s *session) *refusal {
	if p.conf.Smtpd.Helo == "any" || c.Mode != smtpd.MTA {
		return nil
	}
	if s.helo.name == "" || s.helo.name != c.Helo {
		s.helo = heloCheck{c.Helo, p.checkHelo(ctx, c.Helo)}
	}
	return s.helo.found
}

func (p *Policy) checkHelo(ctx context.Context, helo string) *refusal {
	const op = "policy.helo"
	if _, ok := heloLiteral(helo); ok {
		return nil
	}
	name, err := address.ASCIIDomain(helo)
	if err != nil || !strings.Contains(name, ".") {
		text := status.Clean(helo, 100) + ": HELO and EHLO need the full name of your host"
		return &refusal{status: status.New(op, 550, status.Code{5, 5, 2}, text, nil), why: "helo"}
	}
	if p.conf.Smtpd.Helo != "known" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	_, err = p.o.Resolver.Addrs(ctx, name+".")
	if errors.Is(err, dns.ErrNotFound) { // a mail domain has a name as well
		_, err = p.o.Resolver.MX(ctx, name)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dns.ErrNotFound):
		return &refusal{status: status.New(op, 550, status.Code{5, 7, 1}, name+": DNS does not know the name of your host", nil), why: "helo"}
	}
	return &refusal{status: status.New(op, 450, status.Code{4, 4, 3}, name+": the name of your host cannot be looked up just now", nil), why: "helo"}
}
