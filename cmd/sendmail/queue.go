package main

import (
	"errors"
	"fmt"

	"postrider/compat"
	"postrider/internal/mailq"
	"postrider/queue"
)

// listing is what the command line selects of the queue.
func (p *program) listing() mailq.Options {
	o := mailq.Options{Format: p.cfg.MailqFormat, Verbose: p.inv.Verbose, Filters: p.inv.QueueRun.Filters}
	switch {
	case p.inv.QueueRun.Quarantined:
		o.States = queue.Held
	case p.inv.QueueRun.Lost:
		o.States = queue.Corrupt
	}
	return o
}

func (p *program) list(s *queue.Spool) error {
	return mailq.Print(p.out, s, p.listing())
}

func (p *program) count(s *queue.Spool) error {
	n, err := mailq.Count(s, p.listing())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.out, n)
	return err
}

// quarantine holds the messages that -q selects, with the reason that -Q gives; a -Q without one releases those
// that are held.
func (p *program) quarantine(s *queue.Spool) error {
	p.openLog()
	reason := *p.inv.Quarantine
	o := mailq.Options{States: queue.New | queue.Cur, Filters: p.inv.QueueRun.Filters}
	if reason == "" || p.inv.QueueRun.Quarantined {
		o.States = queue.Held
	}
	return s.List(o.States, func(m *queue.Message) error {
		if !mailq.Match(m, o.Filters) {
			return nil
		}
		c, err := s.Claim(m.Entry)
		if errors.Is(err, queue.ErrBusy) || errors.Is(err, queue.ErrGone) || errors.Is(err, queue.ErrCorrupt) {
			return nil
		}
		if err != nil {
			return err
		}
		if reason == "" {
			err = c.Release()
			p.log.Released(string(m.ID), "sendmail -Q")
		} else {
			err = c.Hold(reason)
			p.log.Held(string(m.ID), reason, "sendmail -Q")
		}
		return err
	})
}

// runArgs are the options with which queuerun tries one message.
func (p *program) runArgs(id queue.ID) []string {
	args := append(p.settings(), "--id", string(id))
	if p.inv.Delivery == compat.Foreground {
		args = append(args, "--exit-status")
	}
	if p.inv.Verbose {
		args = append(args, "--verbose")
	}
	return args
}
