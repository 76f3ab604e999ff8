package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/status"
)

func setupFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "smarthost", Usage: "send all mail that is not local to `HOST`, HOST:PORT or URL; \"none\": straight to the recipients' hosts"},
		&cli.StringFlag{Name: "user", Usage: "log in to the smarthost as `NAME`"},
		&cli.StringFlag{Name: "password-file", Usage: "the first line of `FILE` is the password"},
		&cli.StringFlag{Name: "password-command", Usage: "the first line that `COMMAND` prints is the password"},
		&cli.BoolFlag{Name: "password-stdin", Usage: "read the password from standard input and keep it beside the configuration"},
		&cli.StringFlag{Name: "origin", Usage: "complete addresses without a domain with `DOMAIN`"},
		&cli.StringFlag{Name: "root", Usage: "send mail for root to `ADDRESS`; \"none\": leave it in root's mailbox"},
		&cli.StringFlag{Name: "to", Usage: "send the test message to `ADDRESS`"},
		&cli.BoolFlag{Name: "no-test", Usage: "send no test message"},
		&cli.BoolFlag{Name: "system", Usage: "make the installation of a system: user, directories, modes, units"},
		&cli.BoolFlag{Name: "dry-run", Usage: "with --system, say what would be done"},
		&cli.BoolFlag{Name: "without-units", Usage: "with --system, leave systemd to others, such as a package"},
		&cli.BoolFlag{Name: "remove", Usage: "with --system, undo what can be undone without losing mail"},
	}
}

// plan is what a setup is going to do.
type plan struct {
	path     string        // the configuration's
	old      config.Config // what holds now
	settings []setting
	secret   string // the password to keep in secretPath; "" for none
	to       string // recipient of the test message; "" sends none
}

func (p *plan) set(table, key, value string) {
	p.settings = append(p.settings, setting{table, key, value})
}

// secretPath is where setup keeps the smarthost's password.
func (p *plan) secretPath() string { return filepath.Join(filepath.Dir(p.path), "smarthost.secret") }

// setup writes the configuration and sends a test message.
func (a *app) setup(c *cli.Context) error {
	switch {
	case c.Bool("system"):
		return a.setupSystem(c)
	case c.Bool("dry-run"), c.Bool("remove"), c.Bool("without-units"):
		return usage("setup: --dry-run, --without-units and --remove are for --system")
	}
	p, err := a.begin(c)
	if err != nil {
		return err
	}
	given := false
	for _, name := range configuring {
		given = given || c.IsSet(name)
	}
	switch {
	case given:
		err = a.fromFlags(c, p)
	case a.terminal:
		err = a.ask(p)
	default:
		err = usage("setup: nothing to set: give --smarthost, --origin or --root, or run it on a terminal")
	}
	if err == nil && p.to != "" {
		err = checkRecipient(p.to)
	}
	if err != nil {
		return err
	}
	conf, err := a.write(p)
	if err != nil {
		return err
	}
	if p.to == "" {
		return nil
	}
	return a.test(conf, p)
}

// checkRecipient refuses what sendmail would, before anything has changed.
func checkRecipient(to string) error {
	if _, err := address.Parse(to); err != nil {
		return usage("setup: test message to %s: %v", to, err)
	}
	return nil
}

// begin finds out which configuration is meant and what it says.
func (a *app) begin(c *cli.Context) (*plan, error) {
	path, err := config.Locate(a.getenv, configOverride(c))
	if err == nil && path == "" {
		path = config.SystemPath
		if a.uid != 0 {
			path, err = config.UserPath(a.getenv)
		}
	}
	if err != nil {
		return nil, err
	}
	existing := path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		existing = ""
	}
	old, err := config.Load(existing)
	return &plan{path: path, old: old}, err
}

// fromFlags makes the plan that the command line describes.
func (a *app) fromFlags(c *cli.Context, p *plan) error {
	if err := a.smarthostFlags(c, p); err != nil {
		return err
	}
	if c.IsSet("origin") {
		p.set("", "origin", c.String("origin"))
	}
	if c.IsSet("root") {
		p.set("local", "root", unlessNone(c.String("root")))
	}
	if c.IsSet("to") && c.Bool("no-test") {
		return usage("setup: --to and --no-test exclude each other")
	}
	if !c.Bool("no-test") {
		p.to = c.String("to")
		if p.to == "" {
			return a.defaultRecipient(p)
		}
	}
	return nil
}

