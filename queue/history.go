package queue

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"postrider/internal/status"
)

// Kind is what a journal record tells.
type Kind uint8

// The kinds of records. Those from Delivered to Expanded are outcomes of recipients.
const (
	Delivered Kind = iota + 1 // handed over: final
	Relayed                   // handed to a host that does not know DSN: final (RFC 3461 section 6.1)
	Deferred                  // to be tried again
	Failed                    // refused for good: final, but a report may be due
	Expired                   // given up after the queue's lifetime: final, but a report may be due
	Expanded                  // Members recipients took its place: final (made by Claim.Expand)
	Intent                    // a report with ID is about to be committed for the recipients
	Reported                  // the report is committed, or it was decided that none is due
	Warned                    // a delay report is committed for the recipients
	HeldBy                    // an administrator held the message; Text is the reason
	Released                  // and let it go
)

var kindNames = [...]string{Delivered: "delivered", Relayed: "relayed", Deferred: "deferred", Failed: "failed", Expired: "expired",
	Expanded: "expanded",
	Intent:   "intent", Reported: "reported", Warned: "warned", HeldBy: "held", Released: "released"}

// String is the kind's word in journals and listings.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return "?"
}

func (k Kind) outcome() bool { return k >= Delivered && k <= Expanded }

// final tells whether losing the record could deliver, or report, twice.
func (k Kind) final() bool { return k != Deferred }

// Span is a run of recipients, by their index in Envelope.Rcpts, both ends included.
type Span struct{ First, Last int }

// WholeMessage is the Span of a record that is about no recipient in particular.
var WholeMessage = Span{-1, -1}

// One is the Span of a single recipient.
func One(rcpt int) Span { return Span{rcpt, rcpt} }

// Record is one thing that happened to a message after it was accepted.
type Record struct {
	Time    time.Time
	Kind    Kind
	Rcpts   Span
	Reply   int         // reply code of an outcome
	Code    status.Code // its enhanced code
	Relay   string      // who answered, "mx.example[192.0.2.7]:25"
	Text    string      // what was answered, or why
	ID      ID          // the report of Intent, Reported and Warned
	Members int         // of Expanded: how many
}

// appendRecord writes a record as one line: a checksum of the rest, the time, the kind, the recipients, and
// what else there is.
func appendRecord(b []byte, r *Record) []byte {
	line := fmt.Appendf(appendTime(nil, r.Time), " %s %d-%d", r.Kind, r.Rcpts.First+1, r.Rcpts.Last+1)
	if r.Reply != 0 {
		line = appendParam(line, "reply", strconv.Itoa(r.Reply))
	}
	line = appendParam(line, "code", r.Code.String())
	line = appendParam(line, "relay", r.Relay)
	line = appendParam(line, "id", string(r.ID))
	if r.Members != 0 {
		line = appendParam(line, "members", strconv.Itoa(r.Members))
	}
	line = appendParam(line, "text", r.Text)
	return appendChecked(b, line)
}

// journalLine is a line of a journal: the time, what happened, to whom, and the rest of it.
type journalLine struct {
	time time.Time
	kind string
	span Span
	rest string
}

// cutLine takes a line of a journal apart; false when it is torn or foreign.
func cutLine(line string) (l journalLine, ok bool) {
	rest, ok := cutChecked(line)
	if !ok {
		return l, false
	}
	when, rest, _ := strings.Cut(rest, " ")
	if l.time, ok = parseTime(when); !ok {
		return l, false
	}
	l.kind, rest, _ = strings.Cut(rest, " ")
	span, rest, _ := strings.Cut(rest, " ")
	first, last, _ := strings.Cut(span, "-")
	a, okA := decimal(first)
	z, okZ := decimal(last)
	l.span, l.rest = Span{int(a) - 1, int(z) - 1}, rest
	return l, okA && okZ && a <= z
}

// parseRecord reads a line of a journal; false when it is torn or foreign.
func parseRecord(line string) (r Record, ok bool) {
	l, ok := cutLine(line)
	if !ok {
		return r, false
	}
	return l.record()
}

