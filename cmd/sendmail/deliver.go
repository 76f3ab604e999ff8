package main

import (
	"errors"
	"io"
	"os"

	"postrider/compat"
	"postrider/internal/status"
	"postrider/internal/submit"
	"postrider/queue"
)

// deliver accepts a message from standard input, and has it delivered as the delivery mode says. When there is nowhere
// to put it, it is refused with that error.
func (p *program) deliver() error {
	p.open()
	in := newInput(p.in)
	if p.server != nil {
		in.quick, in.waiting = keepLimit, p.server.stillWaiting
	}
	o, err := p.options()
	if err != nil {
		return err
	}
	if p.closed != nil {
		return p.refuse(in, o, p.closed)
	}
	var from io.Reader = in
	if p.inv.Mode == compat.Rmail {
		if from, err = p.rmail(in, &o); err != nil {
			return p.refuse(in, o, err)
		}
	}
	o.Whole = acceptable
	res, err := p.store(from, o)
	p.complain(res, err)
	if err != nil {
		return p.refuse(in, o, err)
	}
	p.logQueued(res)
	if p.server != nil { // or whoever runs the queue delivers
		return nil
	}
	return p.dispatch(res.Entry.ID)
}

// logQueued logs an accepted message, unless the server has.
func (p *program) logQueued(res submit.Result) {
	if p.server != nil && !p.server.dropped {
		return
	}
	e := res.Envelope
	p.openLog()
	p.log.Queued(string(res.Entry.ID), e.Sender, res.Size, len(e.Rcpts), e.UID, "", e.Tag)
}

// maxComplaints is how many bad addresses are told of one by one.
const maxComplaints = 10

// complain tells of the addresses that could not be read. Where the first was an operand err tells of it.
func (p *program) complain(res submit.Result, err error) {
	if p.inv.ErrorMode == 'q' {
		return
	}
	bad := res.Bad
	if err != nil && len(bad) > 0 && bad[0].Field == "" {
		bad = bad[1:]
	}
	for _, b := range bad[:min(len(bad), maxComplaints)] {
		where := ""
		if b.Field != "" {
			where = " in " + b.Field
		}
		p.say("bad address%s: %s: %v", where, b.Text, b.Err)
	}
	if more := res.More + max(0, len(bad)-maxComplaints); more > 0 {
		p.say("and %d more bad addresses", more)
	}
}

// options says how the message is to be read.
func (p *program) options() (submit.Options, error) {
	inv := p.inv
	o := submit.Options{
		Recipients:    inv.Recipients,
		Extract:       inv.ExtractRecipients,
		IgnoreDots:    inv.IgnoreDots,
		Gateway:       inv.Gateway,
		From:          inv.From,
		FullName:      inv.FullName,
		Ret:           inv.Ret,
		EnvID:         inv.EnvID,
		Body:          inv.BodyType,
		UTF8:          inv.UTF8,
		NoAlias:       inv.NoAlias,
		Tag:           inv.Tag,
		Hops:          inv.Hops,
		ReceivedProto: inv.Received.Proto,
		ReceivedHost:  inv.Received.Host,
		Hostname:      p.cfg.Hostname,
		Origin:        p.cfg.Origin,
		IsLocal:       p.cfg.IsLocalDomain,
		SizeLimit:     int64(p.cfg.MessageSizeLimit),
		HopLimit:      p.cfg.HopLimit,
	}
	if p.server == nil { // which looks for itself
		o.User = user()
	}
	if o.FullName == "" {
		o.FullName = os.Getenv("NAME")
	}
	if inv.MaxHops > 0 && inv.MaxHops < o.HopLimit {
		o.HopLimit = inv.MaxHops
	}
	if action, ok := noRecipientActions[inv.NoRecipientAction]; ok {
		o.NoRcpt = action
	}
	if inv.Notify == "" {
		return o, nil
	}
	var err error
	if o.Notify, err = queue.ParseNotify(inv.Notify); err != nil {
		return o, status.Fail("sendmail", status.ExitUsage, err.Error(), nil)
	}
	return o, nil
}

// user is who has called us.
func user() submit.User {
	uid := os.Getuid()
	who := lookup(passwd, uid)
	return submit.User{UID: uid, Name: who.name, Gecos: who.gecos}
}

// noRecipientActions are the values of -ONoRecipientAction.
var noRecipientActions = map[string]submit.NoRecipientAction{
	"none":               submit.AddNothing,
	"add-to":             submit.AddTo,
	"add-apparently-to":  submit.AddApparentlyTo,
	"add-bcc":            submit.AddBcc,
	"add-to-undisclosed": submit.AddUndisclosed,
}

// dispatch starts the delivery of a message that was accepted. From here on nothing but the outcome of a
// delivery in the foreground can make our exit status other than 0: the message is in the queue.
func (p *program) dispatch(id queue.ID) error {
	args := p.runArgs(id)
	if p.inv.Delivery == compat.Foreground {
		return p.foreground(id, args)
	}
	if p.inv.Delivery != compat.Background || p.spool.Running() {
		return nil
	}
	if err := p.start("queuerun", args...); err != nil {
		p.log.Warning(string(id), "cannot start queuerun; the message waits for the next queue run")
	}
	return nil
}

func (p *program) foreground(id queue.ID, args []string) error {
	if p.inv.TrafficLog != "" && os.Getuid() == 0 {
		f, err := os.OpenFile(p.inv.TrafficLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			p.say("cannot log traffic: %v", err)
		} else {
			defer f.Close()
			p.out = f
			args = append(args, "--verbose")
		}
	}
	err := p.wait("queuerun", args...)
	var quiet silent
	if err != nil && !errors.As(err, &quiet) {
		p.say("%v; message %s waits for the next queue run", err, id)
		return nil
	}
	if p.inv.ErrorMode == 'e' {
		return nil
	}
	return err
}
