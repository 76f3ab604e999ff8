package main

import (
	"fmt"
	"strings"

	"postrider/internal/status"
	"postrider/queue"
)

// story tells a record of the journal in words.
func story(r *queue.Record, rcpts []queue.Rcpt) string {
	who := whom(r.Rcpts, rcpts)
	switch r.Kind {
	case queue.Delivered:
		return who + ": delivered: " + answer(r)
	case queue.Relayed:
		return who + ": handed to a host that sends no reports: " + answer(r)
	case queue.Deferred:
		return who + ": not delivered, to be tried again: " + answer(r)
	case queue.Failed:
		return who + ": refused for good: " + answer(r)
	case queue.Expired:
		return who + ": given up after too long a time: " + answer(r)
	case queue.Expanded:
		if r.Relay != "" {
			return who + ": " + oneLine(r.Text)
		}
		return who + ": an alias, " + oneLine(r.Text)
	case queue.Intent:
		return fmt.Sprintf("%s: report %s is made", who, oneLine(string(r.ID)))
	case queue.Reported:
		if r.ID == "" {
			return who + ": no report is due"
		}
		return fmt.Sprintf("%s: reported to %s in %s", who, told(r.Rcpts, rcpts), oneLine(string(r.ID)))
	case queue.Warned:
		return fmt.Sprintf("%s: %s was told of the delay in %s", who, told(r.Rcpts, rcpts), oneLine(string(r.ID)))
	case queue.HeldBy:
		if r.Text == "" {
			return "held by the administrator"
		}
		return "held by the administrator: " + oneLine(r.Text)
	case queue.Released:
		return "released by the administrator"
	}
	return who + ": " + r.Kind.String() + ": " + answer(r)
}

// told is who hears of recipients: the sender, or the owner of their list.
func told(span queue.Span, rcpts []queue.Rcpt) string {
	if i := span.First; i >= 0 && i < len(rcpts) && rcpts[i].Sender != "" {
		return angle(rcpts[i].Sender)
	}
	return "the sender"
}

// answer is a reply with who gave it: "451 4.4.1 try later [mx.example[192.0.2.1]:25]".
func answer(r *queue.Record) string {
	var b strings.Builder
	if r.Reply != 0 {
		fmt.Fprintf(&b, "%d ", r.Reply)
	}
	if r.Code != (status.Code{}) {
		fmt.Fprintf(&b, "%s ", r.Code)
	}
	b.WriteString(oneLine(r.Text))
	if r.Relay != "" {
		fmt.Fprintf(&b, " (%s)", oneLine(r.Relay))
	}
	return strings.TrimSpace(b.String())
}

// whom names the recipients of a record, a long list by its ends.
func whom(span queue.Span, rcpts []queue.Rcpt) string {
	first, last := max(span.First, 0), min(span.Last, len(rcpts)-1)
	switch n := last - first + 1; {
	case n <= 0:
		return "the message"
	case n == 1:
		return angle(rcpts[first].Address)
	case n == 2:
		return angle(rcpts[first].Address) + ", " + angle(rcpts[last].Address)
	default:
		return fmt.Sprintf("%s to %s (%d recipients)", angle(rcpts[first].Address), angle(rcpts[last].Address), n)
	}
}
