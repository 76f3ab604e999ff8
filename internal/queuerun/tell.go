package queuerun

import (
	"errors"
	"fmt"
	"strings"

	"postrider/internal/maillog"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// localRelay stands for the relay where a message goes into a mailbox of this machine.
const localRelay = "local"

var outcomes = map[queue.Kind]maillog.Outcome{
	queue.Delivered: maillog.Sent, queue.Relayed: maillog.Sent, queue.Deferred: maillog.Deferred,
	queue.Failed: maillog.Bounced, queue.Expired: maillog.Expired,
}

// source is who an outcome comes from. The zero value is nobody but us.
type source struct {
	relay string // the host; localRelay
	tls   string // how the session with it was encrypted
}

// remote tells whether a host was asked.
func (s source) remote() bool { return s.relay != "" && s.relay != localRelay }

// words are what this machine's users may read of an outcome: a host's own words, or what we know of the cause.
func words(st *status.Status, from source) string {
	var at *atHost
	if from.remote() || errors.As(st, &at) { // then the text has all of it
		return st.Text()
	}
	return st.Error()
}

// tell logs a recipient's outcome, shows it to whoever watches, and counts it.
func (a *attempt) tell(rcpt int, kind queue.Kind, st *status.Status, from source) {
	r := &a.c.Envelope.Rcpts[rcpt]
	text := words(st, from)
	a.say("%s... %s\n", r.Address, spoken(kind, st.Code(), status.Clean(text, status.MaxText)))
	if st.Op() == smtp.OpReply && from.remote() {
		text = st.Diagnostic()
	}
	delay := a.Now().Sub(a.c.Envelope.Arrival)
	a.Log.Attempt(string(a.ID), r.Address, a.c.Envelope.Root(rcpt), from.relay, delay, st.Code(), outcomes[kind], text, from.tls)
	a.count(func(s *Result) {
		switch kind {
		case queue.Deferred:
			s.Deferred++
		case queue.Failed:
			s.Bounced++
		case queue.Expired:
			s.Expired++
		default:
			s.Sent++
		}
		if s.Exit == status.ExitOK && !a.ours && r.Sender == "" && (kind == queue.Failed || kind == queue.Expired) {
			s.Exit = exit(st)
		}
	})
}

// exit is the exit status for a recipient that has failed.
func exit(st *status.Status) int {
	if st.Class() == status.Permanent {
		return st.Exit()
	}
	return status.ExitUnavailable // expired
}

// spoken is an outcome in Sendmail's words.
func spoken(kind queue.Kind, code status.Code, text string) string {
	switch kind {
	case queue.Delivered, queue.Relayed:
		return "Sent (" + text + ")"
	case queue.Deferred:
		return "Deferred: " + text
	case queue.Expired:
		return "Expired: " + text
	case queue.Failed:
		if code == (status.Code{5, 1, 1}) {
			return "User unknown: " + text
		}
	}
	return text
}

// sayConnecting announces a connection, as Sendmail does.
func (a *attempt) sayConnecting(m smtp.Message, t smtp.Target) {
	if a.Dialogue == nil {
		return
	}
	mailer := "esmtp"
	if t.LMTP {
		mailer = "lmtp"
	}
	names := make([]string, len(m.Rcpts))
	for i, r := range m.Rcpts {
		names[i] = r.Address
	}
	a.say("%s... Connecting to %s via %s...\n", strings.Join(names, ","), place(t), mailer)
}

// say writes to whoever watches.
func (r *run) say(format string, args ...any) {
	if r.Dialogue != nil {
		fmt.Fprintf(r.Dialogue, format, args...)
	}
}
