package dsn

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"postrider/internal/status"
)

// humanPart is the part for people. It says of each recipient what happened, what was answered, and what to do
// or what will happen next.
func (r *Report) humanPart(orig *original) part {
	write := func(w io.Writer) error { return r.writeHuman(w, orig) }
	p := part{contentType: "text/plain", description: "Notification", encoding: "7bit", write: write}
	p.params = map[string]string{"charset": "us-ascii"}
	if !writesASCII(write) {
		p.encoding, p.params["charset"] = "quoted-printable", "utf-8"
	}
	return p
}

// groups are the recipients' actions, the worst first, and what is said above them.
var groups = []struct {
	action Action
	title  string
}{
	{Failed, "It could NOT be delivered to:"},
	{Overdue, "It was NOT delivered in the time that you set to the following, and is still being tried. You need not send it again:"},
	{Delayed, "It is NOT YET delivered to the following, and is still being tried. You need not send it again:"},
	{Relayed, "It was passed on, to a server that sends no reports of success, for:"},
	{Traced, "It was passed on, which you hear because you set a time for its delivery, for:"},
	{Expanded, "It was passed on to all members of:"},
	{Delivered, "It was delivered to:"},
}

func (r *Report) writeHuman(w io.Writer, orig *original) error {
	if err := paragraph(w, "", r.opening(orig)); err != nil {
		return err
	}
	for _, g := range groups {
		if err := r.writeGroup(w, g.action, g.title); err != nil {
			return err
		}
	}
	return block(w, "", r.closing(orig))
}

func (r *Report) opening(orig *original) string {
	s := "This is the mail system at " + clean(r.ReportingMTA, false) + ". "
	if r.Double {
		s += "You get this as postmaster, because the message below has no sender to whom it could be returned: " +
			"most likely it is itself a report. "
	}
	s += "This is about the message that arrived here on " + r.Arrival.Format(dateForm)
	if orig.subject != "" {
		s += ` with the subject "` + orig.subject + `"`
	}
	return s + "."
}

func (r *Report) closing(orig *original) string {
	s := "The header of the message is attached."
	if orig.whole {
		s = "The message is attached."
	} else if r.Kind() == "failure" && !strings.EqualFold(r.Ret, "HDRS") {
		s = "The header of the message is attached; the message itself is too large to be returned."
	}
	return s + " If you need help, write to postmaster@" + clean(r.ReportingMTA, false) +
		" and name the queue ID " + clean(r.MessageID, false) + "."
}

