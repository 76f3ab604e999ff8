package auth

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// dovecot has Dovecot's authentication service check logins, by its protocol for clients, version 1.2. Each exchange has
// a connection of its own.
type dovecot struct {
	path string
	now  func() time.Time

	mu     sync.Mutex
	list   []string // of mechanisms; nil: it was never heard of
	heard  time.Time
	asking bool
}

// The bounds on how long Dovecot may take. It delays its answer to a wrong password by some seconds.
const (
	dovecotTime  = 30 * time.Second
	dovecotAsk   = 2 * time.Second // while a client waits for the answer to EHLO
	dovecotFresh = time.Minute     // for so long the list of mechanisms is good
)

// throughDovecot are the mechanisms whose messages may pass through us. Not among them is what binds to the channel,
// which Dovecot does not see, and ANONYMOUS.
var throughDovecot = []string{"SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"}

// mechanisms are those that Dovecot offers and that may pass through us. Until it is first heard of it is supposed to
// check passwords, so that a client gets a temporary failure instead of none of its mechanisms.
func (d *dovecot) mechanisms() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if stale := d.list == nil || now.Sub(d.heard) >= dovecotFresh || now.Before(d.heard); stale && !d.asking {
		d.asking = true
		d.mu.Unlock()
		d.ask()
		d.mu.Lock()
		d.asking = false
	}
	if d.list == nil {
		return []string{"PLAIN", "LOGIN"}
	}
	return d.list
}

// ask hears which mechanisms there are. When nobody answers, those of the last time stay.
func (d *dovecot) ask() {
	if c, err := dialDovecot(context.Background(), d.path, dovecotAsk); err == nil {
		d.offers(c.offered)
		c.close()
	}
}

// offers notes which mechanisms Dovecot has.
func (d *dovecot) offers(names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heard = d.now()
	d.list = []string{}
	for _, name := range throughDovecot {
		if slices.Contains(names, name) {
			d.list = append(d.list, name)
		}
	}
}

// exchange passes the messages of a mechanism to Dovecot and back. The connection ends with the exchange, or with ctx.
func (d *dovecot) exchange(ctx context.Context, mechanism string, ch Channel) Exchange {
	x := &exchange{}
	x.next = func(response []byte) ([]byte, step, error) {
		c, err := dialDovecot(ctx, d.path, dovecotTime)
		if err != nil {
			return nil, nil, temporary(err)
		}
		d.offers(c.offered)
		return x.relay(c, c.begin(mechanism, ch, response))
	}
	return x
}

// relay takes Dovecot's reply to what was sent, with err, a moment ago.
func (x *exchange) relay(c *dovecotConn, err error) ([]byte, step, error) {
	var r reply
	if err == nil {
		r, err = c.reply()
	}
	if err != nil {
		c.close()
		return nil, nil, temporary(err)
	}
	if r.verdict == "CONT" {
		return r.data, func(response []byte) ([]byte, step, error) { return x.relay(c, c.proceed(response)) }, nil
	}
	c.close()
	x.login = r.user
	return r.data, nil, r.err()
}

// err is what a last reply means. OK with nologin or proxy says that the password was right, but that the user must not
// get in here.
func (r reply) err() error {
	switch {
	case r.temporary:
		return temporary(errors.New("dovecot: " + r.reason))
	case r.verdict != "OK":
		return failed(errors.New("dovecot: " + r.reason))
	case r.refused:
		return failed(errors.New("dovecot: the user may not log in here"))
	case r.user == "":
		return temporary(errors.New("dovecot did not say who the user is"))
	}
	return nil
}
