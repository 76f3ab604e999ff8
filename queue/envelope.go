package queue

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Notify is the NOTIFY parameter of a recipient (RFC 3461 section 4.1); zero when it was not given.
type Notify uint8

// The keywords of NOTIFY. NotifyNever excludes the others.
const (
	NotifySuccess Notify = 1 << iota
	NotifyFailure
	NotifyDelay
	NotifyNever
)

var notifyNames = []struct {
	bit  Notify
	name string
}{{NotifyNever, "NEVER"}, {NotifySuccess, "SUCCESS"}, {NotifyFailure, "FAILURE"}, {NotifyDelay, "DELAY"}}

// String is the parameter's value as SMTP carries it.
func (n Notify) String() string {
	var names []string
	for _, row := range notifyNames {
		if n&row.bit != 0 {
			names = append(names, row.name)
		}
	}
	return strings.Join(names, ",")
}

// ParseNotify reads the value of a NOTIFY parameter, in any case of letters.
func ParseNotify(s string) (Notify, error) {
	var n Notify
next:
	for word := range strings.SplitSeq(s, ",") {
		for _, row := range notifyNames {
			if strings.EqualFold(word, row.name) {
				n |= row.bit
				continue next
			}
		}
		return 0, fmt.Errorf("not a NOTIFY condition: %.40q", word)
	}
	if n&NotifyNever != 0 && n != NotifyNever {
		return 0, fmt.Errorf("NEVER stands alone: %.40q", s)
	}
	return n, nil
}

// Rcpt is one forward-path of a message and its DSN terms.
type Rcpt struct {
	Address string // wire form, without angle brackets
	ORcpt   string // as the ORCPT parameter carried it, "rfc822;..." with xtext; "" when it was not given
	Notify  Notify
	NoAlias bool // its aliases are not expanded: it was written "\alice"

	// These are of recipients that took the place of another after the message was accepted (Claim.Expand): of an alias,
	// or of a user whose .forward names them.
	Parent int    // whose place it took, by its number from 1; 0: the recipient is the sender's own
	Sender string // envelope sender for it, the list's owner; "": the message's own
	Agent  string // "": Address is an address; else what it is instead, as a command
	Via    string // wire form: the user whose .forward names it or, with a command, the alias that does; "": an alias
	Same   int    // the recipient that it was already, by its number from 1: it gets nothing for itself; 0: none
}

// Parent is the address of the alias, or the user, in whose place recipient i is; "" when the sender wrote to i itself.
func (e *Envelope) Parent(i int) string {
	if p := e.parent(i); p >= 0 {
		return e.Rcpts[p].Address
	}
	return ""
}

// Root is the address that the sender wrote to and that has led to recipient i; "" when it is i's own.
func (e *Envelope) Root(i int) string {
	address := ""
	for i = e.parent(i); i >= 0; i = e.parent(i) {
		address = e.Rcpts[i].Address
	}
	return address
}

// parent is in whose place a recipient is; -1: nobody's. A journal may say anything, but not lead in a circle.
func (e *Envelope) parent(i int) int {
	if p := e.Rcpts[i].Parent - 1; p < i {
		return p
	}
	return -1
}

// Forwarder is the user whose .forward names recipient i; "" when an alias does, or the sender.
func (e *Envelope) Forwarder(i int) string {
	if r := &e.Rcpts[i]; r.Parent > 0 && !r.NoAlias {
		return r.Via
	}
	return ""
}

// Own are the recipients that the sender gave. Those that took the place of others come behind them.
func (e *Envelope) Own() []Rcpt {
	for i := range e.Rcpts {
		if e.Rcpts[i].Parent > 0 {
			return e.Rcpts[:i]
		}
	}
	return e.Rcpts
}

// Envelope is what is known of a message beside its text. Strings are data: any bytes are kept.
type Envelope struct {
	Arrival time.Time
	Sender  string // reverse-path in wire form; "" is the null reverse-path
	Rcpts   []Rcpt
	Ret     string // RET: "", "FULL" or "HDRS"
	EnvID   string // ENVID in xtext; "" when it was not given
	Body    string // BODY as declared: "", "7BIT", "8BITMIME"
	UTF8    bool   // SMTPUTF8: addresses or header need it
	UID     int    // who submitted it on this machine; -1 when it came over the network
	User    string // that user's name
	Client  string // who handed it over by SMTP, "name[address]"
	Proto   string // how it came: "local", "ESMTP", ...
	Login   string // who had logged in there
	Auth    string // AUTH parameter (RFC 4954 section 5) in xtext
	Tag     string // the submitter's tag for log lines
	NoAlias bool   // no recipient's aliases are expanded

	By       time.Time // deadline of the delivery (RFC 2852); zero: none
	ByNotify bool      // after it the sender is told (mode N), else the message is returned (mode R)
	ByTrace  bool      // the sender hears when the message is passed on
	Release  time.Time // no attempt before (RFC 4865); zero: at once

	extra []string
}

