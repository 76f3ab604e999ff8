package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"postrider/internal/config"
	"postrider/internal/maillog"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// grace is how long transactions may go on when the server is to end.
const grace = 30 * time.Second

// memoryLimit is where the collector of garbage begins to work hard. It is far above what a busy server needs.
const memoryLimit = 512 << 20

// service is a server that accepts connections.
type service struct {
	*program
	sockets  *sockets
	site     *site
	first    []smtpd.Listener // at which the daemon begins
	daemon   *smtpd.Daemon    // once signals are heeded
	idle     time.Duration    // without a session, after which it ends; 0: it does not
	notifier notifier
	metrics  net.Listener // nil: none
}

// foreground serves until SIGTERM or SIGINT. A connection that systemd has passed is served, and that is all.
func (p *program) foreground(conf config.Config) error {
	n := newNotifier()
	from, err := takePassed()
	if err != nil {
		return err
	}
	if len(from) == 1 && !from[0].listening {
		return p.single(conf, from[0])
	}
	if err := passable(from, p.opts); err != nil {
		return err
	}
	s, err := p.prepare(conf, &sockets{loopback: p.opts.loopback, passed: from})
	if err != nil {
		return err
	}
	s.notifier = n
	return s.serve(context.Background())
}

// passable tells whether the sockets that systemd has passed make sense.
func passable(sockets []passed, o options) error {
	for _, x := range sockets {
		switch {
		case !x.listening:
			return status.Fail("smtpd", status.ExitOSErr, "systemd has passed a connection among "+fmt.Sprint(len(sockets))+" sockets", nil)
		case o.loopback:
			return usage("--loopback does not go with sockets of systemd")
		}
	}
	return nil
}

// prepare does all that can go wrong, up to the first connection: it opens the sockets, reads keys and tables, gives up
// the rights of root, and opens the spool.
func (p *program) prepare(conf config.Config, from *sockets) (s *service, err error) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if from.owner, err = worker(conf); err != nil {
		return nil, err
	}
	s = &service{program: p, sockets: from}
	open, err := from.use(conf)
	if err == nil {
		err = s.open(conf, open)
	}
	if err != nil {
		closeAll(open)
		from.unmake()
		return nil, err
	}
	return s, nil
}

// open does the rest once the sockets are open.
func (s *service) open(conf config.Config, open []opening) error {
	var err error
	if s.first, err = s.listeners(open); err != nil {
		return err
	}
	if s.opts.metrics != "" {
		if s.metrics, err = net.Listen("tcp", s.opts.metrics); err != nil {
			return status.Fail("smtpd", status.ExitUnavailable, "cannot listen at "+s.opts.metrics, bare(err))
		}
	}
	if s.site, err = s.settle(conf, s.sockets.owner, false); err != nil {
		return err
	}
	s.warn(conf)
	if why := noLog(conf.Log, devLog); why != "" {
		fmt.Fprintln(s.err, "smtpd: "+why)
	}
	return nil
}

func closeAll(open []opening) {
	for _, o := range open {
		o.listener.Close()
	}
}

// listeners makes the ports of open sockets. Those of one table share it.
func (p *program) listeners(open []opening) (list []smtpd.Listener, err error) {
	ports := map[config.Listen]*smtpd.Port{}
	for _, o := range open {
		port := ports[o.Listen]
		if port == nil {
			if port, err = p.newPort(o.Listen); err != nil {
				return nil, err
			}
			ports[o.Listen] = port
		}
		list = append(list, smtpd.Listener{Listener: o.listener, Port: port})
	}
	return list, nil
}

func (s *service) settings(listeners []smtpd.Listener) smtpd.Settings {
	return smtpd.Settings{Server: s.site.server, Sessions: s.affordable(s.site.conf.Smtpd.Sessions), PerUser: s.site.conf.Smtpd.ClientSessions, Listeners: listeners}
}

// descriptors is what a session needs at most: its connection, a draft, and somebody who is asked; and what the rest of
// the program needs.
const (
	descriptors      = 3
	otherDescriptors = 64
)

// fewestDescriptors are those without which the runtime ends the program, where it should return an error.
const fewestDescriptors = 16

// enough tells whether there are file descriptors to begin with.
func enough() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < fewestDescriptors {
		why := fmt.Sprintf("%d file descriptors are not enough (ulimit -n)", limit.Cur)
		return status.Fail("smtpd", status.ExitOSErr, why, nil)
	}
	return nil
}

// affordable is how many sessions there can be. Package os has raised our limit to the hard one.
func (s *service) affordable(sessions int) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return sessions
	}
	can := max((int(limit.Cur)-otherDescriptors)/descriptors, 1)
	if sessions <= can {
		return sessions
	}
	s.log.Warning("", fmt.Sprintf("smtpd: %d file descriptors are enough for %d sessions, not for %d", limit.Cur, can, sessions))
	return can
}

// warn tells of what is allowed and yet not well: that root serves strangers, files that others may read or write, and
// keys that root could read and we cannot, since then SIGHUP will not work.
func (s *service) warn(conf config.Config) {
	if os.Geteuid() == 0 {
		s.log.Warning("", "smtpd: this is a user's installation, and it runs as root")
	}
	for _, err := range conf.CheckFiles() {
		s.log.Warning("", "smtpd: "+err.Error())
	}
	for _, path := range keyFiles(conf) {
		if err := readable(path); err != nil {
			s.log.Warning("", "smtpd: "+unread+" what "+conf.Smtpd.User+" may not: "+err.Error())
		}
	}
}

// serve tells that the server is ready, and does what signals ask for until one asks for the end.
func (s *service) serve(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	s.daemon = smtpd.NewDaemon(s.settings(s.first))
	if s.idle > 0 {
		go func() {
			s.daemon.WaitIdle(ctx, s.idle)
			stop()
		}()
	}
	if s.metrics != nil {
		web := s.serveMetrics()
		defer web.Close()
	}
	s.log.Server(maillog.ServerStarted, s.places())
	s.notifier.ready("listening at " + s.places())
	go s.notifier.beat(ctx.Done(), s.daemon.Alive)
	tellReady()
	for {
		select {
		case <-hup:
			s.reload()
		case <-ctx.Done():
			stop() // a second signal ends us at once; no message is lost by that
			s.shutdown()
			return nil
		}
	}
}

// places names the sockets, for the log.
func (s *service) places() string {
	var names []string
	for _, l := range s.daemon.Listeners() {
		names = append(names, l.Addr().String())
	}
	return strings.Join(names, ", ")
}

func (s *service) shutdown() {
	s.notifier.stopping()
	s.log.Server(maillog.ServerStopping, fmt.Sprintf("%d sessions", s.daemon.Sessions()))
	cut := s.daemon.Shutdown(grace)
	s.site.run.close()
	s.log.Server(maillog.ServerStopped, fmt.Sprintf("%d sessions were cut", cut))
	s.log.Close()
}

// serveMetrics answers Prometheus.
func (s *service) serveMetrics() *http.Server {
	web := &http.Server{ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/metrics" && r.URL.Path != "/" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
			s.daemon.Metrics(w, version)
		})}
	web.ErrorLog = log.New(io.Discard, "", 0) // what is wrong with a request is its sender's affair
	go web.Serve(netutil.LimitListener(s.metrics, maxMetrics))
	return web
}

// maxMetrics is how many may ask for figures at once. Others wait, and take no descriptor from sessions.
const maxMetrics = 8
