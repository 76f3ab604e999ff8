package dsn

import (
	"strings"

	"postrider/queue"
)

// Action is what happened to a recipient (RFC 3464 section 2.3.3). The zero value is nothing to tell: the
// outcome is open and not late, or a host that knows DSN has taken the message over and will report itself.
type Action string

// The actions. Relayed is said of a recipient that was handed to a host that does not know DSN. Two are for senders who
// set a deadline (RFC 2852) and tell of more than the action that the report's fields name: Traced is a Relayed of which
// he wants to hear, and Overdue a Delayed when the deadline has passed.
const (
	Failed    Action = "failed"
	Delayed   Action = "delayed"
	Delivered Action = "delivered"
	Relayed   Action = "relayed"
	Expanded  Action = "expanded"
	Traced    Action = "traced"
	Overdue   Action = "overdue"
)

// field is the action as the field Action has it.
func (a Action) field() string {
	switch a {
	case Traced:
		a = Relayed
	case Overdue:
		a = Delayed
	}
	return string(a)
}

// ProtoReport and ProtoDouble are the Envelope.Proto of reports: those to senders, and those to the postmaster
// about messages without a sender. Nothing is ever reported about the latter.
const (
	ProtoReport = "report"
	ProtoDouble = "double-bounce"
)

// Wanted tells whether the sender is to hear of an action, given the recipient's NOTIFY parameter. Without the
// parameter the sender hears of failures and delays (RFC 3461 section 4.1). A deadline asks for reports of its own, which
// only NEVER keeps back (RFC 2852 section 4.1.4).
func Wanted(n queue.Notify, a Action) bool {
	if n == 0 {
		n = queue.NotifyFailure | queue.NotifyDelay
	}
	switch a {
	case Failed:
		return n&queue.NotifyFailure != 0
	case Delayed:
		return n&queue.NotifyDelay != 0
	case Delivered, Relayed, Expanded:
		return n&queue.NotifySuccess != 0
	case Traced, Overdue:
		return n != queue.NotifyNever
	}
	return false
}

// Plan is who is to be told of what.
type Plan struct {
	To     string // the report's recipient
	Double bool   // it is the postmaster, since the message has no sender
	Tell   []int  // recipients that the report is about, by their index; none: no report is due
	Lost   []int  // failed recipients of whom nobody can be told any more; to be logged
}

// Decide plans the report about a message. actions has an element for each of e.Rcpts. postmaster is where
// failures of messages without a sender go.
//
// A message without a sender is never reported to anybody but the postmaster, and then its failures only. When
// even that report fails, or it is the postmaster's own mailbox that failed, the story ends (RFC 5321 section
// 6.1: no report about a report).
func Decide(e *queue.Envelope, actions []Action, postmaster string) Plan {
	if e.Sender == "" {
		return decideNull(e, actions, postmaster)
	}
	p := Plan{To: e.Sender}
	for i, a := range actions {
		if Wanted(e.Rcpts[i].Notify, a) {
			p.Tell = append(p.Tell, i)
		}
	}
	return p
}

func decideNull(e *queue.Envelope, actions []Action, postmaster string) Plan {
	p := Plan{To: postmaster, Double: true}
	for i, a := range actions {
		if a != Failed {
			continue
		}
		r := e.Rcpts[i]
		if e.Proto == ProtoDouble || r.Notify == queue.NotifyNever || strings.EqualFold(r.Address, postmaster) {
			p.Lost = append(p.Lost, i)
		} else {
			p.Tell = append(p.Tell, i)
		}
	}
	return p
}
