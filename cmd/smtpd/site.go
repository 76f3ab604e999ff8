package main

import (
	"fmt"
	"os/user"
	"strconv"

	"postrider/internal/auth"
	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/policy"
	"postrider/internal/route"
	"postrider/internal/smtpd"
	"postrider/internal/status"
	"postrider/internal/submit"
	"postrider/queue"
)

// site is what the program makes of one configuration.
type site struct {
	conf   config.Config
	spool  *queue.Spool
	run    *starter
	policy *policy.Policy
	server *smtpd.Server
}

// settle becomes who, and then opens log, spool and tables. nil: we stay who we are. Where log lines would disturb our
// caller it is quiet.
func (p *program) settle(conf config.Config, who *identity, quiet bool) (*site, error) {
	if who != nil {
		err := who.ownSpool(conf.Spool)
		if err == nil {
			err = who.become()
		}
		if err != nil {
			return nil, err
		}
	}
	p.openLog(conf, quiet)
	spool, err := queue.Open(conf.Spool, queue.Options{})
	if err != nil {
		return nil, err
	}
	run := newStarter(spool, conf, p.opts, p.log)
	s, err := p.newSite(conf, spool, run, nil)
	if err != nil {
		run.close()
	}
	return s, err
}

// close ends what belongs to a site when its sessions are over.
func (s *site) close() {
	s.run.close()
	s.server.Log.Close()
}

// newSite reads the tables and puts together what sessions need. old is the site whose place this one takes, and whose
// counts go on; nil: none.
func (p *program) newSite(conf config.Config, spool *queue.Spool, run *starter, old *site) (*site, error) {
	resolver, err := dns.System()
	if err != nil {
		return nil, err
	}
	router := route.New(conf, resolver, route.SystemUsers())
	opts := policy.Options{
		Resolver: resolver,
		Router:   router,
		Aliases:  router.Aliases(),
		Queue:    spool,
		Run:      run.turn,
		Report:   func(err error) { p.log.Warning("", "smtpd: "+err.Error()) },
	}
	router.Report(opts.Report)
	stats := new(smtpd.Stats)
	if old != nil {
		opts.Old, stats = old.policy, old.server.Stats
	}
	pol, err := policy.New(conf, opts)
	if err != nil {
		return nil, status.Fail("smtpd", status.ExitConfig, "", err)
	}
	server, err := newServer(conf, pol)
	if err != nil {
		return nil, err
	}
	server.Spool, server.Log, server.Stats = spool, p.log, stats
	if !p.opts.queue {
		server.Committed = run.committed
	}
	return &site{conf, spool, run, pol, server}, nil
}

// newServer is a server with the settings of a configuration, and without surroundings.
func newServer(conf config.Config, pol smtpd.Policy) (*smtpd.Server, error) {
	s := &smtpd.Server{
		Hostname:   conf.Hostname,
		Origin:     conf.Origin,
		Policy:     pol,
		SizeLimit:  int64(conf.MessageSizeLimit),
		HopLimit:   conf.HopLimit,
		Recipients: conf.Smtpd.Recipients,
		Timeout:    conf.Smtpd.Timeout,
		Lifetime:   conf.Smtpd.SessionTime,
		Delay:      conf.Smtpd.GreetingDelay,
		ETRN:       conf.Smtpd.Etrn != "off",
		VRFY:       conf.Smtpd.Vrfy != "off",
		EXPN:       conf.Smtpd.Expn != "off",
		IsLocal:    conf.IsLocalDomain,
		User:       userByID,
	}
	var err error
	if s.XClient, err = config.Prefixes(conf.Smtpd.XClient); err != nil {
		return nil, status.Fail("smtpd", status.ExitConfig, "smtpd.xclient", err)
	}
	if s.Proxies, err = config.Prefixes(conf.Smtpd.ProxyNetworks); err != nil {
		return nil, status.Fail("smtpd", status.ExitConfig, "smtpd.proxies", err)
	}
	return s, nil
}

// userByID is what the system knows of a user of this machine.
func userByID(uid int) submit.User {
	u := submit.User{UID: uid}
	if known, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		u.Name, u.Gecos = known.Username, known.Name
	}
	return u
}

// modes are the modes of ports by their words in the configuration.
var modes = map[string]smtpd.Mode{
	"smtp":        smtpd.MTA,
	"submission":  smtpd.Submission,
	"submissions": smtpd.Submission,
	"lmtp":        smtpd.LMTP,
	"local":       smtpd.Local,
}

// newPort reads the keys of a [[listen]] table and makes the port that it describes. What is wrong with a certificate or
// a file of passwords is an error here, and not in somebody's session.
func (p *program) newPort(l config.Listen) (*smtpd.Port, error) {
	port := &smtpd.Port{Name: l.Address, Mode: modes[l.Mode], Implicit: l.Mode == "submissions"}
	var err error
	if port.TLS, err = p.tlsConfig(l.TLS); err != nil {
		return nil, unusable(l, err)
	}
	if port.Implicit && port.TLS == nil {
		return nil, unusable(l, fmt.Errorf("mode submissions needs tls.certificate and tls.key"))
	}
	clientCA := l.TLS.ClientCA != ""
	if l.Auth == (config.Auth{}) && !clientCA {
		return port, nil
	}
	report := func(err error) { p.log.Warning("", "smtpd: "+err.Error()) }
	a, err := auth.New(l.Auth, clientCA, auth.Options{Report: report})
	a, err = keep(p, &p.logins, login{l.Auth, clientCA}, a, err)
	if err != nil {
		return nil, unusable(l, err)
	}
	port.Auth = a
	return port, nil
}

// login is by what users log in at a port.
type login struct {
	config.Auth
	certificates bool
}

// unusable is what is wrong with a [[listen]] table.
func unusable(l config.Listen, err error) error {
	return status.Fail("smtpd", status.ExitConfig, "listen "+l.Address, err)
}