func (r *Report) writeGroup(w io.Writer, a Action, title string) error {
	for i := range r.Rcpts {
		rcpt := &r.Rcpts[i]
		if rcpt.Action != a {
			continue
		}
		if title != "" {
			if err := paragraph(w, "", title); err != nil {
				return err
			}
			title = ""
		}
		if err := r.writeRcpt(w, rcpt); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) writeRcpt(w io.Writer, rcpt *Rcpt) error {
	text := "<" + clean(rcpt.Address, true) + ">"
	if _, orig := r.originalRecipient(rcpt.ORcpt); orig != "" && !strings.EqualFold(orig, rcpt.Address) {
		text += " (sent to <" + clean(orig, true) + ">)"
	}
	if err := block(w, "  ", text); err != nil {
		return err
	}
	happened, quote, next := r.story(rcpt)
	if err := block(w, "      ", happened); err != nil {
		return err
	}
	if err := block(w, "          ", quote); err != nil {
		return err
	}
	return paragraph(w, "      ", next)
}

// story tells one recipient's fate: what happened, in whose words, and what comes next.
func (r *Report) story(rcpt *Rcpt) (happened, quote, next string) {
	who, quote := "this server", clean(rcpt.Status.Text(), true)
	if rcpt.Remote != "" {
		who, quote = "the server "+clean(rcpt.Remote, true), clean(rcpt.Status.Diagnostic(), true)
	}
	switch {
	case rcpt.Action == Failed && rcpt.Remote == "" && !r.By.IsZero() && rcpt.Status.Code() == status.Code{5, 4, 7}:
		return "You set a time for its delivery, " + r.By.Format(dateForm) + ". It is not tried any more, because:", quote, advice(rcpt.Status.Code())
	case rcpt.Action == Failed && rcpt.Status.Class() == status.Temporary:
		return "It was tried" + since(r, rcpt) + " without success, and is not tried any more. At last " + who + " said:",
			quote, advice(rcpt.Status.Code())
	case rcpt.Action == Failed:
		return capital(who) + " refused it for good and said:", quote, advice(rcpt.Status.Code())
	case rcpt.Action == Delayed || rcpt.Action == Overdue:
		next = "If it cannot be delivered at all you will get another report."
		if !rcpt.WillRetryUntil.IsZero() {
			next = "It is tried until " + rcpt.WillRetryUntil.Format(dateForm) + ". " + next
		}
		return "At the last attempt " + who + " said:", quote, next
	case rcpt.Action == Relayed || rcpt.Action == Traced:
		return capital(who) + " accepted it and said:", quote,
			"You may not hear of its further fate unless it fails."
	}
	return "", "", ""
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func since(r *Report, rcpt *Rcpt) string {
	if rcpt.LastAttempt.IsZero() {
		return ""
	}
	return fmt.Sprintf(" from %s to %s", r.Arrival.Format(dateForm), rcpt.LastAttempt.Format(dateForm))
}

// advices say what to do about a failure, by subject and detail of its enhanced code (RFC 3463); detail -1 is
// any other of the subject.
var advices = []struct {
	subject, detail int
	text            string
}{
	{1, 1, "What to do: there is no such mailbox. Check the address for mistakes, and send the message to the right one."},
	{1, 2, "What to do: there is no such mail domain. Check what follows the @ for mistakes."},
	{1, 10, "What to do: that domain takes no mail at all. Ask the recipient for another address."},
	{1, -1, "What to do: check the address for mistakes, and send the message to the right one."},
	{2, 1, "What to do: the mailbox takes no messages. Reach the recipient in another way."},
	{2, 2, "What to do: the mailbox is full. Tell the recipient in another way, or send the message again later."},
	{2, 3, "What to do: the message is too large for that mailbox. Send a smaller one."},
	{3, 4, "What to do: the message is too large. Send a smaller one."},
	{4, 6, "What to do: the mail goes in circles. Tell the postmaster of the recipient's domain."},
	{4, 7, "What to do: send the message again, with more time for its delivery or without a limit."},
	{4, -1, "What to do: check what follows the @ for mistakes. If it is right, the recipient's server was out of " +
		"reach: send the message again later."},
	{6, 7, "What to do: the address needs internationalized mail, which that server does not know. Ask the " +
		"recipient for another address."},
	{6, -1, "What to do: the server does not take a message of this form. Send it in a plainer one."},
	{7, -1, "What to do: the server's rules do not allow this message. If its words do not help, ask the recipient " +
		"in another way."},
}

func advice(c status.Code) string {
	for _, a := range advices {
		if a.subject == c[1] && (a.detail == c[2] || a.detail < 0) {
			return a.text
		}
	}
	return "What to do: if the words above do not tell, send the message again later or ask the postmaster."
}

// paragraph writes a block and an empty line; without text only the line.
func paragraph(w io.Writer, indent, text string) error {
	if err := block(w, indent, text); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\r\n")
	return err
}

// block writes text with an indent, in lines of up to 72 columns. A longer word stands alone.
func block(w io.Writer, indent, text string) error {
	var b strings.Builder
	col := 0
	for _, word := range strings.Fields(text) {
		width := utf8.RuneCountInString(word)
		switch {
		case col == 0:
			b.WriteString(indent)
			col = len(indent)
		case col+1+width > 72:
			b.WriteString("\r\n" + indent)
			col = len(indent)
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += width
	}
	if col > 0 {
		b.WriteString("\r\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
