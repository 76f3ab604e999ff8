package interop

import (
	"fmt"
	"regexp"
	"strings"
)

// mail is what a caller wrote, and what has to come of it at the next hop.
type mail struct {
	argv  []string // of sendmail
	wrote string   // to its standard input

	from  string
	to    []string
	edits []string              // pairs of old and new: what sendmail may change in the header
	added []string              // the fields that sendmail adds, in order, as regular expressions
	terms func(m receipt) error // what else must hold of the transaction
}

const (
	dateField = `Date: \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}`
	idField   = `Message-ID: <\d{14}\.[0-9A-Z]{17}@interop\.example>`
)

var trace = regexp.MustCompile(`^Received: by interop\.example \(postrider, from userid \d+\)\r\n\tid [0-9A-Z]{17}; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n`)

// compare tells how a message as it came differs from what the caller wrote.
func (m mail) compare(got string) error {
	head, body, ok := strings.Cut(wire(m.wrote), "\r\n\r\n")
	if ok {
		head += "\r\n"
	}
	head = strings.NewReplacer(m.edits...).Replace(head)
	tr := trace.FindString(got)
	if tr == "" {
		return fmt.Errorf("no Received field comes first")
	}
	got = got[len(tr):]
	rest, ok := strings.CutPrefix(got, head)
	if !ok {
		return fmt.Errorf("the header is not the caller's, with no other changes than %q", m.edits)
	}
	var added strings.Builder
	for _, field := range m.added {
		added.WriteString(field + "\r\n")
	}
	end := regexp.MustCompile("^" + added.String() + "\r\n").FindString(rest)
	if end == "" {
		return fmt.Errorf("the header does not end with exactly the fields %q", m.added)
	}
	if rest[len(end):] != body {
		return fmt.Errorf("the body differs from what the caller wrote")
	}
	return nil
}

// wire is text with the line ends of SMTP: CRLF for each LF with the CRs before it, and one at the end.
func wire(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, "\r\n") + "\r\n")
	}
	return b.String()
}
