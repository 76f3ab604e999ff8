package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"postrider/internal/config"
	"postrider/internal/sibling"
	"postrider/internal/status"
)

const (
	agentStart = 10 * time.Second // how long the delivery agent has to begin to listen
	agentLook  = 5 * time.Millisecond
)

// deliveryAgent is local(8), started by us.
type deliveryAgent struct {
	ended chan struct{}
	err   error // how it has ended
}

// startAgent starts the delivery agent of a system installation for a daemon that root has started, unless somebody
// answers at its socket already: systemd, or an agent of its own. That is how one root process, in a container say, makes
// both. It goes on when we have ended. The result is nil when there was nothing to start.
func (p *program) startAgent(cfg config.Config, foreground bool) (*deliveryAgent, error) {
	if p.geteuid() != 0 || cfg.User || answers(cfg.Local.Socket) {
		return nil, nil
	}
	path, err := p.sibling("local")
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(p.err, "queuerun: there is no delivery agent (%v): mail for users of this machine waits\n", err)
		return nil, nil
	}
	if err != nil {
		return nil, status.Fail("queuerun", status.ExitOSErr, "cannot start local", err)
	}
	var args []string
	if cfg.Path != "" {
		args = append(args, "--config="+cfg.Path)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = "/", p.agentEnvironment()
	if foreground { // its log may go there, and what stops us by the terminal stops it
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	sibling.CloseOnExec()
	if err := cmd.Start(); err != nil {
		return nil, status.Fail("queuerun", status.ExitOSErr, "cannot start local", err)
	}
	a := &deliveryAgent{ended: make(chan struct{})}
	go func() {
		a.err = cmd.Wait()
		close(a.ended)
	}()
	return a, a.await(cfg.Local.Socket)
}

// agentEnvironment is nothing that whoever has called us could mean for a program of root.
func (p *program) agentEnvironment() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range []string{"TZ", "LANG"} {
		if value := p.getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// answers tells whether somebody listens at a socket.
func answers(socket string) bool {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// await waits until the agent listens.
func (a *deliveryAgent) await(socket string) error {
	late := time.NewTimer(agentStart)
	defer late.Stop()
	look := time.NewTicker(agentLook)
	defer look.Stop()
	for !answers(socket) {
		select {
		case <-a.ended:
			return a.failure()
		case <-late.C:
			return status.Fail("queuerun", status.ExitTempFail, "local does not listen at "+socket, nil)
		case <-look.C:
		}
	}
	return nil
}

// failure is for whoever watches over us: an agent that has ended can only be started with the rights that we have given
// up.
func (a *deliveryAgent) failure() error {
	return status.Fail("queuerun", status.ExitTempFail, "local, the delivery agent, has ended", a.err)
}

// done is closed when the agent has ended; never, when we have started none.
func (a *deliveryAgent) done() <-chan struct{} {
	if a == nil {
		return nil
	}
	return a.ended
}
