package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"postrider/internal/queuerun"
	"postrider/internal/status"
	"postrider/queue"
)

// daemon runs the queue until SIGTERM or SIGINT. SIGHUP has the whole spool read at once.
func daemon(r *queuerun.Runner, interval time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	go func() {
		for {
			select {
			case <-hup:
				r.Rescan()
			case <-ctx.Done():
				return
			}
		}
	}()
	return r.Daemon(ctx, interval)
}

// detach starts the daemon in a session of its own and without our descriptors. That another one runs already is
// told here, where somebody hears it.
func (p *program) detach(spool *queue.Spool) error {
	if spool.Running() {
		return status.Fail("queuerun", status.ExitTempFail, "cannot run as a daemon", queue.ErrRunning)
	}
	self, err := os.Executable()
	if err != nil {
		return status.Fail("queuerun", status.ExitOSErr, "cannot start the daemon", err)
	}
	cmd := exec.Command(self, append(p.argv[1:len(p.argv):len(p.argv)], "--foreground")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return status.Fail("queuerun", status.ExitOSErr, "cannot start the daemon", err)
	}
	return cmd.Process.Release()
}
