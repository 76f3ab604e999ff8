//go:build interop

package interop

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// queued fills the queue of an installation whose next hop is down.
func queued(t *testing.T, format string, n int) *installation {
	in := install(t, "mailq_format = \""+format+"\"")
	in.write("postrider.toml", in.config(hostname, closedPort(t), "mailq_format = \""+format+"\""))
	for range n {
		in.run("Subject: x\n\ntext\n", "sendmail", "-odq", "-f", "alice@home.example", "bob@remote.example")
	}
	if n > 0 {
		in.run("", "queuerun", "--all")
	}
	return in
}

// What monitoring reads in a listing in Postfix's form: check_mailq, exporters, the one-liners of Zabbix.
func TestMonitoringReadsPostfixListing(t *testing.T) {
	for n, last := range []string{"Mail queue is empty", `-- \d+ Kbytes in (1) Request\.`, `-- \d+ Kbytes in (2) Requests\.`} {
		in := queued(t, "postfix", n)
		for _, prog := range [][]string{{"mailq"}, {"sendmail", "-bp"}} {
			lines := strings.Split(strings.TrimSuffix(in.run("", prog[0], prog[1:]...), "\n"), "\n")
			if got := lines[len(lines)-1]; !regexp.MustCompile("^" + last + "$").MatchString(got) {
				t.Errorf("%q: the last line is %q, want %s", prog, got, last)
			}
			if ids := matching(lines, `^[A-F0-9]{10,}`); len(ids) != n {
				t.Errorf("%q: %d lines begin with an ID, want %d", prog, len(ids), n)
			}
		}
	}
}

// check_mailq -M sendmail.
func TestMonitoringReadsSendmailListing(t *testing.T) {
	for n, total := range []string{"0", "1", "2"} {
		in := queued(t, "sendmail", n)
		for _, prog := range [][]string{{"mailq"}, {"sendmail", "-bp"}} {
			lines := strings.Split(strings.TrimSuffix(in.run("", prog[0], prog[1:]...), "\n"), "\n")
			if got := matching(lines, `^\s+Total\sRequests:\s(\d+)$`); !slices.Equal(got, []string{total}) {
				t.Errorf("%q: total is %q, want %s:\n%s", prog, got, total, strings.Join(lines, "\n"))
			}
			if got := matching(lines, ` \((\d+) request`); n > 0 && !slices.Equal(got, []string{total}) {
				t.Errorf("%q: count is %q, want %s", prog, got, total)
			}
			if got := matching(lines, `mqueue`); len(got) != 1 {
				t.Errorf("%q: %d lines have the word mqueue", prog, len(got))
			}
			if got := matching(lines, ` is empty$`); (len(got) == 1) != (n == 0) {
				t.Errorf("%q: %q", prog, got)
			}
			if got := matching(lines, `^[0-9A-Z]{12,}[* X-] +\d+ \w{3} \w{3} [ \d]\d \d\d:\d\d (<?alice@home.example>?)$`); len(got) != n {
				t.Errorf("%q: %d entries, want %d:\n%s", prog, len(got), n, strings.Join(lines, "\n"))
			}
		}
	}
}

// matching is what an expression finds in lines: its group, or the line.
func matching(lines []string, expr string) (found []string) {
	re := regexp.MustCompile("(?i)" + expr)
	for _, line := range lines {
		if m := re.FindStringSubmatch(line); m != nil {
			found = append(found, m[len(m)-1])
		}
	}
	return found
}

// closedPort is an address of loopback at which nobody listens.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
