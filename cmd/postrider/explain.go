package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/route"
	"postrider/internal/status"
)

// lookupLimit is how long one command may wait for DNS.
const lookupLimit = 30 * time.Second

func explainFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "from", Usage: "mail from `SENDER`, who may have a smarthost"},
		&cli.BoolFlag{Name: "verify", Usage: "print a line for each recipient, as sendmail -bv"},
		&cli.BoolFlag{Name: "verbose", Usage: "with --verify: print aliases as well"},
		&cli.BoolFlag{Name: "test", Usage: "read commands of the address test mode, as sendmail -bt"},
		&cli.BoolFlag{Name: "confined", Usage: "use nothing of the configuration that sendmail -C may not"},
	}
}

// explain tells the way of mail for each address. Its exit status is that of the first for which there is none.
func (a *app) explain(c *cli.Context) error {
	if !c.Args().Present() && !c.Bool("test") {
		return usage("explain: no address given")
	}
	conf, err := a.load(c)
	if err == nil && c.Bool("confined") {
		err = conf.Confined()
	}
	if err != nil {
		return err
	}
	resolver, err := a.resolver()
	if err != nil {
		return err
	}
	router := route.New(conf, resolver, a.users)
	switch {
	case c.Bool("verify"):
		return a.verify(c, conf, router)
	case !c.Args().Present():
		return (&tester{app: a, conf: conf, router: router, resolver: resolver}).test()
	}
	a.explainSender(router, c.String("from"))
	code := status.ExitOK
	for _, arg := range c.Args().Slice() {
		s := a.explainOne(conf, router, c.String("from"), arg)
		if s != nil && code == status.ExitOK {
			code = s.Exit()
		}
	}
	if code != status.ExitOK {
		return exitStatus(code)
	}
	return nil
}

// explainSender tells how others see a sender.
func (a *app) explainSender(router *route.Router, sender string) {
	addr, err := address.Parse(sender)
	if err != nil || addr.IsNull() {
		return
	}
	fmt.Fprintf(a.out, "from %s\n", addr)
	seen, steps, err := router.Outward(addr)
	for i, s := range steps {
		fmt.Fprintf(a.out, "  %d. %s\n", i+1, s.Text)
	}
	switch {
	case err != nil:
		fmt.Fprintf(a.out, "  waits: %s\n", status.From(err))
	case seen != addr:
		fmt.Fprintf(a.out, "  other machines see: %s\n", seen)
	default:
		fmt.Fprintln(a.out, "  other machines see the same")
	}
}

// explainOne tells the way of mail for one address. It returns why there is none now.
func (a *app) explainOne(conf config.Config, router *route.Router, sender, arg string) *status.Status {
	fmt.Fprintln(a.out, status.Clean(arg, 320))
	addr, err := address.Parse(arg)
	if err != nil {
		s := status.Fail("explain", status.ExitDataErr, "malformed address", err)
		fmt.Fprintf(a.out, "  refused: %s\n", s)
		return s
	}
	n := 0
	step := func(text string) {
		n++
		fmt.Fprintf(a.out, "  %d. %s\n", n, text)
	}
	if addr.Domain() == "" {
		addr = addr.WithDomain(conf.Origin)
		step(fmt.Sprintf("sendmail completes it with origin: %s", addr))
	}
	d := forSender(router, router.Route(addr), sender)
	for _, s := range d.Steps {
		step(s.Text)
	}
	if d.Kind == route.Expand {
		return a.explainMembers(conf, router, d.Members)
	}
	return a.explainWay(conf, router, d)
}

// shownMembers is how many members of an alias are followed.
const shownMembers = 20

// explainMembers tells where each member of an alias goes. It returns why one of them does not.
func (a *app) explainMembers(conf config.Config, router *route.Router, members []route.Member) (first *status.Status) {
	for i, m := range members {
		if i == shownMembers {
			fmt.Fprintf(a.out, "  and %d more\n", len(members)-i)
			break
		}
		fmt.Fprintf(a.out, "  %s:\n", status.Clean(m.Address, 320))
		if s := a.explainWay(conf, router, router.Final(m)); s != nil && first == nil {
			first = s
		}
	}
	return first
}

// explainWay tells where mail goes by a decision.
func (a *app) explainWay(conf config.Config, router *route.Router, d route.Decision) *status.Status {
	switch d.Kind {
	case route.Local:
		if d.Member != "" {
			fmt.Fprintf(a.out, "  %s of %s: %s\n", d.Agent, d.Address, status.Clean(d.Member, 320))
			return nil
		}
		fmt.Fprintf(a.out, "  mailbox of %s: %s\n", d.User.Name, conf.Local.Mailbox)
		return nil
	case route.Expand:
		fmt.Fprintf(a.out, "  an alias of %d: postrider explain %s\n", len(d.Members), d.Address)
		return nil
	case route.Relay:
		return a.explainHosts(router, d.Next)
	}
	fmt.Fprintf(a.out, "  %s: %s\n", outcome(d.Status), d.Status.Diagnostic())
	return d.Status
}

func outcome(s *status.Status) string {
	if s.Class() == status.Temporary {
		return "waits"
	}
	return "refused"
}

// explainHosts lists the places to try for a next hop.
func (a *app) explainHosts(router *route.Router, next route.NextHop) *status.Status {
	ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
	defer cancel()
	hosts, err := router.Hosts(ctx, next)
	if err != nil {
		s := status.From(err)
		fmt.Fprintf(a.out, "  %s: %s\n", outcome(s), s.Diagnostic())
		return s
	}
	for _, h := range hosts {
		switch {
		case h.Socket != "":
			fmt.Fprintf(a.out, "  next hop: unix:%s\n", h.Socket)
		case next.Domain != "":
			fmt.Fprintf(a.out, "  next hop: %s (%s), preference %d\n", h.Name, h.Addr, h.Pref)
		default:
			fmt.Fprintf(a.out, "  next hop: %s (%s)\n", h.Name, h.Addr)
		}
	}
	return nil
}
