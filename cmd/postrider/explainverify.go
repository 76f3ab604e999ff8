package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/route"
	"postrider/internal/status"
)

// verifier tells of addresses as "sendmail -bv" does: a line for each recipient that they come to, and nothing asked of DNS.
type verifier struct {
	*app
	conf    config.Config
	router  *route.Router
	sender  string
	verbose bool

	seen   map[string]bool // recipients that were told of: members of lists are told of once
	failed *status.Status  // why mail for one of them does not go
}

// maxNested is how deep aliases inside each other are followed.
const maxNested = 10

func (a *app) verify(c *cli.Context, conf config.Config, router *route.Router) error {
	v := &verifier{app: a, conf: conf, router: router, sender: c.String("from"), verbose: c.Bool("verbose"), seen: map[string]bool{}}
	for _, arg := range c.Args().Slice() {
		v.words(arg)
	}
	if v.failed != nil {
		return exitStatus(v.failed.Exit())
	}
	return nil
}

// words tells of the addresses in one word of a command line.
func (v *verifier) words(arg string) {
	list, err := address.ParseList(arg, address.Lenient)
	if err != nil {
		v.malformed(arg, err)
		return
	}
	for _, m := range list {
		written := arg[m.Start:m.End]
		if len(list) == 1 {
			written = strings.TrimSpace(arg)
		}
		if m.Err != nil {
			v.malformed(written, m.Err)
			continue
		}
		escaped := m.Start > 0 && arg[m.Start-1] == '\\' || strings.HasPrefix(written, `\`)
		v.address(written, m.Address, escaped)
	}
}

func (v *verifier) malformed(written string, err error) {
	v.say(written, err.Error())
	v.fail(status.Fail("verify", status.ExitUsage, "", err))
}

// address tells of one address; an escaped one is no alias.
func (v *verifier) address(written string, a address.Address, escaped bool) {
	if a.Domain() == "" {
		a = a.WithDomain(v.conf.Origin)
	}
	if escaped {
		v.decision(written, v.router.Final(route.Member{Address: a.String()}), 0)
		return
	}
	d := v.router.Route(a)
	if v.isAlias(a) && d.Kind != route.Expand {
		written = name(d)
	}
	v.decision(written, d, 0)
}

// isAlias tells whether an address is an alias: the line for one that comes to one recipient is that of the recipient.
func (v *verifier) isAlias(a address.Address) bool {
	place, err := v.router.Place(a.Domain())
	_, ok, lookupErr := v.router.Aliases().Lookup(a.Unquoted())
	return ok && err == nil && lookupErr == nil && place == route.LocalPlace
}

// name is whom a decision is about: a user of this machine without a domain.
func name(d route.Decision) string {
	switch {
	case strings.HasPrefix(d.Member, "|"):
		return `"` + d.Member + `"`
	case d.Member != "":
		return d.Member
	case d.Kind == route.Relay:
		return d.Address.String()
	}
	return d.Address.Local()
}

func (v *verifier) decision(written string, d route.Decision, depth int) {
	d = forSender(v.router, d, v.sender)
	if key := d.Key(); key != "" {
		if v.seen[key] && depth > 0 {
			return
		}
		v.seen[key] = true
	}
	switch d.Kind {
	case route.Expand:
		v.members(written, d.Members, depth+1)
	case route.Local:
		v.say(written, "deliverable: mailer "+localMailer(d))
	case route.Relay:
		v.say(written, fmt.Sprintf("deliverable: mailer %s, host %s, user %s", d.Next.Mailer, hostOf(d.Next), d.Address))
	default:
		v.say(written, why(d.Status))
		v.fail(d.Status)
	}
}

func (v *verifier) members(written string, members []route.Member, depth int) {
	if v.verbose {
		names := make([]string, len(members))
		for i, m := range members {
			names[i] = m.Address
		}
		v.say(written, "aliased to "+status.Clean(strings.Join(names, ", "), status.MaxText))
	}
	if depth > maxNested {
		err := errors.New("aliasing/forwarding loop broken")
		v.say(written, err.Error())
		v.fail(status.Fail("verify", status.ExitUnavailable, "", err))
		return
	}
	for _, m := range members {
		d := v.router.Final(m)
		written := m.Address
		if d.Kind == route.Local {
			written = name(d)
		}
		v.decision(written, d, depth)
	}
}

func (v *verifier) say(written, text string) {
	fmt.Fprintf(v.out, "%s... %s\n", status.Clean(written, 320), status.Clean(text, 2*status.MaxText))
}

// fail keeps the worst outcome: what is for good counts more than what is for now.
func (v *verifier) fail(s *status.Status) {
	if v.failed == nil || v.failed.Class() == status.Temporary && s.Class() == status.Permanent {
		v.failed = s
	}
}

// forSender is a decision about mail from a sender.
func forSender(router *route.Router, d route.Decision, sender string) route.Decision {
	seen, err := router.Sender(sender)
	if err != nil {
		seen = sender // such mail waits, which explainSender tells
	}
	return router.ForSender(d, sender, seen)
}

// why is the reason of a refusal in Sendmail's words, where it has such.
func why(s *status.Status) string {
	if op := s.Op(); s.Code() == (status.Code{5, 1, 1}) && (op == "route.user" || op == "route.virtual") {
		return "User unknown"
	}
	return s.Text()
}

// localMailer is who delivers on this machine, as Sendmail calls it, and to whom.
func localMailer(d route.Decision) string {
	switch {
	case strings.HasPrefix(d.Member, "|"):
		return "prog, user " + d.Member
	case d.Member != "":
		return "*file*, user " + d.Member
	}
	if base, detail, ok := strings.Cut(d.Address.Unquoted(), "+"); ok && detail != "" && strings.EqualFold(base, d.User.Name) {
		return fmt.Sprintf("local, host %s, user %s", detail, d.User.Name)
	}
	return "local, user " + d.User.Name
}

// hostOf is a next hop as Sendmail writes it: the recipient's domain ends in a dot, and a host whose exchangers are not
// meant is in brackets.
func hostOf(n route.NextHop) string {
	host, standard := n.Socket, "25"
	switch {
	case n.Domain != "" && n.Fixed:
		host = n.Domain
	case n.Domain != "":
		host = n.Domain + "."
	case n.Host != "":
		host = "[" + n.Host + "]"
		if strings.Contains(n.Host, ":") {
			host = "[IPv6:" + n.Host + "]"
		}
	}
	if n.LMTP {
		standard = "24"
	}
	if n.Socket == "" && n.Port != standard {
		host += ":" + n.Port
	}
	for _, other := range n.Others {
		host += ":" + hostOf(other)
	}
	return host
}
