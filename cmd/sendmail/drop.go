package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"postrider/internal/drop"
	"postrider/internal/sibling"
	"postrider/internal/status"
	"postrider/internal/submit"
	"postrider/queue"
)

// drop hands a message to the program drop, which puts it into the spool: nobody has to be there for that. away is why the
// server does not take it, and the outcome where there is no such program, or it is for another spool.
func (s *server) drop(from io.Reader, o submit.Options, away error) (submit.Result, error) {
	path, err := sibling.Path("drop")
	if err != nil {
		return submit.Result{}, away
	}
	d := &dropper{path: path, spool: s.spool}
	o.User = user()
	res, err := submit.Submit(from, d, o)
	said := d.end()
	switch {
	case err == nil:
		s.dropped = true
	case !d.broken: // the message is not fit, and what drop says of its being cut off is no news
	case d.exit == status.ExitConfig:
		err = away
	case said != nil:
		err = said
	}
	return res, err
}

// answerLen is how long the line is in which drop tells the ID.
const answerLen = 18

// dropper is a run of drop. It is the spool of one message, and where that goes.
type dropper struct {
	path, spool string

	cmd    *exec.Cmd
	in     io.WriteCloser
	frames *drop.Writer
	errors bytes.Buffer
	broken bool // it does not take the message
	ended  bool
	exit   int
	said   error // what it said at its end
}

// NewDraft starts drop, which gives the message its ID.
func (d *dropper) NewDraft(e queue.Envelope) (*queue.Draft, error) {
	id, err := d.start()
	if err != nil {
		d.broken = true
		return nil, status.Fail("sendmail.drop", status.ExitTempFail, "cannot start drop", err)
	}
	return queue.HandOver(id, e, d)
}

func (d *dropper) start() (queue.ID, error) {
	sibling.CloseOnExec()
	d.cmd = &exec.Cmd{Path: d.path, Args: []string{"drop"}, Env: []string{}, Dir: "/", Stderr: &limited{&d.errors, 4 * status.MaxText}}
	in, err := d.cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := d.cmd.Start(); err != nil {
		d.cmd = nil
		return "", err
	}
	d.in = in
	answer := make([]byte, answerLen)
	if _, err := io.ReadFull(out, answer); err != nil {
		return "", err
	}
	id, err := queue.ParseID(strings.TrimSuffix(string(answer), "\n"))
	if err == nil {
		d.frames, err = drop.NewWriter(in, d.spool)
	}
	return id, err
}

// Write implements queue.Sink.
func (d *dropper) Write(p []byte) (int, error) {
	n, err := d.frames.Write(p)
	d.broken = d.broken || err != nil
	return n, err
}

// Commit implements queue.Sink.
func (d *dropper) Commit() error {
	err := d.frames.End()
	if err == nil {
		err = d.end()
	}
	d.broken = d.broken || err != nil
	return err
}

// end waits for drop. A submission that has not ended by then is none.
func (d *dropper) end() error {
	if d.cmd == nil || d.ended {
		return d.said
	}
	d.ended = true
	d.in.Close()
	err := d.cmd.Wait()
	if err == nil {
		return nil
	}
	exited := (*exec.ExitError)(nil)
	if errors.As(err, &exited) {
		d.exit = exited.ExitCode()
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(d.errors.String()), "drop: ")
	if !ok || d.exit < status.ExitUsage || d.exit > status.ExitConfig {
		d.said = status.Fail("sendmail.drop", status.ExitTempFail, "drop has failed", fmt.Errorf("%w; it may have queued the message", err))
	} else {
		d.said = status.Fail("sendmail.drop", d.exit, status.Clean(text, 2*status.MaxText), nil)
	}
	return d.said
}

// limited keeps as much of what is written as there is room for.
type limited struct {
	to   io.Writer
	room int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.room)
	l.room -= n
	l.to.Write(p[:n])
	return len(p), nil
}
