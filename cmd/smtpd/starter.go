package main

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"postrider/internal/config"
	"postrider/internal/maillog"
	"postrider/internal/sibling"
	"postrider/internal/status"
	"postrider/queue"
)

// maxRuns is how many queue runs that clients have asked for go on at once.
const maxRuns = 4

// starter starts queuerun for messages that were accepted while no daemon runs the queue, one at a time: what comes
// meanwhile is for the next. It also starts the runs that clients ask for by ETRN.
type starter struct {
	args    []string // for every queuerun
	log     *maillog.Logger
	program func(name string) (string, error) // where it is

	wake    chan struct{} // a message has come
	end     chan struct{}
	ended   sync.WaitGroup
	mu      sync.Mutex
	spool   *queue.Spool
	asked   map[string]bool // what clients' runs are for
	closing bool
}

// newStarter makes a starter for a spool. Its queue runs have the options that ours has.
func newStarter(spool *queue.Spool, conf config.Config, o options, log *maillog.Logger) *starter {
	s := &starter{spool: spool, log: log, program: sibling.Path, wake: make(chan struct{}, 1), end: make(chan struct{}), asked: map[string]bool{}}
	if o.config != "" {
		s.args = append(s.args, "--config="+conf.Path)
	}
	if o.confined {
		s.args = append(s.args, "--confined")
	}
	if o.spool != "" {
		s.args = append(s.args, "--spool="+o.spool)
	}
	s.ended.Go(s.watch)
	return s
}

// committed notes that a message was accepted. It costs the session nothing.
func (s *starter) committed(queue.Entry) {
	select {
	case s.wake <- struct{}{}:
	default: // the next run sees this message as well
	}
}

// use tells of another spool.
func (s *starter) use(spool *queue.Spool) {
	s.mu.Lock()
	s.spool = spool
	s.mu.Unlock()
}

// daemonRuns tells whether a daemon runs the queue, and so sees new messages by itself.
func (s *starter) daemonRuns() bool {
	s.mu.Lock()
	spool := s.spool
	s.mu.Unlock()
	return spool.Running()
}

// watch starts a run for what has come, and waits for its end.
func (s *starter) watch() {
	for {
		select {
		case <-s.wake:
		case <-s.end:
			return
		}
		done := s.deliver()
		select {
		case <-done:
		case <-s.end: // it goes on without us
			return
		}
	}
}

// deliver starts a run, unless a daemon sees the messages. The result is closed when the run is over.
func (s *starter) deliver() (done chan struct{}) {
	done = make(chan struct{})
	if s.daemonRuns() {
		close(done)
		return done
	}
	cmd, err := s.start()
	if err != nil {
		s.log.Warning("", "smtpd: "+err.Error()+"; new messages wait for the next queue run")
		close(done)
		return done
	}
	go func() {
		cmd.Wait() // the queue tells what became of the messages
		close(done)
	}()
	return done
}

// start starts a queue run in a session of its own and without our descriptors.
func (s *starter) start(args ...string) (*exec.Cmd, error) {
	path, err := s.program("queuerun")
	if err == nil {
		cmd := exec.Command(path, append(args, s.args...)...)
		cmd.Dir, cmd.Env = "/", environment(os.Getenv)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		sibling.CloseOnExec()
		if err = cmd.Start(); err == nil {
			return cmd, nil
		}
	}
	return nil, status.Fail("smtpd", status.ExitOSErr, "cannot start queuerun", err)
}

// environment is that of a queue run: what whoever has started us has in his is nothing for a mailer or a filter.
func environment(getenv func(string) string) []string {
	env := []string{"PATH=" + runPath, "HOME=/"}
	for _, name := range []string{"POSTRIDER_CONFIG", "TZ", "LANG"} {
		if value := getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// runPath is where a queue run finds programs.
const runPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// turn starts a queue run for the recipients in a domain, as a client has asked by ETRN; and in all below it when it
// begins with "@" (RFC 1985 section 5.3). The error is temporary.
func (s *starter) turn(domain string) error {
	name, below := strings.CutPrefix(domain, "@")
	filters := []string{"--filter-recipient=@" + name}
	if below {
		filters = append(filters, "--filter-recipient=."+name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.asked[domain]:
		return nil
	case s.closing, len(s.asked) >= maxRuns:
		return status.Fail("smtpd", status.ExitTempFail, "too many queue runs go on", nil)
	}
	cmd, err := s.start(filters...)
	if err != nil {
		return err
	}
	s.asked[domain] = true
	go func() {
		cmd.Wait()
		s.mu.Lock()
		delete(s.asked, domain)
		s.mu.Unlock()
	}()
	return nil
}

// close ends the starter, and not the queue runs that go on.
func (s *starter) close() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	close(s.end)
	s.ended.Wait()
	select {
	case <-s.wake: // what has come since the last run looked
		s.deliver()
	default:
	}
}
