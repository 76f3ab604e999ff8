package interop

import (
	"fmt"
	"regexp"
	"strings"
)

var trace = regexp.MustCompile(`^Received: by interop\.example \(postrider, from userid \d+\)\r\n\tid [0-9A-Z]{17}; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n`)

// compare tells how a message as it came differs from what the caller wrote: by a Received field in front, by the
// edits, pairs of old and new, and by the added fields at the end of the header, given as regular expressions.
func compare(got, wrote string, edits, added []string) error {
	head, body, ok := strings.Cut(wire(wrote), "\r\n\r\n")
	if ok {
		head += "\r\n"
	}
	head = strings.NewReplacer(edits...).Replace(head)
	tr := trace.FindString(got)
	if tr == "" {
		return fmt.Errorf("no Received field comes first")
	}
	got = got[len(tr):]
	rest, ok := strings.CutPrefix(got, head)
	if !ok {
		return fmt.Errorf("the header is not the caller's, with no other changes than %q", edits)
	}
	var fields strings.Builder
	for _, field := range added {
		fields.WriteString(field + "\r\n")
	}
	end := regexp.MustCompile("^" + fields.String() + "\r\n").FindString(rest)
	if end == "" {
		return fmt.Errorf("the header does not end with exactly the fields %q", added)
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
