// Command local is the delivery agent: it puts mail into the mailboxes of this machine's users, each as the user. See
// local(8).
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"postrider/internal/config"
	"postrider/internal/local/server"
	"postrider/internal/maillog"
	"postrider/internal/status"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == server.ChildArg { // before anything else: there is one for each user
		os.Exit(server.Child())
	}
	os.Exit(run(os.Args, os.Stdout, os.Stderr, os.Getenv))
}

// run is main with its surroundings passed in; it returns a sysexits status.
func run(argv []string, out, errw io.Writer, getenv func(string) string) int {
	p := &program{out: out, err: errw, getenv: getenv}
	err := p.cli().Run(argv)
	if err == nil {
		return status.ExitOK
	}
	s := status.From(err)
	fmt.Fprintf(errw, "local: %s\n", s)
	return s.Exit()
}

// program is one call of local.
type program struct {
	out, err io.Writer
	getenv   func(string) string
}

var flags = []cli.Flag{
	&cli.StringFlag{Name: "socket", Usage: "listen at `PATH`, instead of at local.socket"},
	&cli.IntFlag{Name: "fd", Usage: "listen at the socket that is open as descriptor `N`", Value: -1, DefaultText: "none"},
	&cli.StringFlag{Name: "config", Aliases: []string{"C"}, Usage: "use the configuration in `FILE`"},
}

func (p *program) cli() *cli.App {
	return &cli.App{
		Name:                      "local",
		Usage:                     "deliver mail to the users of this machine",
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
	return status.Fail("local", status.ExitUsage, fmt.Sprintf(format, args...), nil)
}

func (p *program) action(c *cli.Context) error {
	switch {
	case c.Args().Present():
		return usage("unexpected argument %q", status.Clean(c.Args().First(), 80))
	case c.IsSet("socket") && c.IsSet("fd"):
		return usage("--socket and --fd exclude each other")
	}
	path, err := config.Locate(p.getenv, c.String("config"))
	if err != nil {
		return err
	}
	conf, err := config.Load(path)
	if err != nil {
		return err
	}
	if conf.User && slices.Equal(conf.Aliases, config.Default().Aliases) {
		conf.Aliases = nil // the system's file is somebody else's
	}
	l, err := p.listen(c, conf)
	if err != nil {
		return err
	}
	// Whatever else we were given is not for our children.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) {
		return status.Fail("local", status.ExitOSErr, "cannot close descriptors", err)
	}
	log, err := maillog.Open("local", conf.Log, nil)
	if err != nil { // no reason to keep mail waiting
		fmt.Fprintf(p.err, "local: cannot log: %v\n", err)
	}
	defer log.Close()
	return serve(&server.Server{Config: conf, Accounts: server.SystemAccounts(), Log: log}, l)
}