// record is the line as a Record; false when it is none.
func (l *journalLine) record() (r Record, ok bool) {
	r.Time, r.Rcpts = l.time, l.span
	for k, name := range kindNames {
		if name == l.kind && name != "" {
			r.Kind = Kind(k)
		}
	}
	if r.Kind == 0 {
		return r, false
	}
	ok = params(l.rest, func(key, value string) {
		switch key {
		case "reply":
			r.Reply, _ = strconv.Atoi(value)
		case "code":
			r.Code, _, _ = status.ParseCode(value)
		case "relay":
			r.Relay = value
		case "id":
			r.ID = ID(value)
		case "members":
			r.Members, _ = strconv.Atoi(value)
		case "text":
			r.Text = value
		}
	})
	return r, ok
}

// History is what the journal of a message tells. The zero value is the history of a message to which nothing
// has happened.
type History struct {
	events   []Record
	members  []Rcpt // recipients that expansions brought, behind those of the envelope
	last     []int  // by recipient: index of the newest outcome in events, plus one
	report   []ID   // by recipient: report that is intended or committed
	reported []bool
	warned   bool
	reason   string // why the message is held
	attempts int
	tried    time.Time // time of the newest attempt that deferred
}

// parseHistory reads a journal for a message with n recipients. Lines that are torn are passed over: what they
// would have told did not become durable.
func parseHistory(text []byte, n int) History {
	h, x := newHistory(n), expansions{known: n}
	for rest := string(text); rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		l, ok := cutLine(line)
		if !ok {
			continue
		}
		if l.kind == memberRecord {
			if m, ok := parseMember(l.rest); ok {
				x.member(l.span.First, m)
			}
			continue
		}
		r, ok := l.record()
		switch {
		case ok && r.Kind != Expanded:
			h.add(r)
		case ok && x.whole(&r):
			h.expand(r, x.members[len(x.members)-r.Members:], x.known-r.Members)
		}
	}
	h.members = x.members
	return h
}

func newHistory(n int) History {
	return History{last: make([]int, n), report: make([]ID, n), reported: make([]bool, n)}
}

// grow makes room for the outcomes of n recipients.
func (h *History) grow(n int) {
	if more := n - len(h.last); more > 0 {
		h.last = append(h.last, make([]int, more)...)
		h.report = append(h.report, make([]ID, more)...)
		h.reported = append(h.reported, make([]bool, more)...)
	}
}

func (h *History) add(r Record) {
	h.events = append(h.events, r)
	switch r.Kind {
	case Warned:
		h.warned = true
	case HeldBy:
		h.reason = r.Text
	case Released:
		h.reason = ""
	case Deferred:
		if !r.Time.Equal(h.tried) {
			h.tried = r.Time
			h.attempts++
		}
	}
	for i := max(r.Rcpts.First, 0); i <= r.Rcpts.Last && i < len(h.last); i++ {
		switch {
		case r.Kind.outcome() && !h.Done(i):
			h.last[i] = len(h.events)
		case r.Kind == Intent:
			h.report[i] = r.ID
		case r.Kind == Reported:
			h.report[i], h.reported[i] = r.ID, true
		}
	}
}

// takeMembers are the recipients that expansions brought. They are the caller's.
func (h *History) takeMembers() []Rcpt {
	members := h.members
	h.members = nil
	return members
}

// Events are all records, oldest first.
func (h *History) Events() []Record { return h.events }

// Last is the newest outcome of a recipient. Once an outcome is final it stays.
func (h *History) Last(rcpt int) (Record, bool) {
	if rcpt >= len(h.last) || h.last[rcpt] == 0 {
		return Record{}, false
	}
	return h.events[h.last[rcpt]-1], true
}

// Done tells whether a recipient's outcome is final.
func (h *History) Done(rcpt int) bool {
	r, ok := h.Last(rcpt)
	return ok && r.Kind != Deferred
}

// Reported tells whether the report that a recipient's outcome calls for is committed.
func (h *History) Reported(rcpt int) bool { return rcpt < len(h.reported) && h.reported[rcpt] }

// Intended is the report that was about to be committed for a recipient when the history ended.
func (h *History) Intended(rcpt int) (ID, bool) {
	if rcpt >= len(h.report) || h.reported[rcpt] {
		return "", false
	}
	return h.report[rcpt], h.report[rcpt] != ""
}

// Warned tells whether a delay report has gone out.
func (h *History) Warned() bool { return h.warned }

// Attempts is how many attempts ended in a deferral.
func (h *History) Attempts() int { return h.attempts }

// HoldReason is why the message is held; "" when it is not, or no reason was given.
func (h *History) HoldReason() string { return h.reason }
