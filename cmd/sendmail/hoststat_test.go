package main

import (
	"testing"
	"time"

	"postrider/compat"
	"postrider/queue"
)

func TestHostRow(t *testing.T) {
	since := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name string
		host queue.Host
		want compat.HostRow
	}{
		{"a mail exchanger",
			queue.Host{Name: "mx:x.test", Relay: "mx.x.test (192.0.2.1:25)", Text: "cannot connect: connection refused", Failures: 1},
			compat.HostRow{Name: "mx.x.test", Ago: time.Minute, Result: "Deferred: Connection refused"}},
		{"one that fails again and again",
			queue.Host{Name: "mx:x.test", Relay: "mx.x.test (192.0.2.1:25)", Text: "cannot connect: connection timed out", Failures: 3},
			compat.HostRow{Name: "mx.x.test", Ago: time.Minute, Result: "Deferred: Connection timed out (3 times since Nov 24 09:00)"}},
		{"a domain that cannot be looked up",
			queue.Host{Name: "mx:x.test", Text: "DNS lookup of x.test failed", Failures: 1},
			compat.HostRow{Name: "x.test", Ago: time.Minute, Result: "Deferred: DNS lookup of x.test failed"}},
		{"a socket",
			queue.Host{Name: "lmtp+unix:/run/lmtp", Relay: "/run/lmtp", Text: "\xff", Failures: 1},
			compat.HostRow{Name: "/run/lmtp", Ago: time.Minute, Result: "Deferred: \xff"}},
		{"nothing that is known", queue.Host{}, compat.HostRow{Ago: time.Minute, Result: "Deferred: "}},
	} {
		tc.host.Since, tc.host.Tried = since, since.Add(time.Minute)
		if got := hostRow(&tc.host, since.Add(2*time.Minute)); got != tc.want {
			t.Errorf("%s:\n got %+v\nwant %+v", tc.name, got, tc.want)
		}
	}
}
