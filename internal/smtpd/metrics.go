package smtpd

import (
	"bufio"
	"io"
	"strconv"
)

// metric is one figure of Metrics. smtpd(8) lists them, and a test holds it to that.
type metric struct {
	name, help string
	value      func(*Stats) int64
}

// gauges go up and down, counters up only.
var (
	gauges = []metric{
		{"sessions", "Sessions going on now.", func(s *Stats) int64 { return s.Sessions.Load() }},
	}
	counters = []metric{
		{"connections_total", "Sessions begun.", func(s *Stats) int64 { return s.Connections.Load() }},
		{"tls_handshakes_total", "TLS handshakes that succeeded.", func(s *Stats) int64 { return s.TLS.Load() }},
		{"tls_failures_total", "TLS handshakes that failed.", func(s *Stats) int64 { return s.TLSFailures.Load() }},
		{"logins_total", "Logins that succeeded.", func(s *Stats) int64 { return s.Logins.Load() }},
		{"login_failures_total", "Logins that failed.", func(s *Stats) int64 { return s.LoginFailures.Load() }},
		{"messages_total", "Messages accepted.", func(s *Stats) int64 { return s.Messages.Load() }},
		{"message_bytes_total", "Bytes of messages accepted.", func(s *Stats) int64 { return s.Bytes.Load() }},
		{"recipients_total", "Recipients of messages accepted.", func(s *Stats) int64 { return s.Recipients.Load() }},
		{"discarded_total", "Messages taken and thrown away.", func(s *Stats) int64 { return s.Discarded.Load() }},
		{"refused_total", "Clients, commands and messages refused for good.", func(s *Stats) int64 { return s.Refused.Load() }},
		{"deferred_total", "Clients, commands and messages refused for now.", func(s *Stats) int64 { return s.Deferred.Load() }},
		{"errors_total", "Commands that made no sense.", func(s *Stats) int64 { return s.Errors.Load() }},
		{"commit_failures_total", "Messages that the spool did not take.", func(s *Stats) int64 { return s.CommitFails.Load() }},
		{"dropped_total", "Sessions that the server ended.", func(s *Stats) int64 { return s.Dropped.Load() }},
	}
)

// metricPrefix begins the names of all metrics.
const metricPrefix = "postrider_smtpd_"

// Metrics writes the figures of the server in the text format of Prometheus.
func (d *Daemon) Metrics(w io.Writer, version string) error {
	out := bufio.NewWriter(w)
	put := func(kind, name, help, labels string, value int64) {
		name = metricPrefix + name
		out.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n")
		out.WriteString(name + labels + " " + strconv.FormatInt(value, 10) + "\n")
	}
	d.mu.Lock()
	stats, limit := d.set.Server.Stats, d.set.Sessions
	d.mu.Unlock()
	put("gauge", "build_info", "The program that runs.", "{version="+strconv.Quote(version)+"}", 1)
	put("gauge", "sessions_limit", "Sessions that may go on at once.", "", int64(limit))
	for _, m := range gauges {
		put("gauge", m.name, m.help, "", m.value(stats))
	}
	for _, m := range counters {
		put("counter", m.name, m.help, "", m.value(stats))
	}
	put("counter", "turned_away_total", "Connections for which there was no session left.", "", d.TurnedAway.Load())
	put("counter", "accept_failures_total", "Connections that could not be accepted.", "", d.AcceptFails.Load())
	return out.Flush()
}