func unlessNone(s string) string {
	if s == "none" {
		return ""
	}
	return s
}

// defaultRecipient sends the test message to whoever gets root's mail, and else to the caller.
func (a *app) defaultRecipient(p *plan) error {
	p.to = p.old.Local.Root
	for _, s := range p.settings {
		if s.name() == "local.root" {
			p.to = s.value
		}
	}
	if p.to != "" {
		return nil
	}
	caller, err := a.users.Caller()
	p.to = caller.Name + "@localhost"
	return err
}

// smarthostFlags plans the smarthost and how to log in to it.
func (a *app) smarthostFlags(c *cli.Context, p *plan) error {
	sources := 0
	for _, name := range []string{"password-file", "password-command", "password-stdin"} {
		if c.IsSet(name) {
			sources++
		}
	}
	if sources > 1 {
		return usage("setup: give one of --password-file, --password-command and --password-stdin")
	}
	if !c.IsSet("smarthost") && !c.IsSet("user") && sources == 0 {
		return nil
	}
	t, err := p.target(c.String("smarthost"), c.IsSet("smarthost"), c.String("user"), c.IsSet("user"))
	if err != nil {
		return err
	}
	if t.User == "" && sources > 0 {
		return usage("setup: a password needs a user and a smarthost: give --user")
	}
	p.set("smarthost", "url", smarthostURL(t))
	switch {
	case t.User == "":
		p.password("", "")
	case c.IsSet("password-file"):
		path, err := filepath.Abs(c.String("password-file"))
		p.password(path, "")
		return err
	case c.IsSet("password-command"):
		p.password("", c.String("password-command"))
	case c.Bool("password-stdin"):
		line, err := readLine(bufio.NewReader(a.in))
		if err != nil || line == "" {
			return status.Fail("postrider.setup", status.ExitNoInput, "no password on standard input", err)
		}
		p.keep(line)
	default:
		return a.askPassword(p, t.User)
	}
	return nil
}

// password plans where the password comes from.
func (p *plan) password(file, command string) {
	p.set("smarthost", "password_file", file)
	p.set("smarthost", "password_command", command)
}

// keep plans to keep the password in a file of our own.
func (p *plan) keep(password string) {
	p.secret = password
	p.password(p.secretPath(), "")
}

// target is the smarthost of the plan: what is not given stays as it is.
func (p *plan) target(host string, hostGiven bool, user string, userGiven bool) (config.SmarthostTarget, error) {
	t, ok, err := p.old.Smarthost.Target()
	if err != nil {
		return t, err
	}
	if hostGiven {
		if t, ok, err = parseSmarthost(host, user != ""); err != nil {
			return t, err
		}
	}
	if !ok && (userGiven || !hostGiven) {
		return t, usage("setup: a user or a password needs a smarthost: give --smarthost")
	}
	if userGiven {
		t.User = user
	}
	return t, nil
}

// parseSmarthost reads what a person calls a smarthost: a URL, or a host with or without a port.
func parseSmarthost(s string, login bool) (config.SmarthostTarget, bool, error) {
	if s = unlessNone(s); s != "" && !strings.Contains(s, ":/") {
		scheme := "smtp"
		switch {
		case strings.HasSuffix(s, ":465"):
			scheme = "submissions"
		case strings.HasSuffix(s, ":587"), login && !strings.HasSuffix(s, ":25"):
			scheme = "submission"
		}
		s = scheme + "://" + s
	}
	t, ok, err := config.Smarthost{URL: s}.Target()
	if err != nil {
		return t, false, usage("setup: smarthost: %v", err)
	}
	return t, ok, nil
}

// smarthostURL is the URL of t; "" for none.
func smarthostURL(t config.SmarthostTarget) string {
	switch {
	case t.Scheme == "":
		return ""
	case t.Socket != "":
		return t.Scheme + ":" + t.Socket
	}
	host := t.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	user := ""
	if t.User != "" {
		user = strings.NewReplacer("%", "%25", ":", "%3A", "/", "%2F").Replace(t.User) + "@"
	}
	return t.Scheme + "://" + user + host + ":" + t.Port
}

