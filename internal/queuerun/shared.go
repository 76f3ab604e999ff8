package queuerun

import (
	"errors"
	"time"

	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// shared is what runs tell one another, in the spool, of next hops that could not be reached: of a hundred programs
// that send a message while the smarthost is down, one waits for the connection and the others read its note. A nil
// *shared tells and knows nothing.
type shared struct {
	spool *queue.Spool
	now   func() time.Time
	most  time.Duration // how long a note holds at most
	heed  bool          // notes of others are heeded
}

// dead tells until when a next hop is not to be tried, and why, if others have found it dead.
func (s *shared) dead(key string) (until time.Time, why *status.Status) {
	if s == nil || !s.heed {
		return until, nil
	}
	h, ok := s.spool.Host(key)
	// A time further off than we would set means that the clock, or the configuration, was another.
	if left := h.Until.Sub(s.now()); !ok || left <= 0 || left > s.most || !unreachable(h.Code) {
		return until, nil
	}
	return h.Until, whyNot(h.Relay, status.New("queuerun.shared", 451, h.Code, h.Text, nil))
}

// failed notes that no session could be had, unless a host was there and would not have us.
func (s *shared) failed(key string, until time.Time, why *status.Status) {
	if s == nil || !unreachable(why.Code()) {
		return
	}
	h := queue.Host{Name: key, Until: until, Code: why.Code(), Text: why.Text()}
	if at := (*atHost)(nil); errors.As(why, &at) {
		h.Relay, h.Text = at.host, at.why.Text()
	}
	s.spool.FailHost(h)
}

// reached takes back what was noted.
func (s *shared) reached(key string) {
	if s != nil {
		s.spool.ClearHost(key)
	}
}

// forget takes back all notes, of whomever.
func (s *shared) forget() {
	if s != nil {
		s.spool.ClearHosts()
	}
}

// unreachable tells whether a code is about the way to a host, for now (RFC 3463 section 3.5), and not about what it
// answers.
func unreachable(code status.Code) bool { return code[0] == 4 && code[1] == 4 }

// atHost is why a host gives no session. It is the cause in a status that names the host.
type atHost struct {
	host string
	why  *status.Status
}

func (e *atHost) Error() string { return e.why.Error() }
func (e *atHost) Unwrap() error { return e.why }

// whyNot is why with the name of the host, if there is one.
func whyNot(host string, why *status.Status) *status.Status {
	if host == "" {
		return why
	}
	text := why.Text()
	if why.Op() == smtp.OpReply {
		text = why.Diagnostic()
	}
	return status.New("queuerun.dial", why.Reply(), why.Code(), status.Clean(host+": "+text, status.MaxText), &atHost{host, why})
}
