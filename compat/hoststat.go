package compat

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// What Sendmail cuts the results of its host status to.
const (
	hostResult        = 25
	hostResultVerbose = 78
)

// HostRow is a remote host in the listing of host statuses.
type HostRow struct {
	Name   string
	Ago    time.Duration // since it was tried last
	Result string        // "Deferred: ..."
}

// HostTable writes the listing of Sendmail's hoststat to w. Text of outside origin is made harmless.
func HostTable(w io.Writer, rows []HostRow, verbose bool) error {
	p, width := newPage(w), hostResult
	if verbose {
		width = hostResultVerbose
	}
	p.str(" -------------- Hostname --------------- How long ago ---------Results---------\n")
	for _, r := range rows {
		from := len(p.buf)
		p.char(' ')
		p.clean(r.Name)
		p.space(40 - (len(p.buf) - from))
		ago := ago(r.Ago)
		p.space(1 + 12 - len(ago))
		p.str(ago)
		p.char(' ')
		p.cut(strings.TrimRight(r.Result, " "), width)
		p.char('\n')
		if err := p.settle(); err != nil {
			return err
		}
	}
	return p.flush()
}

// ago is a span of time as Sendmail shows it: hours, minutes and seconds, after days if it has any.
func ago(d time.Duration) string {
	s := max(0, int64(d/time.Second))
	text := fmt.Sprintf("%02d:%02d:%02d", s/3600%24, s/60%60, s%60)
	if days := s / 86400; days > 0 {
		text = fmt.Sprintf("%d+%s", days, text)
	}
	return text
}