// Traits are what the writer saw of a message while it passed.
type Traits struct {
	EightBit       bool  // a byte above 0x7f anywhere
	EightBitHeader bool  // a byte above 0x7f in the header
	MaxLine        int   // longest line in bytes, without its CRLF
	Header         int64 // bytes of the header, with the empty line that ends it
	sum            uint32
}

const measuredLen = len("measured: 8bit=false head8bit=false maxline=0000000000 header=0000000000 sum=00000000\n")

// measuredLine is the line that Commit writes over when the whole message has been seen, so its length is fixed. No
// header is longer than it can tell; a line that is has as many bytes as it can.
func measuredLine(t Traits) []byte {
	b := append(make([]byte, 0, measuredLen), "measured: 8bit="...)
	b = append(strconv.AppendBool(b, t.EightBit), " head8bit="...)
	b = append(strconv.AppendBool(b, t.EightBitHeader), " maxline="...)
	b = append(appendPadded(b, min(uint64(t.MaxLine), 9999999999), 10, 10), " header="...)
	b = append(appendPadded(b, uint64(t.Header), 10, 10), " sum="...)
	b = appendPadded(b, uint64(t.sum), 16, 8)
	for len(b) < measuredLen-1 {
		b = append(b, ' ')
	}
	return append(b, '\n')
}

// appendEnvelope writes the envelope and the empty line. The measured line is second, at measuredAt.
func appendEnvelope(b []byte, e *Envelope) []byte {
	b = append(b, "version: 1\n"...)
	b = append(b, measuredLine(Traits{})...)
	b = append(appendTime(append(b, "arrival: "...), e.Arrival), "\nsender: "...)
	b = append(appendWord(b, e.Sender), '\n')
	for _, f := range e.fields() {
		if f.value != "" {
			b = append(append(b, f.name...), ": "...)
			b = append(appendWord(b, f.value), '\n')
		}
	}
	for _, line := range e.extra {
		b = append(append(b, line...), '\n')
	}
	for i := range e.Rcpts {
		r := &e.Rcpts[i]
		b = append(b, "rcpt: "...)
		b = appendWord(b, r.Address)
		b = appendParam(b, "notify", r.Notify.String())
		b = appendParam(b, "orcpt", r.ORcpt)
		b = appendParam(b, "noalias", yes(r.NoAlias))
		b = append(b, '\n')
	}
	return append(b, '\n')
}

const measuredAt = len("version: 1\n")

type field struct{ name, value string }

// fields are the optional fields in the order in which they are written.
func (e *Envelope) fields() [16]field {
	uid := ""
	if e.UID >= 0 {
		uid = strconv.Itoa(e.UID)
	}
	return [16]field{
		{"uid", uid}, {"user", e.User}, {"client", e.Client}, {"proto", e.Proto}, {"auth", e.Auth},
		{"tag", e.Tag}, {"body", e.Body}, {"utf8", yes(e.UTF8)}, {"ret", e.Ret}, {"envid", e.EnvID},
		{"noalias", yes(e.NoAlias)}, {"login", e.Login}, {"by", timeValue(e.By)}, {"bynotify", yes(e.ByNotify)},
		{"bytrace", yes(e.ByTrace)}, {"release", timeValue(e.Release)},
	}
}

// yes is the value of a field or parameter that is there when it is true.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// timeValue is the value of a field that is there unless the time is zero.
func timeValue(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return string(appendTime(nil, t))
}

var errEnvelope = errors.New("not a queue file's envelope")

// parseEnvelope reads an envelope at the start of b. n is its length with the empty line; -1 when b ends before
// it does. An error says that it is none.
func parseEnvelope(b []byte) (e Envelope, t Traits, n int, err error) {
	const first = "version: 1\nmeasured: "
	if len(b) < len(first) || string(b[:len(first)]) != first {
		if len(b) < len(first) && bytes.HasPrefix([]byte(first), b) {
			return e, t, -1, nil
		}
		return e, t, 0, fmt.Errorf("%w: no version 1 at its start", errEnvelope)
	}
	end := bytes.Index(b, []byte("\n\n"))
	if end < 0 {
		return e, t, -1, nil
	}
	e.UID = -1
	e.Rcpts = make([]Rcpt, 0, bytes.Count(b[:end], []byte("\nrcpt: ")))
	text, seen := string(b[:end]), seenFields(0)
	for more := true; more; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		colon := strings.IndexByte(line, ':')
		if colon < 0 || !strings.HasPrefix(line[colon:], ": ") || !e.set(&t, &seen, line[:colon], line[colon+2:], line) {
			return e, t, 0, fmt.Errorf("%w: bad line %.80q", errEnvelope, line)
		}
	}
	if seen != seenAll || len(e.Rcpts) == 0 {
		return e, t, 0, fmt.Errorf("%w: a field is missing", errEnvelope)
	}
	return e, t, end + 2, nil
}

