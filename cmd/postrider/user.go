package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/internal/auth"
	"postrider/internal/status"
)

// userCommands change and list those who may log in to the server.
func (a *app) userCommands() []*cli.Command {
	file := &cli.StringFlag{Name: "file", Usage: "use the users in `FILE`"}
	stdin := &cli.BoolFlag{Name: "stdin", Usage: "read the password from standard input"}
	none := &cli.BoolFlag{Name: "no-password", Usage: "the user logs in by certificate or token only"}
	return []*cli.Command{
		{Name: "add", Usage: "add a user", ArgsUsage: "NAME", Action: a.userAdd, Flags: []cli.Flag{file, stdin, none}},
		{Name: "passwd", Usage: "give a user another password", ArgsUsage: "NAME", Action: a.userPasswd, Flags: []cli.Flag{file, stdin}},
		{Name: "rm", Usage: "remove a user", ArgsUsage: "NAME", Action: a.userRemove, Flags: []cli.Flag{file}},
		{Name: "list", Usage: "list the users", Action: a.userList, Flags: []cli.Flag{file}},
	}
}

// userUsage is what happens without a known command of user.
func (a *app) userUsage(c *cli.Context) error {
	if c.Args().Present() {
		return usage("user: unknown command %q (add, passwd, rm or list)", c.Args().First())
	}
	return usage("user: no command given (add, passwd, rm or list)")
}

// userName is the one argument.
func userName(c *cli.Context) (string, error) {
	if c.NArg() > 1 && strings.HasPrefix(c.Args().Get(1), "-") {
		return "", usage("user %s: options stand before the name", c.Command.Name)
	}
	if c.NArg() != 1 {
		return "", usage("user %s: give the name of one user", c.Command.Name)
	}
	return c.Args().First(), nil
}

// usersPath is the file that is meant: the one that --file names, or that of the first place where one may log in by
// such a file.
func (a *app) usersPath(c *cli.Context) (string, error) {
	if path := c.String("file"); path != "" {
		return path, nil
	}
	conf, err := a.load(c)
	if err != nil {
		return "", err
	}
	for _, l := range conf.Listen {
		if l.Auth.File != "" {
			return l.Auth.File, nil
		}
	}
	return "", status.Fail("postrider.user", status.ExitConfig,
		`no file of users is configured: set auth = { file = "..." } in a [[listen]], or give --file`, nil)
}

func (a *app) userAdd(c *cli.Context) error {
	path, name, err := a.userArguments(c)
	if err != nil {
		return err
	}
	r, err := readRoster(path)
	if errors.Is(err, fs.ErrNotExist) {
		r, err = auth.NewRoster(path, nil)
	}
	if err == nil {
		err = r.Add(name, "") // who cannot be added is not asked for a password
	}
	password := ""
	if err == nil && !c.Bool("no-password") {
		password, err = a.newPassword(c, name)
	}
	if err == nil {
		err = a.changeUsers(c, path, true, func(r *auth.Roster) error { return r.Add(name, password) })
	}
	return err
}

func (a *app) userPasswd(c *cli.Context) error {
	path, name, err := a.userArguments(c)
	if err != nil {
		return err
	}
	r, err := readRoster(path)
	if err == nil {
		err = r.Remove(name) // who does not exist is not asked for a password
	}
	if err != nil {
		return err
	}
	password, err := a.newPassword(c, name)
	if err != nil {
		return err
	}
	return a.changeUsers(c, path, false, func(r *auth.Roster) error { return r.Passwd(name, password) })
}

func (a *app) userRemove(c *cli.Context) error {
	path, name, err := a.userArguments(c)
	if err != nil {
		return err
	}
	return a.changeUsers(c, path, false, func(r *auth.Roster) error { return r.Remove(name) })
}

// userArguments are the file and the user that a command is about.
func (a *app) userArguments(c *cli.Context) (path, name string, err error) {
	if name, err = userName(c); err != nil {
		return "", "", err
	}
	path, err = a.usersPath(c)
	return path, name, err
}

// userList prints names and what is known of their passwords, but nothing of what a password could be found with.
func (a *app) userList(c *cli.Context) error {
	path, err := a.usersPath(c)
	if err != nil {
		return err
	}
	r, err := readRoster(path)
	if err != nil {
		return err
	}
	for _, u := range r.Users() {
		known := strings.Join(u.Schemes, " ")
		switch {
		case u.Locked:
			known = "locked"
		case known == "":
			known = "no password"
		}
		fmt.Fprintf(a.out, "%s\t%s\n", u.Name, known)
	}
	return nil
}

// newPassword is the password that a user is to have: the first line of standard input, or what was typed twice.
func (a *app) newPassword(c *cli.Context, name string) (password string, err error) {
	switch {
	case c.Bool("stdin"):
		if password, err = readLine(bufio.NewReader(a.in)); err != nil {
			return "", status.Fail("postrider.user", status.ExitNoInput, "no password on standard input", err)
		}
	case !a.terminal:
		return "", usage("user %s: the password needs a terminal, or --stdin", c.Command.Name)
	default:
		if password, err = a.typedTwice(name); err != nil {
			return "", err
		}
	}
	return password, auth.CheckPassword(password)
}

func (a *app) typedTwice(name string) (string, error) {
	var typed [2]string
	for i, prompt := range []string{"New password of %s (not shown): ", "Once more: "} {
		if i == 0 {
			prompt = fmt.Sprintf(prompt, name)
		}
		fmt.Fprint(a.out, prompt)
		line, err := a.readSecret()
		fmt.Fprintln(a.out)
		if err != nil {
			return "", status.Fail("postrider.user", status.ExitNoInput, "no password was given", err)
		}
		typed[i] = line
	}
	if typed[0] != typed[1] {
		return "", status.Fail("postrider.user", status.ExitDataErr, "the passwords differ; nothing was changed", nil)
	}
	return typed[0], nil
}
