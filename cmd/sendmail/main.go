// Sendmail accepts messages from programs and people, as /usr/sbin/sendmail does everywhere: it reads a message
// from standard input, puts it into the spool, and has it delivered by its sibling program queuerun. By other
// names and options it lists the queue and starts the programs that do the rest.
//
// It starts for every message that a script sends, so neither TLS, nor the net package, nor a command line
// library is linked in. See sendmail(8).
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"postrider/compat"
	"postrider/internal/config"
	"postrider/internal/maillog"
	"postrider/internal/status"
	"postrider/queue"
)

// version is set when the program is built.
var version = "devel"

func main() {
	// There is one thing to do at a time. A second processor would only be woken to look for more, which costs a
	// twentieth of a submission.
	runtime.GOMAXPROCS(1)
	syscall.Umask(0o022) // our files have the modes that we give them: the spool must be of use the next time, too
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings passed in; it returns a sysexits status.
func run(argv []string, in *os.File, out, errw io.Writer) int {
	inv, err := compat.Parse(argv)
	p := &program{in: in, out: out, err: errw, name: "sendmail"}
	if err != nil {
		return p.fail(err)
	}
	p.inv = inv
	if inv.CRLF {
		p.out, p.err = crlf{out}, crlf{errw}
	}
	if p.accepts() {
		signal.Ignore(syscall.SIGPIPE) // that nobody reads our words is no reason to lose a message
	}
	if inv.ErrorMode != 'q' {
		for _, w := range inv.Warnings {
			p.say("%s", w)
		}
	}
	return p.fail(p.act())
}

// program is one run of sendmail.
type program struct {
	inv  *compat.Invocation
	cfg  config.Config
	log  *maillog.Logger
	in   *os.File
	out  io.Writer
	err  io.Writer
	name string

	// Where a message goes: the server, or else the spool, or else nowhere.
	server *server
	spool  *queue.Spool
	closed error
}

// accepts tells whether a message is to be read.
func (p *program) accepts() bool { return p.inv.Mode == compat.Deliver || p.inv.Mode == compat.Rmail }

// crlf ends lines as the network does.
type crlf struct{ io.Writer }

func (w crlf) Write(p []byte) (int, error) {
	if _, err := w.Writer.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// say prints a line for whoever called us.
func (p *program) say(format string, args ...any) {
	fmt.Fprintf(p.err, p.name+": "+format+"\n", args...)
}

// fail reports an error and returns its exit status; a nil error and a silent one print nothing.
func (p *program) fail(err error) int {
	var quiet silent
	switch {
	case err == nil:
		return status.ExitOK
	case errors.As(err, &quiet):
		return quiet.exit
	}
	st := status.From(err)
	p.say("%s", status.Clean(st.Error(), 2*status.MaxText))
	return st.Exit()
}

// exit is an exit status that needs no words: a program that we started has said them.
func exit(n int) error {
	if n == 0 {
		return nil
	}
	return silent{n}
}

// act does what the command line asks for.
func (p *program) act() error {
	switch p.inv.Mode {
	case compat.Help:
		_, err := io.WriteString(p.out, compat.Usage())
		return err
	case compat.Version:
		_, err := fmt.Fprintf(p.out, "postrider sendmail %s\n", version)
		return err
	case compat.Verify, compat.AddressTest:
		return p.verify()
	case compat.Newaliases:
		return p.newaliases()
	case compat.SMTP, compat.BatchSMTP, compat.Daemon, compat.DaemonForeground:
		return p.serve()
	}
	return p.work()
}

// work does what needs the configuration.
func (p *program) work() (err error) {
	if p.cfg, err = p.configure(); err != nil {
		return err
	}
	if p.inv.Debug != "" {
		fmt.Fprintf(p.out, "postrider sendmail %s, configuration %q, spool %q\n", version, p.cfg.Path, p.cfg.Spool)
		for _, option := range p.inv.Ignored {
			fmt.Fprintf(p.out, "ignored %s\n", option)
		}
	}
	switch p.inv.Mode {
	case compat.CheckConfig:
		return nil
	case compat.QueueRun:
		if p.inv.Quarantine == nil {
			return p.queueRun()
		}
	}
	looking := []compat.Mode{compat.ListQueue, compat.CountQueue, compat.HostStatus, compat.PurgeHostStatus}
	if p.accepts() {
		return p.deliver()
	}
	spool, err := queue.Open(p.cfg.Spool, queue.Options{NoCreate: slices.Contains(looking, p.inv.Mode)})
	if err != nil {
		return err
	}
	switch p.inv.Mode {
	case compat.ListQueue:
		return p.list(spool)
	case compat.CountQueue:
		return p.count(spool)
	case compat.HostStatus:
		return p.hostStatus(spool)
	case compat.PurgeHostStatus:
		return spool.ClearHosts()
	}
	return p.quarantine(spool)
}

// configure loads the configuration. What -C names is data of whoever wrote our command line, so it may not make
// us run a command or write a file outside the spool: see Config.Confined.
func (p *program) configure() (config.Config, error) {
	path, err := config.Locate(os.Getenv, p.inv.ConfigFile)
	if err != nil {
		return config.Config{}, err
	}
	cfg, err := config.Load(path)
	if err != nil {
		return cfg, err
	}
	if p.inv.ConfigFile != "" {
		if err := cfg.Confined(); err != nil {
			return cfg, err
		}
	}
	if p.inv.QueueDir != "" {
		cfg.Spool, err = filepath.Abs(p.inv.QueueDir)
	}
	return cfg, err
}

// openLog opens the log. Standard error belongs to our caller, who takes any word there for trouble, so a log that
// would go there goes nowhere; a log that cannot be opened is no reason to refuse mail.
func (p *program) openLog() {
	if p.log != nil || p.cfg.Log == "stderr" || p.cfg.Log == "json" {
		return
	}
	log, err := maillog.Open(p.name, p.cfg.Log, nil)
	if err == nil {
		p.log = log
	}
}
