// Command postrider is the administrator's program: it sets the mail system up, checks it, and explains what
// it does. See postrider(8).
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/route"
	"postrider/internal/sibling"
	"postrider/internal/status"
)

func main() { os.Exit(system(os.Stdin, os.Stdout, os.Stderr).run(os.Args)) }

// app is the program with its surroundings.
type app struct {
	in         io.Reader
	out, err   io.Writer
	getenv     func(string) string
	uid        int
	users      route.Users
	resolver   func() (dns.Resolver, error)
	program    func(name string) (string, error) // the path of a program of the same installation
	terminal   bool                              // somebody can be asked
	readSecret func() (string, error)            // reads a line from the terminal without showing it
	sleep      func(time.Duration)               // between two looks at the queue
	chown      func(string, int) error           // gives a secret to the mail system's user
	host       host                              // what setup --system works on
}

// system is the program in the real surroundings.
func system(in *os.File, out, errw io.Writer) *app {
	return &app{
		in: in, out: out, err: errw,
		getenv:     os.Getenv,
		uid:        os.Getuid(),
		users:      route.SystemUsers(),
		resolver:   dns.System,
		program:    sibling.Path,
		terminal:   term.IsTerminal(int(in.Fd())),
		readSecret: func() (string, error) { b, err := term.ReadPassword(int(in.Fd())); return string(b), err },
		sleep:      time.Sleep,
		chown:      func(path string, uid int) error { return os.Chown(path, uid, -1) },
		host:       thisHost(),
	}
}

// exitStatus ends the program with a status when everything has been said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// run is main with its surroundings passed in; it returns a sysexits status.
func (a *app) run(argv []string) int {
	err := a.cli().Run(argv)
	var code exitStatus
	if err == nil {
		return status.ExitOK
	}
	if errors.As(err, &code) {
		return int(code)
	}
	s := status.From(err)
	fmt.Fprintf(a.err, "postrider: %s\n", s)
	if s.Exit() == status.ExitUsage {
		fmt.Fprintln(a.err, "hint: postrider help")
	}
	return s.Exit()
}

// usage is an error in the command line.
func usage(format string, args ...any) error {
	return status.Fail("postrider", status.ExitUsage, fmt.Sprintf(format, args...), nil)
}

func (a *app) cli() *cli.App {
	app := &cli.App{
		Name:                      "postrider",
		Usage:                     "set up, check and explain the mail system",
		Flags:                     []cli.Flag{configFlag()},
		Commands:                  a.commands(),
		Reader:                    a.in,
		Writer:                    a.out,
		ErrWriter:                 a.err,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		OnUsageError:              onUsageError,
		ExitErrHandler:            func(*cli.Context, error) {}, // run decides
	}
	app.Action = func(c *cli.Context) error { return unknownCommand(c, app.Commands) }
	return app
}

func (a *app) commands() []*cli.Command {
	list := []*cli.Command{
		{Name: "setup", Usage: "write the configuration and send a test message", Flags: setupFlags(), Action: a.setup},
		{Name: "check", Usage: "look for what is wrong, and say what to do", Action: a.check},
		{Name: "run", Usage: "run the daemons in the foreground, as in a container", Action: a.supervise},
		{Name: "config", Usage: "print the settings that differ from the defaults", Action: a.config,
			Flags: []cli.Flag{&cli.BoolFlag{Name: "all", Usage: "print the defaults as well"}}},
		{Name: "explain", Usage: "say where mail for an address goes, and why", ArgsUsage: "ADDRESS...", Flags: explainFlags(), Action: a.explain},
		a.importCommand(),
		a.aliasCommand(),
		{Name: "user", Usage: "change or list those who may log in to the server", Action: a.userUsage, Subcommands: a.userCommands(), ArgsUsage: "COMMAND"},
		{Name: "version", Usage: "print the version", Action: a.version},
	}
	return completed(list)
}

// completed gives commands what all of them have.
func completed(list []*cli.Command) []*cli.Command {
	for _, c := range list {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		c.Flags = append(c.Flags, configFlag())
		if c.ArgsUsage == "" {
			c.ArgsUsage = " "
			c.Action = withoutArguments(c.Action)
		}
		completed(c.Subcommands)
	}
	return list
}

// configFlag may stand before or after the command's name.
func configFlag() cli.Flag {
	return &cli.StringFlag{Name: "config", Aliases: []string{"C"}, Usage: "use the configuration in `FILE`"}
}

// configOverride is the file that --config names, "" when none does.
func configOverride(c *cli.Context) string {
	for _, level := range c.Lineage() {
		if file := level.String("config"); file != "" {
			return file
		}
	}
	return ""
}

func (a *app) load(c *cli.Context) (config.Config, error) {
	path, err := config.Locate(a.getenv, configOverride(c))
	if err != nil {
		return config.Config{}, err
	}
	return config.Load(path)
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return usage("%v", err) }

func withoutArguments(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Args().Present() {
			return usage("%s: unexpected argument %q", c.Command.Name, c.Args().First())
		}
		return action(c)
	}
}

// unknownCommand is what happens without a known command.
func unknownCommand(c *cli.Context, commands []*cli.Command) error {
	name := c.Args().First()
	if name == "" {
		return usage("no command given")
	}
	best, distance := "", 3
	for _, command := range commands {
		if d := editDistance(name, command.Name); d < distance {
			best, distance = command.Name, d
		}
	}
	if best == "" {
		return usage("unknown command %q", name)
	}
	return usage("unknown command %q (nearest: %q)", name, best)
}

// editDistance counts the bytes to insert, delete or replace to make b of a. Long words are far from all.
func editDistance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// version prints what the Go tool knows of this build.
func (a *app) version(*cli.Context) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = strings.Trim(info.Main.Version, "()") + " " + info.GoVersion
	}
	fmt.Fprintf(a.out, "postrider %s\n", version)
	return nil
}
