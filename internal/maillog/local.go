package maillog

import (
	"time"

	"postrider/internal/status"
)

// LocalDelivery is what the delivery agent has done for one recipient.
type LocalDelivery struct {
	To   string // the recipient
	User string // as whom
	UID  int
	Into string // "mailbox", or what an alias or a .forward names
	Took time.Duration
	Code status.Code
	Text string
}

// Local tells what the delivery agent has done, as whom. The outcome of the attempt is queuerun's to tell.
func (l *Logger) Local(id string, d LocalDelivery) {
	e := newEvent("local", id).addr("rcpt", d.To).named("user", d.User).num("uid", int64(d.UID)).named("into", d.Into)
	l.emit(e.secs("delay", d.Took).word("dsn", d.Code.String()).verb("local delivery").free(d.Text))
}

// ForwardIgnored tells that a user's .forward, or a line in it, does not count, and why.
func (l *Logger) ForwardIgnored(id, user, reason string) {
	e := newEvent("forward_ignored", id).named("user", user).verb("forward ignored").free(reason)
	e.severity = sevWarning
	l.emit(e)
}