// seenFields are the fields that every envelope has.
type seenFields uint8

const (
	seenVersion seenFields = 1 << iota
	seenMeasured
	seenArrival
	seenSender
	seenAll = seenVersion | seenMeasured | seenArrival | seenSender
)

// set takes one line of an envelope; false when its value cannot be read.
func (e *Envelope) set(t *Traits, seen *seenFields, name, value, line string) bool {
	ok := true
	switch name {
	case "version":
		*seen |= seenVersion
		return value == "1"
	case "measured":
		*seen |= seenMeasured
		return t.parse(value)
	case "arrival":
		*seen |= seenArrival
		e.Arrival, ok = parseTime(value)
		return ok
	case "rcpt":
		return e.addRcpt(value)
	case "sender":
		*seen |= seenSender
		e.Sender, ok = readWord(value)
		return ok
	}
	to := e.optional(name)
	if to == nil {
		e.extra = append(e.extra, line)
		return true
	}
	word, ok := readWord(value)
	return ok && read(to, word)
}

// optional is where an optional field's value belongs; nil when its name is unknown.
func (e *Envelope) optional(name string) any {
	switch name {
	case "uid":
		return &e.UID
	case "user":
		return &e.User
	case "client":
		return &e.Client
	case "proto":
		return &e.Proto
	case "login":
		return &e.Login
	case "auth":
		return &e.Auth
	case "tag":
		return &e.Tag
	case "body":
		return &e.Body
	case "utf8":
		return &e.UTF8
	case "ret":
		return &e.Ret
	case "envid":
		return &e.EnvID
	case "noalias":
		return &e.NoAlias
	case "by":
		return &e.By
	case "bynotify":
		return &e.ByNotify
	case "bytrace":
		return &e.ByTrace
	case "release":
		return &e.Release
	}
	return nil
}

// read brings a field's value where it belongs; false when it is none.
func read(to any, word string) (ok bool) {
	switch to := to.(type) {
	case *string:
		*to, ok = word, true
	case *bool:
		*to, ok = word == "yes", true
	case *time.Time:
		if *to, ok = parseTime(word); to.IsZero() {
			*to = time.Time{}
		}
	case *int:
		n, err := strconv.Atoi(word)
		*to, ok = n, err == nil
	}
	return ok
}

func (e *Envelope) addRcpt(value string) bool {
	address, rest, ok := cutWord(value)
	if !ok || address == "" {
		return false
	}
	r := Rcpt{Address: address}
	ok = params(rest, func(key, value string) {
		switch key {
		case "notify":
			r.Notify, _ = ParseNotify(value)
		case "orcpt":
			r.ORcpt = value
		case "noalias":
			r.NoAlias = value == "yes"
		}
	})
	e.Rcpts = append(e.Rcpts, r)
	return ok
}

func (t *Traits) parse(value string) bool {
	ok := true
	ok = params(strings.TrimRight(value, " "), func(key, value string) {
		var err error
		switch key {
		case "8bit":
			t.EightBit = value == "true"
		case "head8bit":
			t.EightBitHeader = value == "true"
		case "maxline":
			t.MaxLine, err = strconv.Atoi(value)
		case "header":
			t.Header, err = strconv.ParseInt(value, 10, 64)
		case "sum":
			var sum uint64
			sum, err = strconv.ParseUint(value, 16, 32)
			t.sum = uint32(sum)
		}
		ok = ok && err == nil
	}) && ok
	return ok
}

// appendTime writes a time with its microseconds.
func appendTime(b []byte, t time.Time) []byte {
	return appendPadded(append(strconv.AppendInt(b, t.Unix(), 10), '.'), uint64(t.Nanosecond()/1000), 10, 6)
}

func parseTime(s string) (time.Time, bool) {
	sec, micro, ok := strings.Cut(s, ".")
	if !ok {
		return time.Time{}, false
	}
	a, err1 := strconv.ParseInt(sec, 10, 64)
	b, err2 := strconv.ParseInt(micro, 10, 64)
	return time.Unix(a, b*1000), err1 == nil && err2 == nil && b >= 0 && b < 1e6
}
