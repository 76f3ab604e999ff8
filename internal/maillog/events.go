package maillog

import (
	"strings"
	"time"

	"postrider/internal/status"
)

// Outcome is how an attempt at one recipient ended.
type Outcome string

// The four outcomes. Sent: the next hop, or the mailbox, has taken the message. Deferred: it will be tried
// again. Bounced: it never will. Expired: it would be, but its time in the queue is over.
const (
	Sent     Outcome = "sent"
	Deferred Outcome = "deferred"
	Bounced  Outcome = "bounced"
	Expired  Outcome = "expired"
)

// Queued tells that a message was accepted: from is its reverse-path ("" the null one), size that of the
// message in bytes. uid is the submitter's (-1: not known), client the host it came from and tag the
// submitter's own label, each "" when there is none.
func (l *Logger) Queued(id, from string, size int64, nrcpt, uid int, client, tag string) {
	e := newEvent("queued", id).addr("from", from).num("size", size).num("nrcpt", int64(nrcpt))
	e = e.add(part{text: "(queued)", glue: " "}) // here, because readers of Postfix logs expect it here
	if uid >= 0 {
		e = e.num("uid", int64(uid))
	}
	l.emit(e.word("client", client).word("tag", tag))
}

// Attempt tells how an attempt at one recipient ended. orig is the address that the submitter gave, "" when it
// is to. relay is the host, socket or mailer that answered, "" when none was reached. delay runs from the
// message's acceptance. text is the peer's reply or our own reason. tls is the version in use, "" for none.
func (l *Logger) Attempt(id, to, orig, relay string, delay time.Duration, code status.Code, outcome Outcome, text, tls string) {
	if relay == "" {
		relay = "none"
	}
	e := newEvent("attempt", id).addr("to", to)
	if orig != "" && orig != to {
		e = e.addr("orig_to", orig)
	}
	e = e.word("relay", relay).secs("delay", delay).word("dsn", code.String()).word("status", string(outcome))
	l.emit(e.reply(text, tls))
}

// reply adds text and, before it, the TLS version. Readers of Postfix logs want no field they do not know
// between to= and status=, so a text line has tls= within the parentheses.
func (e event) reply(text, tls string) event {
	text, tls = status.Clean(text, maxValue), status.Clean(tls, maxValue)
	shown := text
	if strings.HasPrefix(text, "tls=") { // a peer's text must not pass for ours
		shown = `\x74` + text[1:]
	}
	if tls != "" {
		shown = "tls=" + token(tls) + ": " + shown
		e = e.add(part{key: "tls", value: tls})
	}
	return e.add(part{key: "text", text: "(" + shown + ")", glue: " ", value: text})
}

// Removed tells that a message has left the queue, everything about it being done.
func (l *Logger) Removed(id string) {
	l.emit(newEvent("removed", id).verb("removed"))
}

// Held tells that a message waits for the administrator, and who put it there.
func (l *Logger) Held(id, reason, by string) {
	l.emit(newEvent("held", id).word("by", by).verb("held").free(reason))
}

// Released tells that a held message is back in the queue.
func (l *Logger) Released(id, by string) {
	l.emit(newEvent("released", id).word("by", by).verb("released"))
}

// Requeued tells that a message starts over: it is due now, and its recipients are routed afresh.
func (l *Logger) Requeued(id, by string) {
	l.emit(newEvent("requeued", id).word("by", by).verb("requeued"))
}

// Deleted tells that somebody threw a message away.
func (l *Logger) Deleted(id, by string) {
	l.emit(newEvent("deleted", id).word("by", by).verb("deleted"))
}

// Report tells that a DSN about message id was queued as reportID. kind is failure, delay or success.
func (l *Logger) Report(id, reportID, kind string) {
	l.emit(newEvent("report", id).word("report", reportID).word("kind", kind))
}

// Refused tells that a submission was not accepted. There is no queue ID: nothing is left of it.
func (l *Logger) Refused(from string, uid int, code status.Code, text string) {
	e := newEvent("refused", "").addr("from", from)
	if uid >= 0 {
		e = e.num("uid", int64(uid))
	}
	l.emit(e.word("dsn", code.String()).verb("refused").free(text))
}

// Corrupt tells that a file was set aside because it is not a whole queue file. name is its name in the spool,
// and holds the queue ID.
func (l *Logger) Corrupt(name, reason string) {
	e := newEvent("corrupt", "").addr("file", name).verb("corrupt").free(reason)
	e.severity = sevWarning
	l.emit(e)
}

// RunStart tells that a queue run begins, and why.
func (l *Logger) RunStart(reason string) {
	l.emit(newEvent("run_start", "").verb("run started").free(reason))
}

// RunStats counts what a queue run did: messages claimed, and recipients by outcome.
type RunStats struct {
	Messages, Sent, Deferred, Bounced, Expired int
	Took                                       time.Duration
}

// RunEnd tells that a queue run is over.
func (l *Logger) RunEnd(s RunStats) {
	e := newEvent("run_end", "").num("messages", int64(s.Messages)).num("sent", int64(s.Sent))
	e = e.num("deferred", int64(s.Deferred)).num("bounced", int64(s.Bounced)).num("expired", int64(s.Expired))
	l.emit(e.secs("delay", s.Took).verb("run ended"))
}

// Warning tells what went wrong outside an attempt and did not end the program: program, act, object, cause.
// id is the message concerned, "" when there is none.
func (l *Logger) Warning(id, text string) {
	e := newEvent("warning", id).verb("warning").free(text)
	e.severity = sevWarning
	l.emit(e)
}

// lostLines precedes the first line after n that could not be written.
func lostLines(n int) event {
	e := newEvent("lost", "").num("lines", int64(n)).verb("lost")
	e.severity = sevWarning
	return e
}
