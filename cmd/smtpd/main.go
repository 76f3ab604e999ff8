// Command smtpd takes mail from the network, from programs and from the users of this machine, by SMTP and LMTP. See
// smtpd(8).
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/urfave/cli/v2"

	"postrider/internal/auth"
	"postrider/internal/config"
	"postrider/internal/maillog"
	"postrider/internal/status"
)

// version is set when the program is built.
var version = "devel"

func main() {
	// A session that waits for the disk keeps its processor until the runtime notices. With as many as there are, two such
	// sessions stop all others for a moment; with more, messages are accepted a sixth faster.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(4, 2*runtime.NumCPU()))
	}
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// exitStatus ends the program with a status when everything has been said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// run is main with its surroundings passed in; it returns a sysexits status.
func run(argv []string, in, out *os.File, errw io.Writer, getenv func(string) string) int {
	p := &program{in: in, out: out, err: errw, getenv: getenv}
	err := p.cli().Run(argv)
	var code exitStatus
	if err == nil {
		return status.ExitOK
	}
	if errors.As(err, &code) {
		return int(code)
	}
	s := status.From(err)
	fmt.Fprintf(errw, "smtpd: %s\n", status.Clean(s.Error(), 2*status.MaxText))
	return s.Exit()
}

// program is one call of smtpd.
type program struct {
	in, out *os.File
	err     io.Writer
	getenv  func(string) string
	opts    options
	log     *maillog.Logger
	pairs   kept[config.TLS, tls.Certificate] // certificates with their keys, as read last
	pools   kept[string, *x509.CertPool]      // authorities by their files
	logins  kept[login, *auth.Authenticator]  // those who know passwords
}

func (p *program) cli() *cli.App {
	return &cli.App{
		Name:                      "smtpd",
		Usage:                     "take mail by SMTP and LMTP",
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
	return status.Fail("smtpd", status.ExitUsage, fmt.Sprintf(format, args...), nil)
}

func (p *program) action(c *cli.Context) (err error) {
	if p.opts, err = readOptions(c); err != nil {
		return err
	}
	// Whoever reads what we write may go away; that must not end us between a commit and its 250.
	signal.Ignore(syscall.SIGPIPE)
	syscall.Umask(0o077)
	if err = enough(); err != nil {
		return err
	}
	switch p.opts.mode {
	case modeStdio, modeBatch:
		return p.stdio()
	case modeInetd:
		return p.inetd()
	}
	conf, err := p.configure()
	switch {
	case p.opts.mode == modeCheck:
		return p.check(conf, err)
	case err != nil:
		return err
	case p.opts.mode == modeDaemon:
		return p.detach(conf)
	}
	return p.foreground(conf)
}

// configure loads the configuration. With --confined it is one that a stranger may have named.
func (p *program) configure() (config.Config, error) {
	path, err := config.Locate(p.getenv, p.opts.config)
	if err != nil {
		return config.Config{}, err
	}
	conf, err := config.Load(path)
	if err == nil && p.opts.confined {
		err = conf.Confined()
	}
	if p.opts.spool != "" {
		conf.Spool = p.opts.spool
	}
	return conf, err
}

// openLog opens the log. Sessions on standard input have a caller who takes any word on standard error for trouble; then
// a log that would go there goes nowhere.
func (p *program) openLog(conf config.Config, quiet bool) {
	if quiet && (conf.Log == "stderr" || conf.Log == "json") {
		return
	}
	log, err := maillog.Open("smtpd", conf.Log, nil)
	switch {
	case err == nil:
		p.log = log
	case !quiet: // no reason to refuse mail
		fmt.Fprintf(p.err, "smtpd: cannot log: %v\n", err)
	}
}
