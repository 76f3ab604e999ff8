package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"postrider/internal/config"
	"postrider/internal/status"
)

// stopGrace is how long the daemons have to end, after which they are killed. What starts a container waits for 10 seconds.
const stopGrace = 8 * time.Second

// supervise runs the daemons where nothing else does, as in a container: in the foreground, as their parent, which may be the
// first process of all. It ends when one of them has ended or a signal says so, and takes the others with it.
func (a *app) supervise(c *cli.Context) error {
	conf, err := a.load(c)
	if err != nil {
		return err
	}
	if a.uid == 0 && !conf.User {
		if err := a.prepare(conf); err != nil {
			return err
		}
	}
	s := &supervisor{app: a, grace: stopGrace, running: map[int]string{}}
	var settings []string
	if conf.Path != "" {
		settings = append(settings, "--config="+conf.Path)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGCHLD)
	defer signal.Stop(signals)
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // orphans come to us, first process or not
	for _, args := range [][]string{
		append([]string{"queuerun", "--daemon", "--foreground"}, settings...), // which starts local, before it gives up root's rights
		append([]string{"smtpd", "--foreground", "--queue-only"}, settings...),
	} {
		if err := s.start(args); err != nil {
			s.fail(status.ExitOSErr, err.Error())
			break
		}
	}
	return s.watch(signals)
}

// prepare makes a spool that is new, such as an empty volume, the mail user's, and tells drop of the configuration, if it can:
// there may be files that nobody can write. Where there is no mail user all belongs to root.
func (a *app) prepare(conf config.Config) error {
	in := &installer{app: a, conf: conf, uid: -1, gid: -1}
	for _, s := range []step{in.group(), in.user()} {
		if missing, err := s.look(); err != nil || missing != "" {
			return err
		}
	}
	settings := in.dropSettings()
	if what, err := settings.look(); err == nil && what != "" {
		if err := settings.do(); err != nil {
			fmt.Fprintf(a.out, "postrider: drop keeps its settings: %v\n", err)
		}
	}
	s := in.spool()
	if what, err := s.look(); err != nil || what == "" {
		return err
	}
	if err := s.do(); err != nil {
		return status.Fail("postrider.run", status.ExitOSErr, "cannot prepare the spool", err)
	}
	return nil
}

// supervisor is the parent of the daemons. All waiting is done by reap, since orphans of others come to it as well. A daemon
// leads a process group, in which are those that it has started itself, as queuerun starts local.
type supervisor struct {
	*app
	grace   time.Duration
	groups  []int          // of the daemons, which are also their process IDs
	running map[int]string // the daemons
	exit    int            // our exit status
	ends    bool
	alone   bool             // we have no children
	kill    <-chan time.Time // when patience ends
}

// start starts a daemon. Its words are for whoever reads ours.
func (s *supervisor) start(args []string) error {
	path, err := s.program(args[0])
	if err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	out := os.Stdout.Fd()
	if f, ok := s.out.(*os.File); ok {
		out = f.Fd()
	}
	pid, err := syscall.ForkExec(path, append([]string{path}, args[1:]...), &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{null.Fd(), out, out}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.groups, s.running[pid] = append(s.groups, pid), args[0]
	return nil
}

// watch waits until all of them have ended.
func (s *supervisor) watch(signals <-chan os.Signal) error {
	killed := false
	for s.reap(); !s.ends || !s.alone; {
		select {
		case sig := <-signals:
			switch sig {
			case syscall.SIGCHLD:
				s.reap()
			case syscall.SIGHUP:
				for pid := range s.running {
					syscall.Kill(pid, syscall.SIGHUP)
				}
			default:
				s.stop()
			}
		case <-s.kill:
			if killed {
				return exitStatus(max(s.exit, 1))
			}
			s.say("what has not ended is killed")
			s.signal(syscall.SIGKILL)
			killed, s.kill = true, time.After(s.grace/8)
		}
	}
	if s.exit != 0 {
		return exitStatus(s.exit)
	}
	return nil
}

// reap takes leave of all children that have ended. A daemon that ends by itself ends us.
func (s *supervisor) reap() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			s.alone = errors.Is(err, syscall.ECHILD)
			return
		}
		name, ours := s.running[pid]
		delete(s.running, pid)
		if ours && !s.ends {
			s.fail(exitCode(ws), fmt.Sprintf("%s has ended (%s)", name, describe(ws)))
		}
	}
}

// exitCode is our exit status after a daemon's end, which is never a success.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Exited() && ws.ExitStatus() != 0 {
		return ws.ExitStatus()
	}
	return status.ExitSoftware
}

func describe(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return ws.Signal().String()
	}
	return fmt.Sprintf("exit status %d", ws.ExitStatus())
}

// fail ends us with a status.
func (s *supervisor) fail(exit int, text string) {
	s.say("%s", text)
	s.exit = exit
	s.stop()
}

func (s *supervisor) say(format string, args ...any) {
	fmt.Fprintf(s.out, "postrider: "+format+"\n", args...)
}

// stop asks the daemons to end. Asked twice, it does not wait.
func (s *supervisor) stop() {
	if s.ends {
		s.signal(syscall.SIGKILL)
		return
	}
	s.ends = true
	s.kill = time.After(s.grace)
	s.signal(syscall.SIGTERM)
}

// signal sends a signal to the daemons, and to what they have started. Those that have become another user cannot have it,
// when not root has started us.
func (s *supervisor) signal(sig syscall.Signal) {
	for _, group := range s.groups {
		if err := syscall.Kill(-group, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			s.say("cannot send %v to %d: %v", sig, group, err)
		}
	}
}
