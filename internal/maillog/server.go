package maillog

import (
	"time"

	"postrider/internal/status"
)

// Arrival is how a message came by SMTP or LMTP. What is "" is left out.
type Arrival struct {
	Client string // "name[addr]"
	Via    string // the address of whoever has told of this client; "" when it came itself
	Helo   string // what it called itself
	Proto  string // "ESMTPSA"
	TLS    string // version and cipher suite
	Login  string // as whom it had logged in
	Reason string // why it was taken: what made the client or its recipients ours
}

// Received tells that a message was accepted, as Queued does, from a session of the server. uid is that of a client of
// this machine, -1 when there is none.
func (l *Logger) Received(id, from string, size int64, nrcpt, uid int, a Arrival) {
	e := newEvent("queued", id).addr("from", from).num("size", size).num("nrcpt", int64(nrcpt))
	e = e.add(part{text: "(queued)", glue: " "})
	if uid >= 0 {
		e = e.num("uid", int64(uid))
	}
	l.emit(e.word("client", a.Client).word("via", a.Via).named("helo", a.Helo).word("proto", a.Proto).word("tls", a.TLS).named("login", a.Login).word("why", a.Reason))
}

// named adds a name in angle brackets, if there is one.
func (e event) named(key, v string) event {
	if v == "" {
		return e
	}
	return e.addr(key, v)
}

// Discarded tells that a message was taken and thrown away, as the policy wants it, and why.
func (l *Logger) Discarded(from string, nrcpt int, a Arrival) {
	l.emit(a.event("discarded").addr("from", from).num("nrcpt", int64(nrcpt)).verb("discarded").free(a.Reason))
}

// RcptDiscarded tells that one recipient of a message was taken and will not get it, as the policy wants it, and why.
func (l *Logger) RcptDiscarded(from, to string, a Arrival) {
	l.emit(a.event("discarded").addr("from", from).addr("to", to).verb("discarded").free(a.Reason))
}

// Turned tells that a client has started a queue run for a domain by ETRN, and the reply.
func (l *Logger) Turned(domain, reply string, a Arrival) {
	l.emit(a.event("turned").word("domain", domain).verb("queue run wanted").free(reply))
}

// event begins an event that has no queue ID.
func (a Arrival) event(name string) event {
	return newEvent(name, "").word("client", a.Client).word("via", a.Via).named("helo", a.Helo).named("login", a.Login)
}

// Rejection is what the server has refused.
type Rejection struct {
	Command string // the verb, CONNECT for a client, DATA for a message
	Client  string // "name[addr]"
	Via     string // as in Arrival
	Helo    string
	Login   string
	Mail    bool   // it belongs to a transaction: From is its reverse-path
	From    string // "" the null one
	To      string // the recipient, or the name that was asked for; "" when there is none
	Reply   string // code, enhanced code and text
	Reason  string // why, when the reply does not say it
}

// Rejected tells that the server has refused a client, a command or a message.
func (l *Logger) Rejected(r Rejection) {
	e := Arrival{Client: r.Client, Via: r.Via, Helo: r.Helo, Login: r.Login}.event("rejected").word("command", r.Command)
	if r.Mail {
		e = e.addr("from", r.From)
	}
	if r.Reason != "" {
		e = e.add(part{key: "why", text: "why=" + token(r.Reason), glue: ", ", value: status.Clean(r.Reason, maxValue)})
	}
	l.emit(e.named("to", r.To).verb("rejected").free(r.Reply))
}

// LoggedIn tells that a client has logged in. mechanism is that of SASL.
func (l *Logger) LoggedIn(client, mechanism, login string) {
	l.emit(newEvent("login", "").word("client", client).word("mechanism", mechanism).named("login", login).verb("logged in"))
}

// LoginFailed tells that it could not, and what it was told.
func (l *Logger) LoginFailed(client, mechanism, login, reply string) {
	l.emit(newEvent("login_failed", "").word("client", client).word("mechanism", mechanism).named("login", login).verb("login failed").free(reply))
}

// SessionCount counts what was done in a session.
type SessionCount struct {
	Commands, Messages, Recipients, Refused int
}

// Session tells that a session is over, and what ended it.
func (l *Logger) Session(client, helo, proto, tls string, c SessionCount, took time.Duration, end string) {
	e := newEvent("session", "").word("client", client).named("helo", helo).word("proto", proto).word("tls", tls)
	e = e.num("commands", int64(c.Commands)).num("messages", int64(c.Messages)).num("rcpts", int64(c.Recipients)).num("refused", int64(c.Refused))
	l.emit(e.secs("delay", took).verb("session ended").free(end))
}

// ServerState is what a server has just done.
type ServerState string

// The states of which a server tells.
const (
	ServerStarted     ServerState = "started"
	ServerReloaded    ServerState = "reloaded"
	ServerNotReloaded ServerState = "not-reloaded"
	ServerStopping    ServerState = "stopping"
	ServerStopped     ServerState = "stopped"
)

// Server tells that a server has started, has read its configuration again or has refused to, or goes down.
func (l *Logger) Server(state ServerState, text string) {
	e := newEvent("server", "").word("state", string(state)).free(text)
	if state == ServerNotReloaded {
		e.severity = sevWarning
	}
	l.emit(e)
}
