package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"postrider/compat"
	"postrider/internal/sibling"
	"postrider/internal/status"
)

// silent is an outcome about which nothing is to be said any more.
type silent struct{ exit int }

func (s silent) Error() string { return fmt.Sprintf("exit status %d", s.exit) }

func unavailable(name string, err error) error {
	return status.Fail("sendmail", status.ExitUnavailable, "cannot start "+name, err)
}

// exec becomes another program; it returns only when that fails.
func (p *program) exec(name string, args ...string) error {
	path, err := sibling.Path(name)
	if err != nil {
		return unavailable(name, err)
	}
	err = syscall.Exec(path, append([]string{path}, args...), os.Environ())
	return unavailable(name, err)
}

// start starts another program that outlives us. It has a session of its own and no descriptor of ours or our
// caller's.
func (p *program) start(name string, args ...string) error {
	path, err := sibling.Path(name)
	if err != nil {
		return unavailable(name, err)
	}
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return unavailable(name, err)
	}
	defer syscall.Close(null)
	catch()
	sibling.CloseOnExec()
	fd := uintptr(null)
	// Package os would fork once more, to find out how to wait for a program; nobody waits for this one.
	_, err = syscall.ForkExec(path, append([]string{path}, args...), &syscall.ProcAttr{
		Dir:   "/",
		Env:   os.Environ(),
		Files: []uintptr{fd, fd, fd},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return unavailable(name, err)
	}
	return nil
}

// wait runs another program to its end, and passes on to it the signals that would end us.
func (p *program) wait(name string, args ...string) error {
	path, err := sibling.Path(name)
	if err != nil {
		return unavailable(name, err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = p.out, p.err
	signals := catch()
	if err := cmd.Start(); err != nil {
		return unavailable(name, err)
	}
	go relay(signals, cmd.Process)
	err = cmd.Wait()
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() >= 0 {
		return exit(failed.ExitCode())
	}
	if err != nil {
		return unavailable(name, err)
	}
	return nil
}

// settings are the options that make another program work with our configuration and spool, in whatever directory.
func (p *program) settings() []string {
	var args []string
	env := os.Getenv("POSTRIDER_CONFIG")
	switch {
	case p.inv.ConfigFile != "":
		args = append(args, "--config", p.cfg.Path, "--confined")
	case env != "" && !filepath.IsAbs(env):
		args = append(args, "--config", p.cfg.Path)
	}
	if p.inv.QueueDir != "" {
		args = append(args, "--spool", p.cfg.Spool)
	}
	return args
}

// serverModes are the options that make smtpd do what a mode asks for.
var serverModes = map[compat.Mode]string{
	compat.SMTP:             "--stdio",
	compat.BatchSMTP:        "--batch",
	compat.Daemon:           "--daemon",
	compat.DaemonForeground: "--foreground",
}

// serve becomes the SMTP server, with our configuration and spool. A daemon with an interval also gets a queue runner.
func (p *program) serve() (err error) {
	if p.cfg, err = p.configure(); err != nil {
		return err
	}
	args := append([]string{serverModes[p.inv.Mode]}, p.settings()...)
	if p.inv.Mode == compat.SMTP || p.inv.Mode == compat.BatchSMTP {
		return p.exec("smtpd", args...)
	}
	if err := p.mayServe(); err != nil {
		return err
	}
	if _, err := sibling.Path("smtpd"); err != nil {
		return unavailable("smtpd", err)
	}
	if r := p.inv.QueueRun; r.Set && r.Interval > 0 {
		if err := p.start("queuerun", p.interval()...); err != nil {
			return err
		}
	}
	if p.inv.Loopback {
		args = append(args, "--loopback")
	}
	if p.inv.Delivery == compat.QueueOnly {
		args = append(args, "--queue-only")
	}
	return p.exec("smtpd", args...)
}

// mayServe tells whether the caller may be the daemon of this spool.
func (p *program) mayServe() error {
	var st syscall.Stat_t
	err := syscall.Stat(p.cfg.Spool, &st)
	if os.Geteuid() == 0 || err == nil && int(st.Uid) == os.Geteuid() || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return status.Fail("sendmail", status.ExitNoPerm, "only root and the owner of the queue may start the mail server", nil)
}

// interval are the options of a queue daemon.
func (p *program) interval() []string {
	return append(p.settings(), "--daemon", "--interval", p.inv.QueueRun.Interval.Round(time.Second).String())
}

// queueRun starts the queue run that -q asks for.
func (p *program) queueRun() error {
	r := p.inv.QueueRun
	args := p.settings()
	if r.Interval > 0 {
		args = p.interval()
		if r.Foreground {
			return p.exec("queuerun", args...)
		}
		return p.start("queuerun", args...)
	}
	if r.Lost {
		return status.Fail("sendmail", status.ExitUnavailable, "damaged queue files are never run; \"sendmail -bp -qL\" lists them", nil)
	}
	args = append(args, "--all")
	if r.Quarantined {
		args = append(args, "--held")
	}
	for _, f := range r.Filters {
		args = append(args, filterArg(f)...)
	}
	if p.inv.Verbose {
		args = append(args, "--verbose")
	}
	if r.Foreground {
		return p.wait("queuerun", args...)
	}
	return p.start("queuerun", args...)
}

func filterArg(f compat.QueueFilter) []string {
	names := map[byte]string{'I': "--filter-id", 'R': "--filter-recipient", 'S': "--filter-sender", 'Q': "--filter-reason"}
	value := f.Substr
	if f.Negate {
		value = "!" + value
	}
	return []string{names[f.Field] + "=" + value}
}
