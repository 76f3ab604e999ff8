// Mailq lists the mail queue and manages it: it shows what happened to a message, holds, releases and removes
// messages and has them tried. See mailq(1).
//
// A listing takes no lock, makes no file and keeps one message in memory at a time. What changes a message works
// under its claim, so it never meets a delivery of the same message.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"postrider/internal/config"
	"postrider/internal/maillog"
	"postrider/internal/rights"
	"postrider/internal/sibling"
	"postrider/internal/status"
	"postrider/queue"
)

// version is set when the program is built.
var version = "devel"

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }

// run is main with its surroundings passed in; it returns a sysexits status.
func run(argv []string, in io.Reader, out, errw io.Writer) int {
	p := &program{in: in, out: out, err: errw, now: time.Now, sibling: sibling.Path}
	return p.run(argv)
}

// program is one run of mailq.
type program struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	sibling  func(name string) (path string, err error)

	classic classic // options in Sendmail's form
	status  int     // of what went wrong while the work went on; the first counts
}

func (p *program) run(argv []string) int {
	words, err := p.classic.take(argv)
	if err == nil {
		err = p.cli().Run(words)
	}
	p.fail(err)
	return p.status
}

// complain says what is wrong with a message, or with the whole, and remembers the exit status.
func (p *program) complain(exit int, format string, args ...any) {
	fmt.Fprintf(p.err, "mailq: "+format+"\n", args...)
	if p.status == status.ExitOK {
		p.status = exit
	}
}

// fail reports an error.
func (p *program) fail(err error) {
	if err == nil {
		return
	}
	var code exitStatus
	if errors.As(err, &code) {
		p.status = int(code)
		return
	}
	if errors.Is(err, fs.ErrPermission) {
		err = status.Fail("mailq", status.ExitNoPerm, "only the owner of the mail queue may do that", err)
	}
	s := status.From(err)
	p.complain(s.Exit(), "%s", status.Clean(s.Error(), 2*status.MaxText))
}

// exitStatus ends the program with the status of another, which has said what was to be said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usage is an error in the command line.
func usage(format string, args ...any) error {
	return status.Fail("mailq", status.ExitUsage, fmt.Sprintf(format, args...), nil)
}

func (p *program) cli() *cli.App {
	return &cli.App{
		Name:                      "mailq",
		Usage:                     "list the mail queue and manage it",
		Flags:                     append(settingFlags(), listFlags()...),
		Commands:                  p.commands(),
		Action:                    p.list,
		Reader:                    p.in,
		Writer:                    p.out,
		ErrWriter:                 p.err,
		HideVersion:               true,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		OnUsageError:              onUsageError,
		ExitErrHandler:            func(*cli.Context, error) {}, // run decides
	}
}

func (p *program) commands() []*cli.Command {
	const which = "ID... | ALL | -"
	list := []*cli.Command{
		{Name: "show", Usage: "tell all about messages", ArgsUsage: "ID...", Flags: showFlags(), Action: p.show},
		{Name: "hold", Usage: "keep messages from being tried", ArgsUsage: which, Action: p.change(p.hold),
			Flags: append(selectFlags(), &cli.StringFlag{Name: "reason", Usage: "why, for listings: `TEXT`"})},
		{Name: "release", Usage: "let messages go that are held", ArgsUsage: which, Flags: selectFlags(), Action: p.change(p.release)},
		{Name: "requeue", Usage: "make messages due at once, held or not", ArgsUsage: which, Flags: selectFlags(), Action: p.change(p.requeue)},
		{Name: "rm", Usage: "remove messages for good", ArgsUsage: which, Flags: selectFlags(), Action: p.change(p.remove)},
		{Name: "flush", Usage: "try to deliver now", ArgsUsage: "[ID...]", Action: p.flush,
			Flags: []cli.Flag{&cli.BoolFlag{Name: "wait", Usage: "wait for the end of it"}}},
		{Name: "summary", Usage: "count recipients by next hop and age", ArgsUsage: " ", Action: p.summary,
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: "domain", Usage: "count by the recipients' domains"},
				&cli.BoolFlag{Name: "json", Usage: "an object for each row"},
			}},
	}
	for _, c := range list {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		c.Flags = append(c.Flags, settingFlags()...)
		c.Before = p.noListing
	}
	return list
}

// settingFlags may stand before or after a command's name.
func settingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"C"}, Usage: "use the configuration in `FILE`"},
		&cli.StringFlag{Name: "spool", Usage: "use the queue in `DIR`"},
	}
}

// setting is the value of one of settingFlags, of the innermost level that has it.
func setting(c *cli.Context, name string) string {
	for _, level := range c.Lineage() {
		if level.IsSet(name) {
			return level.String(name)
		}
	}
	return ""
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return usage("%v", err) }

// noListing refuses the options of a listing before a command: "mailq --sender a rm ALL" must not remove all.
func (p *program) noListing(c *cli.Context) error {
	outer := c.Lineage()[1]
	for _, f := range listFlags() {
		if name := f.Names()[0]; outer.IsSet(name) {
			return usage("--%s is for listings; the options of %s stand behind it", name, c.Command.Name)
		}
	}
	if len(p.classic.filters) > 0 || p.classic.states != 0 {
		return usage("-q is for listings; the options of %s stand behind it", c.Command.Name)
	}
	return nil
}

// load reads the configuration that the command line names, or else that of the system.
func (p *program) load(c *cli.Context) (config.Config, error) {
	override := setting(c, "config")
	if override == "" {
		override = p.classic.config
	}
	path, err := config.Locate(os.Getenv, override)
	if err != nil {
		return config.Config{}, err
	}
	cfg, err := config.Load(path)
	if dir := setting(c, "spool"); dir != "" {
		cfg.Spool = dir
	}
	return cfg, err
}

// open opens the queue, which need not exist: whoever has never sent mail has none.
func (p *program) open(c *cli.Context) (*queue.Spool, config.Config, error) {
	cfg, err := p.load(c)
	if err != nil {
		return nil, cfg, err
	}
	if _, err := os.Stat(cfg.Spool); err == nil { // what root writes there would be nobody's to change
		if err := rights.BecomeOwner(cfg); err != nil {
			return nil, cfg, err
		}
	}
	s, err := queue.Open(cfg.Spool, queue.Options{NoCreate: true, Now: p.now})
	return s, cfg, err
}

// openLog opens the log for what is changed. That it cannot be opened is said, and is no reason not to act.
func (p *program) openLog(cfg config.Config) *maillog.Logger {
	log, err := maillog.Open("mailq", cfg.Log, p.now)
	if err != nil {
		fmt.Fprintf(p.err, "mailq: nothing is logged: %v\n", err)
	}
	return log
}

// oneLine makes text of outside origin fit for a terminal.
func oneLine(s string) string { return status.Clean(strings.TrimRight(s, "\r\n"), 2*status.MaxText) }
