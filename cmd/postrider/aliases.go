package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/route"
	"postrider/internal/status"
)

// aliasCommand shows, checks and changes the aliases.
func (a *app) aliasCommand() *cli.Command {
	file := &cli.StringFlag{Name: "file", Usage: "change the aliases in `FILE`"}
	return &cli.Command{
		Name: "aliases", Usage: "show, check or change the aliases", ArgsUsage: "COMMAND", Action: a.aliasUsage,
		Subcommands: []*cli.Command{
			{Name: "show", Usage: "say what names stand for, and by which lines", ArgsUsage: "NAME...", Action: a.aliasShow},
			{Name: "check", Usage: "say what is wrong with the aliases and all that they lead to", ArgsUsage: "[FILE...]", Action: a.aliasCheck},
			{Name: "add", Usage: "give an alias members, and make it if there is none", ArgsUsage: "NAME MEMBER...", Action: a.aliasAdd, Flags: []cli.Flag{file}},
			{Name: "rm", Usage: "take members from an alias, or remove it", ArgsUsage: "NAME [MEMBER...]", Action: a.aliasRemove, Flags: []cli.Flag{file}},
		},
	}
}

// aliasUsage is what happens without a known command of aliases.
func (a *app) aliasUsage(c *cli.Context) error {
	if c.Args().Present() {
		return usage("aliases: unknown command %q (show, check, add or rm)", c.Args().First())
	}
	return usage("aliases: no command given (show, check, add or rm)")
}

// aliasRouter is what looks names up.
func (a *app) aliasRouter(conf config.Config) *route.Router {
	r := route.New(conf, nil, a.users)
	r.Report(func(err error) { fmt.Fprintf(a.err, "postrider: %v\n", err) })
	return r
}

// aliasShow tells what names stand for. Its exit status is that of the first that is no alias.
func (a *app) aliasShow(c *cli.Context) error {
	if !c.Args().Present() {
		return usage("aliases show: no name given")
	}
	conf, err := a.load(c)
	if err != nil {
		return err
	}
	db := a.aliasRouter(conf).Aliases()
	code := status.ExitOK
	for _, arg := range c.Args().Slice() {
		if err := a.showAlias(conf, db, arg); err != nil {
			s := status.From(err)
			fmt.Fprintf(a.err, "postrider: %s\n", s)
			if code == status.ExitOK {
				code = s.Exit()
			}
		}
	}
	if code != status.ExitOK {
		return exitStatus(code)
	}
	return nil
}

// localpart is the name that an argument means: itself, or what stands before the @ of an address of this machine.
func localpart(conf config.Config, arg string) (string, error) {
	addr, err := address.Parse(arg)
	switch {
	case err != nil || addr.IsNull():
		return arg, nil
	case addr.Domain() == "" || conf.IsLocalDomain(addr.Domain()):
		return addr.Unquoted(), nil
	}
	return "", status.Fail("postrider.aliases", status.ExitNoUser, fmt.Sprintf("%s is not an address of this machine", status.Clean(arg, 80)), nil)
}

func (a *app) showAlias(conf config.Config, db *aliases.Database, arg string) error {
	name, err := localpart(conf, arg)
	if err != nil {
		return err
	}
	x, ok, err := db.Expand(name)
	if err != nil {
		return err
	}
	if !ok {
		return status.Fail("postrider.aliases", status.ExitNoUser, status.Clean(arg, 80)+" is no alias", nil)
	}
	fmt.Fprintln(a.out, status.Clean(x.Entry.Where(), 320))
	for _, r := range x.Recipients {
		line := r.Spelled()
		if r.Kind == aliases.Error {
			line = "nobody: " + r.Err
		}
		if r.Via != x.Entry.Where() {
			line += ", by " + r.Via
		}
		if r.Owner != "" {
			line += "; failures go to " + r.Owner
		}
		fmt.Fprintf(a.out, "  %s\n", status.Clean(line, 1000))
	}
	return nil
}

// aliasCheck tells all that is wrong.
func (a *app) aliasCheck(c *cli.Context) error {
	conf, err := a.load(c)
	if err != nil {
		return err
	}
	if c.Args().Present() {
		conf.Aliases, conf.User = c.Args().Slice(), false
	}
	files := conf.AliasFiles()
	if len(files) == 0 {
		fmt.Fprintln(a.out, "there are no aliases: the configuration of this installation names no files")
		return nil
	}
	r := a.aliasRouter(conf)
	deep, code := []aliases.Problem(nil), status.ExitOK
	if deep, err = r.Aliases().Audit(func(m aliases.Member) error { return known(conf, r, m) }); err != nil {
		deep = nil // it is told of the file
	}
	for _, file := range files {
		if n := a.checkAliases(file, deep); n != status.ExitOK && code == status.ExitOK {
			code = n
		}
	}
	if code != status.ExitOK {
		return exitStatus(code)
	}
	return nil
}

// known tells why mail for a member would be refused for good.
func known(conf config.Config, r *route.Router, m aliases.Member) error {
	to := m.Address
	if to.Domain() == "" {
		to = to.WithDomain(conf.Hostname)
	}
	d := r.Final(route.Member{Address: to.String()})
	if d.Kind == route.Refuse && d.Status.Class() == status.Permanent {
		return errors.New(strings.TrimPrefix(d.Status.Text(), to.String()+": "))
	}
	return nil
}

// checkAliases tells what is wrong with one file, in the order of its lines, and returns an exit status.
func (a *app) checkAliases(file string, deep []aliases.Problem) int {
	rep, err := aliases.Check(file)
	if err != nil {
		s := aliasError("read", file, err)
		fmt.Fprintf(a.out, "%s\n", s)
		return s.Exit()
	}
	list, bad, warnings := rep.Problems, rep.Bad, len(rep.Problems)+rep.More-rep.Bad
	for _, p := range deep {
		switch {
		case p.File != file:
			continue
		case p.Warning:
			warnings++
		default:
			bad++
		}
		list = append(list, p)
	}
	slices.SortStableFunc(list, func(p, q aliases.Problem) int { return p.Line - q.Line })
	for _, p := range list {
		fmt.Fprintln(a.out, p)
	}
	if rep.More > 0 {
		fmt.Fprintf(a.out, "%s: %d more such lines\n", file, rep.More)
	}
	fmt.Fprintf(a.out, "%s: aliases: %d, errors: %d, warnings: %d; %s\n", file, rep.Aliases, bad, warnings, indexState(file))
	if bad > 0 {
		return status.ExitSoftware // as newaliases has it
	}
	return status.ExitOK
}

// indexState tells in words how a file is read.
func indexState(file string) string {
	switch err := aliases.IndexState(file); {
	case err == nil:
		return "it is read by its index"
	case errors.Is(err, aliases.ErrNoIndex):
		return "it has no index"
	case errors.Is(err, aliases.ErrStale):
		return "its index is older than the file: run newaliases"
	default:
		return strings.TrimPrefix(err.Error(), file+aliases.IndexSuffix+": ") + ": run newaliases"
	}
}
