//go:build interop

package interop

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// smtp-source sends thousands of messages in many sessions at once. Each is in the spool once, byte for byte with the empty
// line that smtp-source adds, and the server counts as many as it sent.
func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name         string
		args         string
		place, proto string

		messages, rcpts, sessions int
	}{
		{"a connection for each message", "-s 20", "smtp", "SMTP", 2000, 1, 2000},
		{"connections kept", "-s 20 -d", "smtp", "SMTP", 3000, 1, 20},
		{"many recipients", "-s 10 -d", "smtp", "SMTP", 200, 50, 10},
		{"LMTP", "-s 10 -d -L", "lmtp", "LMTP", 500, 2, 10},
		{"LMTP over a Unix socket", "-s 10 -L", "lmtp.sock", "LMTP", 500, 1, 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, friends)
			before := s.metric("connections_total")
			address := s.at[c.place]
			if strings.HasPrefix(address, "/") {
				address = "unix:" + address
			}
			args := append(strings.Fields(c.args), "-4", "-m", fmt.Sprint(c.messages), "-r", fmt.Sprint(c.rcpts), "-M", "client.example",
				"-f", "alice@home.example", "-t", "bob@remote.example", "-F", s.write("sample", strings.ReplaceAll(sample, "\r\n", "\n")), address)
			begun := time.Now()
			s.use("", "smtp-source", args...)
			t.Logf("%d messages in %v", c.messages, time.Since(begun))
			for name, want := range map[string]int{"messages_total": c.messages, "recipients_total": c.messages * c.rcpts, "refused_total": 0, "errors_total": 0, "dropped_total": 0} {
				if got := s.metric(name); got != want {
					t.Errorf("the server counts %s %d, want %d", name, got, want)
				}
			}
			if got := s.metric("connections_total") - before; got != c.sessions {
				t.Errorf("the server counts %d connections, want %d", got, c.sessions)
			}
			list := s.take()
			if len(list) != c.messages {
				t.Errorf("%d messages are in the spool, want %d", len(list), c.messages)
			}
			for _, m := range list {
				if err := m.differs(sample + "\r\n"); err != nil {
					t.Fatal(err)
				}
				if m.Sender != "alice@home.example" || len(m.Rcpts) != c.rcpts || !strings.HasSuffix(m.Rcpts[0].Address, "bob@remote.example") || m.Proto != c.proto {
					t.Fatalf("from %q to %v by %s", m.Sender, m.Rcpts, m.Proto)
				}
			}
		})
	}
}

// metric is a figure that the server tells Prometheus.
func (s *server) metric(name string) (n int) {
	s.Helper()
	answer, err := http.Get("http://" + s.at["metrics"] + "/metrics")
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^postrider_smtpd_` + name + ` (\d+)$`).FindSubmatch(text)
	if m == nil {
		s.Fatalf("no metric %s in:\n%s", name, text)
	}
	fmt.Sscan(string(m[1]), &n)
	return n
}
