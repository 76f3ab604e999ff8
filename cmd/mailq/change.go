package main

import (
	"errors"
	"fmt"
	"os/user"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/internal/maillog"
	"postrider/internal/status"
	"postrider/queue"
)

// act is what a command does to a message that it has claimed. It ends the claim, unless it fails.
type act func(c *queue.Claim) error

// deed is a command that changes messages.
type deed struct {
	done   string      // what was done, for who asked: "removed"
	states queue.State // where there is something to do
	not    string      // what is said of a message that is in another state
	act    act
	log    func(l *maillog.Logger, id, by string)
}

const anyState = queue.New | queue.Cur | queue.Held

func (p *program) hold(c *cli.Context) deed {
	reason := c.String("reason")
	return deed{"held", queue.New | queue.Cur, "is held already",
		func(c *queue.Claim) error { return c.Hold(reason) },
		func(l *maillog.Logger, id, by string) { l.Held(id, reason, by) }}
}

func (p *program) release(*cli.Context) deed {
	return deed{"released", queue.Held, "is not held", (*queue.Claim).Release, (*maillog.Logger).Released}
}

func (p *program) requeue(*cli.Context) deed {
	return deed{"requeued", anyState, "", (*queue.Claim).Release, (*maillog.Logger).Requeued}
}

func (p *program) remove(*cli.Context) deed {
	return deed{"removed", anyState, "", (*queue.Claim).Remove, (*maillog.Logger).Deleted}
}

// change is the action of a command that changes the messages which the command line selects. It goes on after a
// message that it cannot change. Where messages were not named one by one it tells which they were.
func (p *program) change(command func(*cli.Context) deed) cli.ActionFunc {
	return func(c *cli.Context) error {
		sel, err := p.selection(c)
		if err != nil {
			return err
		}
		s, cfg, err := p.open(c)
		if err != nil {
			return err
		}
		log := p.openLog(cfg)
		defer log.Close()
		d, by, n := command(c), caller(), 0
		err = p.each(s, sel, func(m *queue.Message) error {
			if !p.do(s, d, m, sel.exact(), log) {
				return nil
			}
			d.log(log, string(m.ID), by)
			if n++; !sel.exact() {
				fmt.Fprintf(p.out, "%s %s: %s\n", m.ID, d.done, brief(m))
			}
			return nil
		})
		if !sel.exact() {
			fmt.Fprintf(p.out, "%s %s\n", plural(n, "message"), d.done)
		}
		return err
	}
}

// do changes one message and tells whether it did. named says that the caller named it.
func (p *program) do(s *queue.Spool, d deed, m *queue.Message, named bool, log *maillog.Logger) bool {
	c, err := claim(s, m.Entry)
	if err == nil && c.Entry.State&d.states == 0 {
		c.Close()
		if named {
			fmt.Fprintf(p.err, "mailq: %s %s\n", m.ID, d.not)
		}
		return false
	}
	if err == nil {
		if err = d.act(c); err == nil {
			return true
		}
		c.Close()
	}
	switch {
	case errors.Is(err, queue.ErrBusy):
		p.complain(status.ExitTempFail, "%s is being delivered", m.ID)
	case errors.Is(err, queue.ErrGone):
		if named {
			p.complain(status.ExitNoInput, "%s is not in the queue any more", m.ID)
		}
	case errors.Is(err, queue.ErrCorrupt):
		log.Corrupt(m.Name, "damaged")
		p.complain(status.ExitDataErr, "%s is damaged and was set aside", m.ID)
	default:
		p.complain(status.From(err).Exit(), "%s is not %s: %s", m.ID, d.done, oneLine(err.Error()))
	}
	return false
}

// claim takes a message that may have changed its state since it was seen.
func claim(s *queue.Spool, e queue.Entry) (c *queue.Claim, err error) {
	for range 3 {
		if c, err = s.Claim(e); !errors.Is(err, queue.ErrGone) {
			return c, err
		}
		if e, err = s.Find(e.ID); err != nil {
			return nil, err
		}
	}
	return nil, queue.ErrBusy
}

// caller is who is at work, for the log.
func caller() string {
	u, err := user.Current()
	if err != nil {
		return "mailq"
	}
	return u.Username
}

// brief names a message's sender and recipients in one line.
func brief(m *queue.Message) string {
	to := make([]string, 0, 3)
	rcpts := m.Envelope.Own()
	for i, r := range rcpts {
		if i == 2 && len(rcpts) > 3 {
			to = append(to, plural(len(rcpts)-i, "other"))
			break
		}
		to = append(to, angle(r.Address))
	}
	return "from " + angle(m.Envelope.Sender) + " to " + strings.Join(to, ", ")
}

func angle(address string) string { return "<" + oneLine(address) + ">" }

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
