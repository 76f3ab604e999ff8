package smtp

import (
	"time"

	"postrider/internal/status"
)

// afterBreak is how long a reply is waited for that explains why the peer has stopped to read.
const afterBreak = 200 * time.Millisecond

// body sends the message and hears its outcome. An error of ours in the middle ends the session without a final dot:
// a message that is cut short must not look whole.
func (t *transaction) body() {
	t.begun = true
	w := blockWriter{s: t.Session}
	err := encodeBody(&w, t.plan.open(t.m))
	if err == nil {
		t.command(".")
		w.flush()
	}
	switch {
	case w.err != nil:
		t.brokenOff(w.err)
	case err != nil:
		t.end(status.New("smtp.body", 451, status.Code{4, 3, 0}, "cannot read the message", err))
	case t.target.LMTP:
		t.finalEach()
	default:
		t.finalOne()
	}
}

// brokenOff ends the session after a failed write, but first looks whether the peer has said why it stopped to read.
func (t *transaction) brokenOff(err error) {
	r, rerr := reply{}, t.conn.SetReadDeadline(time.Now().Add(afterBreak))
	if rerr == nil {
		r, rerr = readReply(t.r, t.caps(), nil)
	}
	if rerr == nil && (r.class() == 4 || r.class() == 5) {
		st := r.status()
		for _, i := range t.accepted {
			t.outcome[i] = st
		}
	}
	t.lost("sending the message", err)
}

// finalOne hears SMTP's one reply for everybody.
func (t *transaction) finalOne() {
	r, err := t.finalReply()
	if err != nil {
		return
	}
	st := r.status()
	for _, i := range t.accepted {
		t.outcome[i] = st
	}
	t.dirty = false
}

// finalEach hears LMTP's reply for each recipient that was accepted, in their order (RFC 2033 section 4.2).
func (t *transaction) finalEach() {
	for _, i := range t.accepted {
		r, err := t.finalReply()
		if err != nil {
			return
		}
		t.outcome[i] = r.status()
	}
	t.dirty = false
}

func (t *transaction) finalReply() (reply, error) {
	r, err := t.reply(t.opt.Timeouts.Final, "the final dot")
	if err == nil && r.class() == 3 {
		err = t.unexpected(r, "the final dot")
	}
	return r, err
}

// blockWriter gathers the message in the session's buffer and sends it block by block, each with its own deadline.
type blockWriter struct {
	s   *Session
	err error
}

// blockSize is how much goes into one write.
const blockSize = 64 << 10

func (w *blockWriter) Write(p []byte) (int, error) {
	for n := 0; n < len(p) && w.err == nil; {
		k := min(len(p)-n, blockSize-len(w.s.out))
		w.s.out = append(w.s.out, p[n:n+k]...)
		n += k
		if len(w.s.out) >= blockSize {
			w.flush()
		}
	}
	return len(p), w.err
}

func (w *blockWriter) flush() {
	if w.err == nil {
		w.err = w.s.write(w.s.opt.Timeouts.Block)
	}
}
