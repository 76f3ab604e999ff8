package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/internal/config"
	"postrider/internal/drop"
	"postrider/internal/status"
)

// host is the machine of a system installation. What is not a test's is the real one.
type host struct {
	etc      string // "/etc"
	config   string // the configuration
	settings string // of drop
	root     int    // the user to whom the system's files belong
	systemd  string // a directory that is there while systemd runs
	run      func(name string, args ...string) error
	have     func(name string) bool // there is such a program
}

func thisHost() host {
	return host{
		etc: "/etc", config: config.SystemPath, settings: drop.SettingsPath, systemd: "/run/systemd/system",
		run: func(name string, args ...string) error {
			out, err := exec.Command(name, args...).CombinedOutput()
			if text := strings.TrimSpace(string(out)); err != nil && text != "" {
				err = fmt.Errorf("%w: %s", err, status.Clean(text, status.MaxText))
			}
			return err
		},
		have: func(name string) bool { _, err := exec.LookPath(name); return err == nil },
	}
}

// step is one thing that a system installation needs. look tells what is to be done about it, "" when nothing is.
type step struct {
	look func() (string, error)
	do   func() error
}

// installer makes or undoes a system installation.
type installer struct {
	*app
	conf     config.Config
	uid, gid int // the mail user's, once that is there
}

// system makes the installation of a system: a user for the mail, directories, modes, units. Each change is printed before
// it is made, and what is as it should be is left alone, so that it may be repeated.
func (a *app) setupSystem(c *cli.Context) error {
	for _, name := range configuring {
		if c.IsSet(name) {
			return usage("setup: --system and --%s exclude each other: run setup once more for that", name)
		}
	}
	dry := c.Bool("dry-run")
	if a.uid != 0 && !dry {
		return status.Fail("postrider.setup", status.ExitNoPerm, "only root can set the system up; --dry-run tells what would be done", nil)
	}
	path := a.host.config
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		path = ""
	}
	conf, err := config.Load(path)
	if err != nil {
		return err
	}
	if path == "" {
		conf = systemDefault()
	}
	in := &installer{app: a, conf: conf, uid: -1, gid: -1}
	steps := []step{in.group(), in.user(), in.configuration(), in.dropSettings(), in.aliases(), in.spool(), in.dropProgram(), in.units()}
	if c.Bool("remove") {
		steps = []step{in.dropOff(), in.unitsOff()}
	}
	alone := c.Bool("without-units")
	if alone {
		steps = steps[:len(steps)-1]
	}
	if err := in.carryOut(steps, dry); err != nil {
		return err
	}
	switch {
	case c.Bool("remove"):
		fmt.Fprintf(in.out, "the spool %s, the user %s and the configuration stay: remove them when no mail is left\n", in.conf.Spool, in.conf.Smtpd.User)
	case !alone && !in.underSystemd():
		fmt.Fprintln(in.out, "systemd does not run here: have \"postrider run\" started at boot")
	}
	return nil
}

// configuring are the options of setup that change the configuration.
var configuring = []string{"smarthost", "user", "password-file", "password-command", "password-stdin", "origin", "root", "to", "no-test"}

// systemDefault is what holds where a system has no configuration yet.
func systemDefault() config.Config {
	conf := config.Default()
	conf.User = false
	return conf
}

// carryOut takes the steps in turn.
func (in *installer) carryOut(steps []step, dry bool) error {
	changes := 0
	for _, s := range steps {
		what, err := s.look()
		if err != nil {
			return err
		}
		if what == "" {
			continue
		}
		changes++
		if dry {
			fmt.Fprintf(in.out, "would %s\n", what)
			continue
		}
		fmt.Fprintln(in.out, what)
		if err := s.do(); err != nil {
			return status.Fail("postrider.setup", status.ExitOSErr, "could not do that", err)
		}
	}
	if changes == 0 {
		fmt.Fprintln(in.out, "nothing to do")
	}
	return nil
}

func (in *installer) underSystemd() bool {
	_, err := os.Stat(in.host.systemd)
	return err == nil
}

// entry is the fields of a line of passwd(5) or group(5), nil when there is none.
func (in *installer) entry(file, name string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(in.host.etc, file))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), ":"); f[0] == name && len(f) > 3 {
			return f, nil
		}
	}
	return nil, nil
}

// number is one of the fields of an entry.
func number(fields []string, i int) (int, error) {
	n, err := strconv.Atoi(fields[i])
	if err != nil || n <= 0 {
		return -1, fmt.Errorf("%s has a number that cannot be: %q", fields[0], fields[i])
	}
	return n, nil
}
