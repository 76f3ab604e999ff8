package queuerun

import (
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

// tell logs a recipient's outcome, shows it to whoever watches, and counts it.
func (a *attempt) tell(rcpt int, kind queue.Kind, st *status.Status, relay, tls string) {
	r := &a.c.Envelope.Rcpts[rcpt]
	text := st.Text()
	if relay != "" && relay != localRelay {
		text = st.Diagnostic()
	}
	delay := a.Now().Sub(a.c.Envelope.Arrival)
	a.Log.Attempt(string(a.ID), r.Address, "", relay, delay, st.Code(), outcomes[kind], text, tls)
	a.say("%s... %s\n", r.Address, spoken(kind, st))
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
		if s.Exit == status.ExitOK && !a.ours && (kind == queue.Failed || kind == queue.Expired) {
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
func spoken(kind queue.Kind, st *status.Status) string {
	switch kind {
	case queue.Delivered, queue.Relayed:
		return "Sent (" + st.Text() + ")"
	case queue.Deferred:
		return "Deferred: " + st.Text()
	case queue.Expired:
		return "Expired: " + st.Text()
	case queue.Failed:
		if st.Code() == (status.Code{5, 1, 1}) {
			return "User unknown: " + st.Text()
		}
	}
	return st.Text()
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
