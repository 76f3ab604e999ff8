// Command queuerun delivers what waits in the spool: once, or as a daemon. See queuerun(8).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v2"

	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/maillog"
	"postrider/internal/queuerun"
	"postrider/internal/rights"
	"postrider/internal/route"
	"postrider/internal/sibling"
	"postrider/internal/status"
	"postrider/queue"
)

func main() {
	// A message to a list of 100,000 is the most that we ever hold: half as much garbage beside it costs no time that
	// could be measured.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	os.Exit(run(os.Args, os.Stdout, os.Stderr, os.Getenv))
}

// exitStatus ends the program with a status when everything has been said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// run is main with its surroundings passed in; it returns a sysexits status.
func run(argv []string, out, errw io.Writer, getenv func(string) string) int {
	p := &program{out: out, err: errw, getenv: getenv, geteuid: os.Geteuid, sibling: sibling.Path}
	err := p.cli().Run(argv)
	var code exitStatus
	if err == nil {
		return status.ExitOK
	}
	if errors.As(err, &code) {
		return int(code)
	}
	s := status.From(err)
	fmt.Fprintf(errw, "queuerun: %s\n", s)
	return s.Exit()
}

// program is one call of queuerun.
type program struct {
	out, err io.Writer
	getenv   func(string) string
	geteuid  func() int
	sibling  func(name string) (string, error) // where a program of ours is
}

func (p *program) cli() *cli.App {
	return &cli.App{
		Name:                      "queuerun",
		Usage:                     "deliver what waits in the mail queue",
		ArgsUsage:                 " ",
		Flags:                     flags,
		Action:                    p.action,
		Writer:                    p.out,
		ErrWriter:                 p.err,
		HideVersion:               true,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		OnUsageError:              func(_ *cli.Context, err error, _ bool) error { return usage("%v", err) },
		ExitErrHandler:            func(*cli.Context, error) {}, // run decides
	}
}

// usage is an error in the command line.
func usage(format string, args ...any) error {
	return status.Fail("queuerun", status.ExitUsage, fmt.Sprintf(format, args...), nil)
}

func (p *program) action(c *cli.Context) error {
	sel, err := selection(c)
	if err != nil {
		return err
	}
	cfg, err := p.configure(c)
	if err != nil {
		return err
	}
	var agent *deliveryAgent
	if c.Bool("daemon") {
		if agent, err = p.startAgent(cfg, c.Bool("foreground")); err != nil {
			return err
		}
	}
	if err := rights.BecomeOwner(cfg); err != nil {
		return err
	}
	spool, err := queue.Open(cfg.Spool, queue.Options{})
	if err != nil {
		return err
	}
	if c.Bool("daemon") && !c.Bool("foreground") {
		return p.detach(c, cfg, spool)
	}
	r, err := p.runner(c, cfg, spool)
	if err != nil {
		return err
	}
	defer r.Log.Close()
	// Whoever reads our output may go away; that must not end us between a peer's 250 and the record of it.
	signal.Ignore(syscall.SIGPIPE)
	if c.Bool("daemon") {
		return daemon(r, c.Duration("interval"), agent)
	}
	return p.once(c, r, sel)
}

// configure loads the configuration. With --confined it is one that a stranger may have named.
func (p *program) configure(c *cli.Context) (config.Config, error) {
	path, err := config.Locate(p.getenv, c.String("config"))
	if err != nil {
		return config.Config{}, err
	}
	cfg, err := config.Load(path)
	if err == nil && c.Bool("confined") {
		err = cfg.Confined()
	}
	if dir := c.String("spool"); dir != "" {
		cfg.Spool = dir
	}
	return cfg, err
}

func (p *program) runner(c *cli.Context, cfg config.Config, spool *queue.Spool) (*queuerun.Runner, error) {
	resolver, err := dns.System()
	if err != nil {
		return nil, err
	}
	router := route.New(cfg, resolver, route.SystemUsers())
	r := &queuerun.Runner{Spool: spool, Config: cfg, Router: router}
	router.Report(func(err error) { r.Log.Warning("", "queuerun: "+err.Error()) })
	if c.Bool("verbose") {
		r.Dialogue = p.out
	}
	// With --exit-status we work for a program whose standard error its own caller reads as trouble.
	if c.Bool("exit-status") && (cfg.Log == "stderr" || cfg.Log == "json") {
		return r, nil
	}
	r.Log, err = maillog.Open("queuerun", cfg.Log, nil)
	if err != nil { // no reason to keep mail waiting
		fmt.Fprintf(p.err, "queuerun: cannot log: %v\n", err)
	}
	return r, nil
}

// once makes one run. A signal that asks us to go ends it early and in order.
func (p *program) once(c *cli.Context, r *queuerun.Runner, sel queuerun.Selection) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	res, err := r.Run(ctx, sel)
	if err != nil {
		return status.Fail("queuerun", status.ExitTempFail, "cannot read the mail spool", err)
	}
	if c.Bool("exit-status") { // then a message that is gone is another run's
		if res.Exit != status.ExitOK {
			return exitStatus(res.Exit)
		}
		return nil
	}
	for _, id := range res.Missing {
		fmt.Fprintf(p.err, "queuerun: %s\n", missing(r.Spool, id))
	}
	if len(res.Missing) > 0 {
		return exitStatus(status.ExitUnavailable)
	}
	return nil
}

// missing says why a message that was asked for was not attempted.
func missing(s *queue.Spool, id queue.ID) string {
	e, err := s.Find(id)
	if err != nil || e.State != queue.Held {
		return string(id) + ": no such message in the queue"
	}
	reason := ""
	if m, err := s.Read(e); err == nil && m.History.HoldReason() != "" {
		reason = ": " + status.Clean(m.History.HoldReason(), status.MaxText)
	}
	return fmt.Sprintf("message %s is held%s; \"mailq release %s\" lets it go", id, reason, id)
}
