package submit

import (
	"strconv"
	"strings"

	"postrider/internal/address"
)

// NoRecipientAction is what becomes of a message whose header names no recipient.
type NoRecipientAction int

// The actions of Sendmail's option of that name.
const (
	AddNothing      NoRecipientAction = iota // none
	AddTo                                    // add-to: a To field for each recipient
	AddApparentlyTo                          // add-apparently-to: an Apparently-To field for each
	AddBcc                                   // add-bcc: an empty Bcc field
	AddUndisclosed                           // add-to-undisclosed: "To: undisclosed-recipients:;"
)

// dateForm is the date-time of RFC 5322 section 3.3.
const dateForm = "Mon, 2 Jan 2006 15:04:05 -0700"

// maxName is the longest full name that is put into a header, in bytes.
const maxName = 256

// writeTrace writes what stands before the caller's header.
func (s *submission) writeTrace(w *writer, id string) {
	trace := s.Trace
	if trace == nil {
		trace = s.trace
	}
	w.writeString(trace(id))
}

// writeHeader writes the rest of the header in its final form, with the empty line. What was missing comes last, so
// that the caller's own fields stay together as they were.
func (s *submission) writeHeader(w *writer, id string) {
	if s.Gateway {
		s.header.inserts = nil
	}
	s.header.write(w, "@"+s.Origin)
	if !s.Gateway {
		w.writeString(s.missing(id))
		w.writeString(s.recipientFields())
	}
	w.write(crlf)
}

// trace is the Received field (RFC 5321 section 4.4). Of the user it tells the UID only.
func (s *submission) trace(id string) string {
	var from, with string
	if address.ValidHostname(s.ReceivedHost) {
		from = "from " + s.ReceivedHost + "\r\n\t"
	}
	if p := s.ReceivedProto; p != "" && len(p) <= 32 && address.ValidHostname(p) {
		with = " with " + p
	}
	return "Received: " + from + "by " + s.Hostname + " (postrider, from userid " + strconv.Itoa(s.User.UID) + ")" + with +
		"\r\n\tid " + id + "; " + s.now.Format(dateForm) + "\r\n"
}

// missing is the fields that every message has and this one has not. What a resent message lacks is its resender's
// (RFC 5322 section 3.6.6); its own fields are left alone.
func (s *submission) missing(id string) string {
	prefix, seen := "", s.header.seen
	if s.header.reseen != 0 {
		prefix, seen = "Resent-", s.header.reseen
	}
	var b strings.Builder
	if seen&isDate == 0 {
		b.WriteString(prefix + "Date: " + s.now.Format(dateForm) + "\r\n")
	}
	if seen&isFrom == 0 {
		b.WriteString(fold(prefix + "From: " + s.author()))
	}
	if seen&isMessageID == 0 {
		b.WriteString(prefix + "Message-ID: <" + s.now.UTC().Format("20060102150405") + "." + id + "@" + s.Hostname + ">\r\n")
	}
	return b.String()
}

// author is the mailbox of a From field.
func (s *submission) author() string {
	if s.sender.IsNull() {
		return "MAILER-DAEMON@" + s.Hostname
	}
	name := s.FullName
	if name == "" {
		name = s.User.fullName()
	}
	return address.FormatMailbox(strings.ToValidUTF8(cut(strings.Join(strings.Fields(name), " "), maxName), ""), s.sender)
}

// recipientFields is what NoRecipientAction adds. Where the caller had a Bcc field nobody is named.
func (s *submission) recipientFields() string {
	h := &s.header
	if h.reseen != 0 || h.seen&isVisible != 0 {
		return ""
	}
	blind := h.seen&isRcpt != 0
	switch {
	case s.NoRcpt == AddBcc:
		return "Bcc:\r\n"
	case s.NoRcpt == AddUndisclosed:
		return "To: undisclosed-recipients:;\r\n"
	case s.NoRcpt == AddTo && !blind:
		return s.nameRecipients("To")
	case s.NoRcpt == AddApparentlyTo && !blind:
		return s.nameRecipients("Apparently-To")
	}
	return ""
}

func (s *submission) nameRecipients(field string) string {
	var b strings.Builder
	for _, r := range s.rcpts.list {
		b.WriteString(field + ": " + r.Address + "\r\n")
	}
	return b.String()
}

// fold ends a field and breaks it at blanks, so that no line is longer than 76 (RFC 2047 section 2) unless a
// word is.
func fold(text string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Split(text, " ") {
		switch {
		case i == 0:
		case i > 1 && width+1+len(word) > 76:
			b.WriteString("\r\n ")
			width = 1
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String() + "\r\n"
}

func cut(s string, n int) string {
	return s[:min(len(s), n)]
}
