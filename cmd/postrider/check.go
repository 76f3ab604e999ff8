package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/local"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
)

// level is how bad a finding is.
type level string

const (
	ok   level = "ok"
	warn level = "warn"
	fail level = "fail"
)

// finding is one line of a check: what there is and, unless it is good, what to do.
type finding struct {
	level level
	what  string
	do    string
}

func good(format string, args ...any) finding { return finding{ok, fmt.Sprintf(format, args...), ""} }

func (f finding) String() string {
	what := status.Clean(f.what, 2*status.MaxText)
	if f.do == "" {
		return fmt.Sprintf("%s: %s", f.level, what)
	}
	return fmt.Sprintf("%s: %s — %s", f.level, what, f.do)
}

// checker looks at one configuration.
type checker struct {
	*app
	conf     config.Config
	resolver dns.Resolver
}

// check prints what is well and what is not. It fails when mail cannot be expected to go.
func (a *app) check(c *cli.Context) error {
	conf, err := a.load(c)
	if err != nil {
		fmt.Fprintln(a.out, finding{fail, status.From(err).Error(), "correct the configuration"})
		return exitStatus(status.ExitConfig)
	}
	resolver, err := a.resolver()
	if err != nil {
		fmt.Fprintln(a.out, finding{fail, err.Error(), "make it readable"})
		return exitStatus(status.ExitConfig)
	}
	failed := false
	k := &checker{a, conf, resolver}
	for _, look := range []func() []finding{k.configuration, k.programs, k.spool, k.privileges, k.log, k.names, k.tables, k.aliases, k.root, k.mailbox, k.smarthost, k.server} {
		for _, f := range look() {
			fmt.Fprintln(a.out, f)
			failed = failed || f.level == fail
		}
	}
	if failed {
		return exitStatus(status.ExitConfig)
	}
	return nil
}

func (k *checker) configuration() []finding {
	list := []finding{good("configuration: %s", source(k.conf))}
	for _, err := range k.conf.CheckFiles() {
		do := "give only the mail system access"
		what, hint, found := strings.Cut(err.Error(), "; run: ")
		if found {
			do = "run: " + hint
		} else if errors.Is(err, os.ErrNotExist) {
			do = "make the file, or correct its name"
		}
		list = append(list, finding{fail, what, do})
	}
	return list
}

// programs looks for the programs that need each other.
func (k *checker) programs() []finding {
	var list []finding
	for _, name := range []string{"sendmail", "mailq", "queuerun", "smtpd"} {
		path, err := k.program(name)
		if err != nil {
			list = append(list, finding{fail, "program " + name + " is missing", "install all programs together"})
		} else if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
			list = append(list, finding{fail, "program " + path + " cannot be run", "run: chmod 755 " + path})
		}
	}
	if len(list) == 0 {
		list = append(list, good("programs: sendmail, mailq, queuerun and smtpd are installed"))
	}
	return list
}

// server lets smtpd look at what concerns it, where it is to be used: listeners, certificates, tables, and whether it
// relays for strangers. It prints its lines itself.
func (k *checker) server() []finding {
	if len(k.conf.Listen) == 0 {
		return nil
	}
	code, err := k.exec(k.conf, nil, "smtpd", "--check")
	switch {
	case err != nil:
		return []finding{{fail, "server: " + err.Error(), "install all programs together"}}
	case code != status.ExitOK:
		return []finding{{fail, "server: smtpd cannot work as it is", "see the lines above"}}
	}
	return nil
}

// names looks up what others need to know to answer our mail.
func (k *checker) names() []finding {
	ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
	defer cancel()
	return []finding{k.hostname(ctx), k.origin(ctx)}
}

func (k *checker) hostname(ctx context.Context) finding {
	name := k.conf.Hostname
	if !strings.Contains(name, ".") {
		return finding{warn, "hostname " + name + " is not fully qualified", "set hostname, as in mail.example.org"}
	}
	if _, err := k.resolver.Addrs(ctx, name); errors.Is(err, dns.ErrNotFound) {
		return finding{warn, "hostname " + name + " has no address in DNS", "publish one, or set hostname to a name that has"}
	} else if err != nil {
		return finding{warn, "hostname " + name + ": " + err.Error(), "see that a name server of /etc/resolv.conf answers"}
	}
	return good("hostname %s has an address", name)
}

func (k *checker) origin(ctx context.Context) finding {
	name := k.conf.Origin
	if !strings.Contains(name, ".") {
		return finding{warn, "origin " + name + " is not fully qualified", "set origin to your mail domain, as in example.org"}
	}
	_, err := k.resolver.MX(ctx, name)
	if errors.Is(err, dns.ErrNotFound) {
		_, err = k.resolver.Addrs(ctx, name)
	}
	switch {
	case errors.Is(err, dns.ErrNotFound):
		return finding{warn, "origin " + name + " takes no mail: it has neither MX nor address in DNS", "set origin to a domain that does, or answers to our mail get lost"}
	case err != nil:
		return finding{warn, "origin " + name + ": " + err.Error(), "see that a name server of /etc/resolv.conf answers"}
	}
	return good("origin %s is in DNS", name)
}

