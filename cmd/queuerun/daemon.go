package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"postrider/internal/config"
	"postrider/internal/queuerun"
	"postrider/internal/sibling"
	"postrider/internal/status"
	"postrider/queue"
)

// daemon runs the queue until SIGTERM or SIGINT, or until the delivery agent that we have started ends. SIGHUP has the
// whole spool read at once.
func daemon(r *queuerun.Runner, interval time.Duration, agent *deliveryAgent) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	go func() {
		for {
			select {
			case <-hup:
				r.Rescan()
			case <-agent.done():
				lost(agent.failure())
			case <-ctx.Done():
				return
			}
		}
	}()
	err := r.Daemon(ctx, interval)
	if st := (*status.Status)(nil); err == nil && errors.As(context.Cause(ctx), &st) {
		return st
	}
	return err
}

// detach starts the daemon in a session of its own, in the root directory and without our descriptors. That another
// one runs already is told here, where somebody hears it.
func (p *program) detach(c *cli.Context, cfg config.Config, spool *queue.Spool) error {
	if spool.Running() {
		return status.Fail("queuerun", status.ExitTempFail, "cannot run as a daemon", queue.ErrRunning)
	}
	self, err := os.Executable()
	var args []string
	if err == nil {
		args, err = daemonArgs(c, cfg)
	}
	if err != nil {
		return status.Fail("queuerun", status.ExitOSErr, "cannot start the daemon", err)
	}
	cmd := exec.Command(self, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	sibling.CloseOnExec()
	if err := cmd.Start(); err != nil {
		return status.Fail("queuerun", status.ExitOSErr, "cannot start the daemon", err)
	}
	return cmd.Process.Release()
}

// daemonArgs are the options of a detached daemon: ours, with paths that hold in any directory.
func daemonArgs(c *cli.Context, cfg config.Config) (args []string, err error) {
	args = []string{"--daemon", "--foreground", "--interval=" + c.Duration("interval").String()}
	for _, name := range []string{"verbose", "confined"} {
		if c.Bool(name) {
			args = append(args, "--"+name)
		}
	}
	if cfg.Path != "" {
		args = append(args, "--config="+cfg.Path)
	}
	if dir := c.String("spool"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		args = append(args, "--spool="+abs)
	}
	return args, nil
}
