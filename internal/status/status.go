// Package status is the outcome of an operation, from a socket to an exit status.
//
// A Status says what class an outcome has (success, temporary, permanent), which SMTP reply code and
// enhanced status code (RFC 3463) express it, what may be said of it in public, and what caused it. Whatever
// nobody has classified is temporary: only what is known to be permanent may return mail to its sender.
//
// Text is public: it may go to a remote client, into a log or a delivery report, so it holds no path and no
// setting. The cause (Unwrap) may.
package status

import (
	"errors"
	"fmt"
)

// Class tells whether an operation is worth another try.
type Class int

// The classes are the first digits of reply codes and enhanced codes (RFC 3463 section 2).
const (
	Success   Class = 2
	Temporary Class = 4
	Permanent Class = 5
)

// Code is an enhanced status code: class, subject, detail (RFC 3463).
type Code [3]int

// String is the code in its dotted form, "5.1.1"; "" for the zero value.
func (c Code) String() string {
	if c == (Code{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", c[0], c[1], c[2])
}

// ParseCode reads a dotted code at the start of s and returns what follows it and one blank.
func ParseCode(s string) (c Code, rest string, ok bool) {
	for i := range c {
		n, digits := 0, 0
		for len(s) > 0 && s[0] >= '0' && s[0] <= '9' && digits < 3 {
			n, s, digits = n*10+int(s[0]-'0'), s[1:], digits+1
		}
		if digits == 0 {
			return Code{}, "", false
		}
		c[i] = n
		if i < 2 {
			if len(s) == 0 || s[0] != '.' {
				return Code{}, "", false
			}
			s = s[1:]
		}
	}
	if c[0] != 2 && c[0] != 4 && c[0] != 5 {
		return Code{}, "", false
	}
	if len(s) > 0 && s[0] != ' ' && s[0] != '\t' {
		return Code{}, "", false
	}
	if len(s) > 0 {
		s = s[1:]
	}
	return c, s, true
}

// Status is one outcome. It is made by New, Fail, Remote or From only, so that its reply code, its enhanced
// code and its class never disagree. A *Status of class Success is an outcome, not a failure, although it
// satisfies error.
type Status struct {
	op    string
	reply int
	code  Code
	text  string
	exit  int
	err   error
}

// New makes the outcome of op. It panics when reply and code are of different classes or no class at all:
// both are written in our own source.
func New(op string, reply int, code Code, text string, err error) *Status {
	if c := Class(reply / 100); c != Class(code[0]) || c != Success && c != Temporary && c != Permanent {
		panic(fmt.Sprintf("status: reply %d and enhanced code %v of %s disagree", reply, code, op))
	}
	return &Status{op: op, reply: reply, code: code, text: text, err: err}
}

// Remote makes the outcome that a peer's reply expresses. An enhanced code that leads text is taken when its
// class is the reply's; a reply without one gets X.0.0. The text is cleaned and capped (see Clean). A reply
// outside 2yz, 4yz and 5yz is the peer's error and temporary.
func Remote(op string, reply int, text string) *Status {
	class := Class(reply / 100)
	if class != Success && class != Temporary && class != Permanent {
		return New(op, 451, Code{4, 5, 0}, Clean(fmt.Sprintf("unexpected reply: %d %s", reply, text), MaxText), nil)
	}
	code, rest, ok := ParseCode(text)
	if !ok || Class(code[0]) != class {
		code, rest = Code{int(class), 0, 0}, text
	}
	return New(op, reply, code, Clean(rest, MaxText), nil)
}

// From finds the Status in err's chain. An error that has none is temporary, 451 4.3.0. From(nil) is nil.
func From(err error) *Status {
	if err == nil {
		return nil
	}
	var s *Status
	if errors.As(err, &s) {
		return s
	}
	return New("", 451, Code{4, 3, 0}, "local error in processing", err)
}

// Op names the operation, for logs.
func (s *Status) Op() string { return s.op }

// Reply is the SMTP reply code.
func (s *Status) Reply() int { return s.reply }

// Code is the enhanced status code.
func (s *Status) Code() Code { return s.code }

// Text is what may be said in public.
func (s *Status) Text() string { return s.text }

// Class is the class of the reply and of the enhanced code alike.
func (s *Status) Class() Class { return Class(s.code[0]) }

// Unwrap is the cause, which may hold what the public must not see.
func (s *Status) Unwrap() error { return s.err }

// Error is the text and its cause, for the eyes of this machine's users.
func (s *Status) Error() string {
	if s.err == nil {
		return s.text
	}
	if s.text == "" {
		return s.err.Error()
	}
	return s.text + ": " + s.err.Error()
}

// Diagnostic is reply code, enhanced code and text in one line, as a Diagnostic-Code field holds them.
func (s *Status) Diagnostic() string {
	return fmt.Sprintf("%d %s %s", s.reply, s.code, s.text)
}