// root looks where mail for root goes.
func (k *checker) root() []finding {
	if k.conf.Local.Root == "" && !k.conf.User {
		return []finding{{warn, "mail for root stays in root's mailbox", "set [local] root to the address of somebody who reads it"}}
	}
	if k.conf.Local.Root == "" {
		return []finding{good("mail for root goes to the caller")}
	}
	return []finding{good("mail for root goes to %s", k.conf.Local.Root)}
}

// mailbox looks whether local mail has a place, where that is the caller's own.
func (k *checker) mailbox() []finding {
	if !k.conf.User || strings.HasPrefix(k.conf.Local.Mailbox, "lmtp+unix:") {
		return nil
	}
	caller, err := k.users.Caller()
	if err != nil {
		return []finding{{warn, "mailbox: " + err.Error(), "see that the user database is readable"}}
	}
	path, err := local.Writable(k.conf.Local.Mailbox, local.User{Name: caller.Name, Home: caller.Home, UID: caller.UID})
	if err != nil {
		return []finding{{warn, "mailbox: " + err.Error(), `set [local] mailbox, as in "maildir:{home}/Maildir"`}}
	}
	return []finding{good("mailbox %s is writable", path)}
}

// someDomain is asked for to see whether DNS answers at all (RFC 2606).
const someDomain = "example.com"

// exchangers looks whether mail can find its way without a smarthost.
func (k *checker) exchangers() []finding {
	ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
	defer cancel()
	if _, err := k.resolver.MX(ctx, someDomain); err != nil && !errors.Is(err, dns.ErrNotFound) {
		return []finding{{fail, "no smarthost, and " + err.Error(), "see that a name server of /etc/resolv.conf answers, or name a smarthost: postrider setup"}}
	}
	return []finding{good("no smarthost: mail goes straight to the recipients' hosts")}
}

// smarthostLimit is how long the smarthost may take to answer a check.
const smarthostLimit = 20 * time.Second

// smarthost looks whether the smarthost answers, with TLS, and lets us in.
func (k *checker) smarthost() []finding {
	target, set, err := k.conf.Smarthost.Target()
	if err != nil {
		return []finding{{fail, "smarthost.url: " + err.Error(), "correct it"}}
	}
	if !set {
		return k.exchangers()
	}
	ctx, cancel := context.WithTimeout(context.Background(), smarthostLimit)
	defer cancel()
	next := route.Smarthost(k.conf, target)
	hosts, err := route.New(k.conf, k.resolver, k.users).Hosts(ctx, next)
	if err != nil {
		return []finding{{fail, "smarthost: " + err.Error(), "correct smarthost.url, or see that DNS works"}}
	}
	var list []finding
	for _, h := range hosts {
		f := k.dial(ctx, next, h)
		list = append(list, f)
		if f.level == ok {
			return []finding{f}
		}
	}
	return list
}

var modes = map[string]smtp.TLSMode{
	route.TLSNone: smtp.None, route.TLSMay: smtp.May, route.TLSEncrypt: smtp.Encrypt, route.TLSImplicit: smtp.Implicit,
}

// dial opens a session as a queue run would.
func (k *checker) dial(ctx context.Context, next route.NextHop, h route.Host) finding {
	t := smtp.Target{Name: h.Name, Network: "tcp", Address: h.Addr.String(), LMTP: next.LMTP, HeloName: k.conf.Hostname,
		TLS: modes[next.TLS], Verify: next.TLS == route.TLSEncrypt || next.TLS == route.TLSImplicit}
	if h.Socket != "" {
		t.Network, t.Address = "unix", h.Socket
	}
	login := ""
	if next.Auth != nil {
		password, err := next.Auth.Password()
		if err != nil {
			return finding{fail, "smarthost: " + err.Error(), "run postrider setup --user " + next.Auth.User}
		}
		t.Auth = &smtp.Credentials{User: next.Auth.User, Password: password}
		login = ", login as " + next.Auth.User + " accepted"
	}
	session, err := smtp.Dial(ctx, t, smtp.Options{})
	if err != nil {
		return finding{fail, fmt.Sprintf("smarthost %s (%s): %s", t.Name, t.Address, status.From(err).Text()), advice(err)}
	}
	defer session.Close()
	protection := "without TLS"
	if session.TLS() != "" {
		protection = session.TLS()
	}
	return good("smarthost %s answers, %s%s", session.Relay(), protection, login)
}

// advice says what to do about a session that failed.
func advice(err error) string {
	var unknown *tls.CertificateVerificationError
	switch code := status.From(err).Code(); {
	case errors.As(err, &unknown):
		return "use the name that the certificate has, or install its authority"
	case code[1] == 7:
		return "correct user and password: postrider setup"
	case code[1] == 4:
		return "see that the host runs, and that no firewall blocks the port"
	}
	return "ask the smarthost's administrator"
}
