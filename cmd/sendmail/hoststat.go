package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postrider/compat"
	"postrider/queue"
)

// hostStatus lists the next hops that queue runs could not reach.
func (p *program) hostStatus(s *queue.Spool) error {
	hosts, err := s.Hosts()
	if err != nil {
		return err
	}
	rows := make([]compat.HostRow, len(hosts))
	for i := range hosts {
		rows[i] = hostRow(&hosts[i], time.Now())
	}
	return compat.HostTable(p.out, rows, p.inv.Verbose)
}

// hostRow shows a next hop as Sendmail does, by the name of the host; one for which there was no host by its own.
func hostRow(h *queue.Host, now time.Time) compat.HostRow {
	name, _, _ := strings.Cut(h.Relay, " (")
	if name == "" {
		_, name, _ = strings.Cut(h.Name, ":")
	}
	result := "Deferred: " + capital(strings.TrimPrefix(h.Text, "cannot connect: "))
	if h.Failures > 1 {
		result += fmt.Sprintf(" (%d times since %s)", h.Failures, h.Since.Format("Jan _2 15:04"))
	}
	return compat.HostRow{Name: name, Ago: now.Sub(h.Tried), Result: result}
}

// capital is a text with an upper-case letter at its start.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 || r == utf8.RuneError {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}