// readLine is a line without its end. A last line may lack it.
func readLine(r *bufio.Reader) (string, error) {
	const most = 4096
	var line []byte
	for len(line) < most {
		b, err := r.ReadByte()
		if err == io.EOF && len(line) > 0 || b == '\n' {
			break
		}
		if err != nil {
			return "", err
		}
		line = append(line, b)
	}
	return strings.TrimSuffix(string(line), "\r"), nil
}

// write carries the plan out, as far as files go, and returns the configuration as it is then. Nothing has
// changed after an error about the settings.
func (a *app) write(p *plan) (config.Config, error) {
	if len(p.settings) == 0 {
		return p.old, nil
	}
	text, err := readConfig(p.path)
	if err != nil {
		return p.old, cannot("read", p.path, err)
	}
	mode, dirMode := fs.FileMode(0o600), fs.FileMode(0o700)
	if p.system() {
		mode, dirMode = 0o644, 0o755 // every submitter reads it; it holds no secret
	}
	if err := os.MkdirAll(filepath.Dir(p.path), dirMode); err != nil {
		return p.old, cannot("create", filepath.Dir(p.path), err)
	}
	if info, err := os.Stat(p.path); err == nil {
		mode = info.Mode().Perm()
	} else {
		text = "# The configuration of postrider: see postrider.toml(5).\n"
	}
	conf, text, err := p.edited(text)
	if err != nil {
		return p.old, err
	}
	if p.secret != "" {
		if err := a.writeSecret(p); err != nil {
			return p.old, err
		}
	}
	if err := writeFile(p.path, text, mode); err != nil {
		return p.old, cannot("write", p.path, err)
	}
	a.report(p)
	return conf, nil
}

// system tells whether the plan is for the configuration of the system.
func (p *plan) system() bool { return filepath.Dir(p.path) == filepath.Dir(config.SystemPath) }

// edited puts the settings into text, and makes sure that they and nothing else have changed what it means.
func (p *plan) edited(text string) (conf config.Config, after string, err error) {
	want, err := loadText(p.path, text)
	if err != nil {
		return conf, "", err
	}
	after = edit(text, p.settings)
	if conf, err = loadText(p.path, after); err != nil {
		if _, alone := loadText(p.path, edit("", p.settings)); alone == nil {
			err = p.byHand() // nothing is wrong with the settings themselves
		}
		return conf, "", err
	}
	for _, s := range p.settings {
		apply(&want, s)
	}
	if want.Origin == "" {
		want.Origin = conf.Origin // the default, which the system knows
	}
	if !reflect.DeepEqual(want, conf) {
		return conf, "", p.byHand()
	}
	return conf, after, nil
}

// byHand is the error of a file that lines cannot be put into.
func (p *plan) byHand() error {
	var names []string
	for _, s := range p.settings {
		names = append(names, s.name())
	}
	return status.Fail("postrider.setup", status.ExitConfig, "cannot change "+p.path+" without disturbing what else it says: set "+
		strings.Join(names, ", ")+" by hand", nil)
}

// apply is what a setting does to a configuration.
func apply(conf *config.Config, s setting) {
	switch s.name() {
	case "origin":
		conf.Origin = s.value
	case "local.root":
		conf.Local.Root = s.value
	case "smarthost.url":
		conf.Smarthost.URL = s.value
	case "smarthost.password_file":
		conf.Smarthost.PasswordFile = s.value
	case "smarthost.password_command":
		conf.Smarthost.PasswordCommand = s.value
	}
}

// writeSecret keeps the password where the mail system can read it, and nobody else.
func (a *app) writeSecret(p *plan) error {
	if err := writeFile(p.secretPath(), p.secret+"\n", 0o600); err != nil {
		return cannot("write", p.secretPath(), err)
	}
	if !p.system() {
		return nil
	}
	if user, ok, err := a.users.Lookup("postrider"); ok && err == nil {
		if err := a.chown(p.secretPath(), user.UID); err != nil {
			return cannot("give to user postrider", p.secretPath(), err)
		}
	}
	return nil
}

func (a *app) report(p *plan) {
	fmt.Fprintf(a.out, "wrote %s\n", p.path)
	for _, s := range p.settings {
		if s.value != "" {
			fmt.Fprintf(a.out, "  %s = %q\n", s.name(), s.value)
		}
	}
	if p.secret != "" {
		fmt.Fprintf(a.out, "wrote %s (mode 0600)\n", p.secretPath())
	}
}
