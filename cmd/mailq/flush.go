package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/urfave/cli/v2"

	"postrider/internal/status"
	"postrider/queue"
)

// flush has messages tried now by the program queuerun, all or those that are named.
func (p *program) flush(c *cli.Context) error {
	ids, err := p.ids(c.Args().Slice())
	if err != nil {
		return err
	}
	s, cfg, err := p.open(c)
	if err != nil {
		return err
	}
	args := []string{"--all"} // of those that are named too: it has next hops tried that others could not reach
	if c.Args().Present() {
		named, err := p.waiting(s, ids)
		if err != nil || len(named) == 0 {
			return err
		}
		args = append(args, named...)
	}
	// In the background it runs in another directory.
	for _, f := range []struct{ flag, path string }{{"--config=", cfg.Path}, {"--spool=", setting(c, "spool")}} {
		if f.path == "" {
			continue
		}
		abs, err := filepath.Abs(f.path)
		if err != nil {
			return err
		}
		args = append(args, f.flag+abs)
	}
	return p.queuerun(args, c.Bool("wait"))
}

// waiting are the options that select the messages of ids that a queue run would try.
func (p *program) waiting(s *queue.Spool, ids []queue.ID) (args []string, err error) {
	err = p.each(s, selection{ids: ids}, func(m *queue.Message) error {
		if m.State == queue.Held {
			p.complain(status.ExitUnavailable, "%s is held: \"mailq release %s\" lets it go", m.ID, m.ID)
		} else {
			args = append(args, "--id="+string(m.ID))
		}
		return nil
	})
	return args, err
}

// queuerun starts the program, to its end or to live on without us.
func (p *program) queuerun(args []string, wait bool) error {
	path, err := p.sibling("queuerun")
	if err != nil {
		return status.Fail("mailq", status.ExitUnavailable, "cannot start queuerun", err)
	}
	cmd := exec.Command(path, args...)
	if wait {
		cmd.Stdout, cmd.Stderr = p.out, p.err
		err = cmd.Run()
	} else {
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		err = cmd.Start()
	}
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed) && failed.ExitCode() >= 0:
		return exitStatus(failed.ExitCode())
	case err != nil:
		return status.Fail("mailq", status.ExitUnavailable, "cannot run queuerun", err)
	}
	return nil
}
