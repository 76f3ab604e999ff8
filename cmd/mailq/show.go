package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"postrider/queue"
)

func showFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "headers", Usage: "print the message's header instead"},
		&cli.BoolFlag{Name: "body", Usage: "print the message's body instead"},
	}
}

// show tells all that is known of messages, or prints them.
func (p *program) show(c *cli.Context) error {
	if !c.Args().Present() {
		return usage("show: which message?")
	}
	ids, err := p.ids(c.Args().Slice())
	if err != nil {
		return err
	}
	s, _, err := p.open(c)
	if err != nil {
		return err
	}
	header, body := c.Bool("headers"), c.Bool("body")
	first := true
	return p.each(s, selection{ids: ids}, func(m *queue.Message) error {
		if header || body {
			return p.print(s, m, header, body)
		}
		if !first {
			fmt.Fprintln(p.out)
		}
		first = false
		return p.tell(m)
	})
}

// tell prints envelope, recipients and history.
func (p *program) tell(m *queue.Message) error {
	w := bufio.NewWriter(p.out)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s"+format+"\n", append([]any{name}, args...)...)
	}
	e, now := &m.Envelope, p.now()
	line("ID:", "%s", m.ID)
	line("State:", "%s", p.state(m))
	line("Arrived:", "%s (%s ago) from %s", clock(e.Arrival), span(now.Sub(e.Arrival)), origin(e))
	line("Size:", "%d bytes", m.Size)
	line("Sender:", "%s", angle(e.Sender))
	for _, f := range []struct{ name, value string }{{"ENVID:", e.EnvID}, {"RET:", e.Ret}, {"BODY:", e.Body}, {"Login:", e.Login}, {"AUTH:", e.Auth}, {"Tag:", e.Tag}} {
		if f.value != "" {
			line(f.name, "%s", oneLine(f.value))
		}
	}
	if !e.By.IsZero() {
		line("Deliver by:", "%s, %s", clock(e.By), afterDeadline(e))
	}
	for i := range e.Rcpts {
		p.tellRcpt(w, m, i)
	}
	fmt.Fprintf(w, "\n%s  accepted from %s, %s\n", clock(e.Arrival), origin(e), plural(len(e.Own()), "recipient"))
	for _, r := range m.History.Events() {
		fmt.Fprintf(w, "%s  %s\n", clock(r.Time), story(&r, e.Rcpts))
	}
	return w.Flush()
}

// afterDeadline is what happens to a message with a deadline that was not delivered by then.
func afterDeadline(e *queue.Envelope) string {
	if e.ByNotify {
		return "or the sender is told"
	}
	return "or it is returned"
}

// tellRcpt prints a recipient, what became of it and when it is tried next.
func (p *program) tellRcpt(w io.Writer, m *queue.Message, i int) {
	r := &m.Envelope.Rcpts[i]
	fmt.Fprintf(w, "Recipient:  %s", angle(r.Address))
	switch from := m.Envelope.Parent(i); {
	case m.Envelope.Forwarder(i) != "":
		fmt.Fprintf(w, " forwarded by %s", angle(from))
	case from != "":
		fmt.Fprintf(w, " by alias %s", angle(from))
	}
	if r.Sender != "" {
		fmt.Fprintf(w, " from %s", angle(r.Sender))
	}
	if r.Notify != 0 {
		fmt.Fprintf(w, " NOTIFY=%s", r.Notify)
	}
	if r.ORcpt != "" {
		fmt.Fprintf(w, " ORCPT=%s", oneLine(r.ORcpt))
	}
	last, tried := m.History.Last(i)
	switch {
	case r.Same > 0 && r.Same <= len(m.Envelope.Rcpts):
		fmt.Fprintf(w, "\n            gets it as %s", angle(m.Envelope.Rcpts[r.Same-1].Address))
	case !tried:
		fmt.Fprintf(w, "\n            not tried yet")
	case last.Kind == queue.Expanded:
		fmt.Fprintf(w, "\n            %s", answer(&last))
	default:
		fmt.Fprintf(w, "\n            %s: %s", last.Kind, answer(&last))
	}
	if !m.History.Done(i) {
		fmt.Fprintf(w, "\n            %s", p.next(m))
	}
	fmt.Fprintln(w)
}

// state is where the message is.
func (p *program) state(m *queue.Message) string {
	word := "waiting, not tried yet"
	switch {
	case m.State == queue.Held && m.History.HoldReason() != "":
		word = "held: " + oneLine(m.History.HoldReason())
	case m.State == queue.Held:
		word = "held"
	case m.Early:
		word = "waits until " + clock(m.Envelope.Release) + " as its sender asked"
	case m.History.Attempts() > 0:
		word = "waiting, " + plural(m.History.Attempts(), "failed attempt")
	}
	if m.Busy {
		word += "; being delivered now"
	}
	return word
}

// next is when the next attempt is.
func (p *program) next(m *queue.Message) string {
	switch {
	case m.State == queue.Held:
		return "next attempt after it is released"
	case m.Early:
		return p.at(m.Envelope.Release)
	case m.Due.After(p.now()):
		return p.at(m.Due)
	}
	return "next attempt at the next queue run"
}

func (p *program) at(t time.Time) string {
	return fmt.Sprintf("next attempt at %s (in %s)", clock(t), span(t.Sub(p.now())))
}

// origin is who handed the message over.
func origin(e *queue.Envelope) string {
	switch {
	case e.Client != "":
		return oneLine(e.Client)
	case e.User != "":
		return fmt.Sprintf("%s (uid %d)", oneLine(e.User), e.UID)
	case e.UID >= 0:
		return fmt.Sprintf("uid %d", e.UID)
	}
	return "this system"
}

func clock(t time.Time) string { return t.Format("2006-01-02 15:04:05 -0700") }

// span is a duration in the units that matter.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// print prints header, body or both of a message.
func (p *program) print(s *queue.Spool, m *queue.Message, header, body bool) error {
	text, err := s.Text(m)
	if err != nil {
		return err
	}
	defer text.Close()
	var r io.Reader = text
	switch {
	case !body:
		r = io.LimitReader(text, m.Traits.Header)
	case !header:
		if _, err := io.CopyN(io.Discard, text, m.Traits.Header); err != nil && err != io.EOF {
			return err
		}
	}
	w := bufio.NewWriter(p.out)
	if _, err := io.Copy(&lines{w: w, tame: isTerminal(p.out)}, r); err != nil {
		return err
	}
	return w.Flush()
}

// lines writes text in wire form with the line ends of this system. For a terminal it is tame: control characters
// of a message must not reach it.
type lines struct {
	w    *bufio.Writer
	tame bool
	cr   bool // a CR waits for what follows
}

func (l *lines) Write(p []byte) (int, error) {
	for _, c := range p {
		if l.cr && c != '\n' {
			l.put('\r')
		}
		if l.cr = c == '\r'; !l.cr {
			l.put(c)
		}
	}
	return len(p), nil
}

func (l *lines) put(c byte) {
	if l.tame && (c < ' ' && c != '\n' && c != '\t' || c == 0x7f) {
		fmt.Fprintf(l.w, `\x%02X`, c)
		return
	}
	l.w.WriteByte(c)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
