package smtp

import (
	"strconv"
	"time"

	"postrider/internal/status"
)

// maxBy is the most seconds, before or after now, that BY= can tell (RFC 2852 section 4).
const maxBy = 999_999_999

// left is how many whole seconds there are before the deadline; none or less when it has passed.
func (t *transaction) left() int64 {
	d := t.m.By.Sub(t.opt.Now())
	n := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		n--
	}
	return min(max(n, -maxBy), maxBy)
}

// byParameter adds BY= where it is offered. Whatever time is left is the peer's (RFC 2852 section 4.1.4.1).
func (t *transaction) byParameter(b []byte) []byte {
	if !t.ext.deliverBy || t.m.By.IsZero() {
		return b
	}
	left, mode := t.left(), ";N"
	if !t.m.ByNotify {
		left, mode = max(left, 1), ";R" // the time since checkDeadline has looked is forgiven
	}
	b = append(strconv.AppendInt(append(b, " BY="...), left, 10), mode...)
	if t.m.ByTrace {
		b = append(b, 'T')
	}
	return b
}

// checkDeadline is nil when the message may go to this peer. In mode N it always may. In mode R it may only while there
// is time, and to a peer that takes the deadline over (RFC 2852 sections 4.1.4.1 and 4.1.4.2). An LMTP peer delivers
// before it answers.
func (t *transaction) checkDeadline() *status.Status {
	if t.m.By.IsZero() || t.m.ByNotify {
		return nil
	}
	switch left := t.left(); {
	case left <= 0:
		return tooLate("delivery time expired")
	case !t.ext.deliverBy && !t.target.LMTP:
		return tooLate("the message has to be delivered in time or returned, but the peer does not offer DELIVERBY")
	case left < t.ext.byMin:
		return tooLate("the message cannot be delivered in time: " + strconv.FormatInt(left, 10) +
			" seconds are left, the peer wants " + strconv.FormatInt(t.ext.byMin, 10))
	}
	return nil
}

func tooLate(why string) *status.Status {
	return status.New("smtp.deliverby", 554, status.Code{5, 4, 7}, why, nil)
}
