package main

import (
	"postrider/internal/maillog"
	"postrider/internal/smtpd"
	"postrider/internal/status"
	"postrider/queue"
)

// reload reads configuration, tables and certificates again. What is wrong is logged, and then the server goes on as it
// was.
func (s *service) reload() {
	s.notifier.reloading()
	err := s.replace()
	if err != nil {
		s.log.Server(maillog.ServerNotReloaded, status.From(err).Error())
	} else {
		s.log.Server(maillog.ServerReloaded, s.places())
	}
	s.notifier.ready("listening at " + s.places())
}

// replace makes everything anew, and only then takes it into use.
func (s *service) replace() error {
	conf, err := s.configure()
	if err != nil {
		return err
	}
	spool := s.site.spool
	if conf.Spool != s.site.conf.Spool {
		if spool, err = queue.Open(conf.Spool, queue.Options{}); err != nil {
			return err
		}
	}
	before := s.sockets.open
	open, err := s.sockets.use(conf)
	if err != nil {
		return err
	}
	var next *site
	listeners, err := s.listeners(open)
	if err == nil {
		next, err = s.newSite(conf, spool, s.site.run, s.site)
	}
	if err != nil {
		s.sockets.restore(before)
		return err
	}
	s.take(next, listeners)
	return nil
}

// take takes what was made into use. Sessions under way keep what they have.
func (s *service) take(next *site, listeners []smtpd.Listener) {
	was := s.site.conf
	if next.conf.Log != was.Log {
		s.log.Warning("", "smtpd: the log stays at "+was.Log+" until the server is started again")
	}
	if next.conf.Smtpd.User != was.Smtpd.User {
		s.log.Warning("", "smtpd: smtpd.user takes effect when the server is started again")
	}
	s.site = next
	s.site.run.use(next.spool)
	s.daemon.Use(s.settings(listeners))
}
