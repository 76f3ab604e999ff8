package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"time"

	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/policy"
	"postrider/internal/route"
	"postrider/internal/status"
)

// level is how bad a finding is.
type level string

const (
	ok   level = "ok"
	warn level = "warn"
	fail level = "fail"
)

// finding is one line of --check: what there is and, unless it is good, what to do.
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

// checker looks at one configuration. It opens no log and leaves nothing behind.
type checker struct {
	*program
	conf     config.Config
	resolver dns.Resolver
	now      time.Time
}

// check prints what is well and what is not. It fails when the server cannot be expected to work, or would relay for
// strangers.
func (p *program) check(conf config.Config, err error) error {
	if err != nil {
		fmt.Fprintln(p.out, finding{fail, status.From(err).Error(), "correct the configuration"})
		return exitStatus(status.ExitConfig)
	}
	resolver, err := dns.System()
	if err != nil {
		fmt.Fprintln(p.out, finding{fail, err.Error(), "make it readable"})
		return exitStatus(status.ExitConfig)
	}
	k := &checker{p, conf, resolver, time.Now()}
	failed := false
	for _, look := range []func() []finding{k.configuration, k.user, k.spool, k.tables, k.ports, k.files, k.log, k.listeners, k.metrics, k.lists, k.relaying} {
		for _, f := range look() {
			fmt.Fprintln(p.out, f)
			failed = failed || f.level == fail
		}
	}
	if failed {
		return exitStatus(status.ExitConfig)
	}
	return nil
}

func (k *checker) configuration() []finding {
	path := k.conf.Path
	if path == "" {
		path = "no file, all defaults"
	}
	list := []finding{good("configuration: %s", path)}
	for _, err := range k.conf.CheckFiles() {
		what, hint, found := strings.Cut(err.Error(), "; run: ")
		do := remedy(err, "give only the mail system access")
		if found {
			do = "run: " + hint
		}
		list = append(list, finding{fail, what, do})
	}
	return list
}

// remedy is what to do about an error: of a file that is missing, to make it.
func remedy(err error, otherwise string) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "make it, or correct its path"
	}
	return otherwise
}

// user looks whether there is somebody to work as.
func (k *checker) user() []finding {
	if k.conf.User {
		return []finding{good("user: this is a user's installation, the server works as its caller")}
	}
	id, err := mailUser(k.conf.Smtpd.User)
	if err != nil {
		return []finding{{fail, status.From(err).Error(), "make the user: useradd --system --home-dir " + k.conf.Spool + " " + k.conf.Smtpd.User}}
	}
	return []finding{good("user: the server works as %s", id.name)}
}

// spool looks to whom the spool belongs.
func (k *checker) spool() []finding {
	owner, err := ownerOf(k.conf.Spool)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []finding{good("spool %s does not exist yet: it is made when first used", k.conf.Spool)}
	case err != nil:
		return []finding{{fail, "spool: " + err.Error(), "make it accessible"}}
	}
	want, name := os.Geteuid(), "the caller"
	if !k.conf.User {
		id, err := mailUser(k.conf.Smtpd.User)
		if err != nil {
			return nil // said already
		}
		want, name = id.uid, id.name
	}
	if owner != want {
		return []finding{{fail, fmt.Sprintf("spool %s belongs to user %d", k.conf.Spool, owner), "run: chown -R " + name + " " + k.conf.Spool}}
	}
	return []finding{good("spool %s belongs to %s", k.conf.Spool, name)}
}

// tables reads the tables of the policy.
func (k *checker) tables() []finding {
	p, err := k.policy(k.conf)
	if err != nil {
		return []finding{{fail, "tables: " + status.From(err).Error(), remedy(err, "correct the table")}}
	}
	list := []finding{good("tables: they can be read")}
	for _, note := range p.Notes() {
		list = append(list, finding{warn, note, "see ACCESS TABLE in smtpd(8)"})
	}
	return list
}

// policy is the one that the server would have, but that it asks nobody, and that all tables must be right.
func (k *checker) policy(conf config.Config) (*policy.Policy, error) {
	nobody := dns.Zone("")
	router := route.New(conf, nobody, route.SystemUsers())
	for _, t := range router.Tables() {
		if t.Err != nil {
			return nil, t.Err
		}
	}
	return policy.New(conf, policy.Options{Resolver: nobody, Router: router, Aliases: router.Aliases()})
}

// lookupTime is how long all questions to DNS may take.
const lookupTime = 10 * time.Second

// lists asks the DNS lists for what each must know and what none may (RFC 5782 section 5).
func (k *checker) lists() []finding {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	var list []finding
	asked := map[string]bool{}
	for _, s := range k.conf.Smtpd.DNSLists {
		zone, _, _ := strings.Cut(s, "*")
		zone, _, _ = strings.Cut(zone, "=")
		if !asked[zone] {
			asked[zone] = true
			list = append(list, k.dnsList(ctx, zone))
		}
	}
	return list
}

func (k *checker) dnsList(ctx context.Context, zone string) finding {
	listed, err := k.resolver.A(ctx, "2.0.0.127."+zone)
	if err == nil || errors.Is(err, dns.ErrNotFound) {
		var all []netip.Addr
		if all, err = k.resolver.A(ctx, "1.0.0.127."+zone); err == nil && len(all) > 0 {
			return finding{fail, "DNS list " + zone + " lists everybody", "remove it from smtpd.dns_lists"}
		}
	}
	switch {
	case err != nil && !errors.Is(err, dns.ErrNotFound):
		return finding{warn, "DNS list " + zone + ": " + err.Error(), "see that it answers this resolver"}
	case len(listed) == 0:
		return finding{warn, "DNS list " + zone + " does not list 127.0.0.2, as each should", "see that the zone is one, and answers this resolver"}
	}
	return good("DNS list %s answers", zone)
}
