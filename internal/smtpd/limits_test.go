package smtpd

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/address"
	"postrider/internal/maillog"
)

// lines is what was said, line by line.
func lines(said string) []string { return strings.Split(strings.TrimSuffix(said, "\r\n"), "\r\n") }

// A stranger may say a hundred commands that lead nowhere for each message.
func TestIdleCommandsOfAStranger(t *testing.T) {
	const over = "421 4.7.0 mail.here.example too many commands that lead nowhere"
	for _, tt := range []struct {
		name, script string
		trusted      bool
		ends         bool
	}{
		{"a hundred", "HELO x.example\r\n" + strings.Repeat("NOOP\r\n", 99), false, false},
		{"one more", "HELO x.example\r\n" + strings.Repeat("NOOP\r\n", 100), false, true},
		{"one more after a message", "HELO x.example\r\n" + oneMessage + strings.Repeat("NOOP\r\n", 100), false, false},
		{"two more after a message", "HELO x.example\r\n" + oneMessage + strings.Repeat("NOOP\r\n", 101), false, true},
		{"one more of a friend", "HELO x.example\r\n" + strings.Repeat("NOOP\r\n", 100), true, false},
	} {
		s, spool := testServer(t, &testPolicy{trusted: tt.trusted})
		said, _, _ := play(t, s, spool, tt.script)
		if all := lines(said); (all[len(all)-1] == over) != tt.ends || slices.Contains(all, over) != tt.ends {
			t.Errorf("%s: ended: %v\n%s", tt.name, !tt.ends, said)
		}
	}
}

// A stranger is slowed down from its sixth error on, a friend never.
func TestErrorsSlowAStrangerDown(t *testing.T) {
	for _, tt := range []struct {
		name    string
		script  string
		trusted bool
		pauses  int
	}{
		{"five errors", strings.Repeat("X\r\n", 5), false, 0},
		{"six", strings.Repeat("X\r\n", 6), false, 1},
		{"eight", strings.Repeat("X\r\n", 8), false, 3},
		{"five and a message and five", strings.Repeat("X\r\n", 5) + "HELO x.example\r\n" + oneMessage + strings.Repeat("X\r\n", 5), false, 0},
		{"refusals", "HELO x.example\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<x@far.example>\r\n", 6), false, 1},
		{"eight of a friend", strings.Repeat("X\r\n", 8), true, 0},
	} {
		s, spool := testServer(t, &testPolicy{trusted: tt.trusted})
		s.Recipients = 10
		var pauses []time.Duration
		s.Sleep = func(_ context.Context, d time.Duration) { pauses = append(pauses, d) }
		play(t, s, spool, tt.script)
		if !slices.Equal(pauses, slices.Repeat([]time.Duration{time.Second}, tt.pauses)) {
			t.Errorf("%s: paused for %v", tt.name, pauses)
		}
	}
}

// Chunks of commands that were refused are consumed up to the limit, over the session, and not begun with when they are
// longer than what is left of it.
func TestRefusedChunksHaveALimit(t *testing.T) {
	defer func(n int64) { maxWaste = n }(maxWaste)
	maxWaste = 100
	chunk := func(n int) string { return "BDAT " + itoa(n) + "\r\n" + strings.Repeat("x", n-2) + "\r\n" }
	for _, tt := range []struct {
		name, script string
		refused      int
		noop         bool
	}{
		{"as much as may be", chunk(100) + "NOOP\r\n", 1, true},
		{"more", chunk(101) + "NOOP\r\n", 1, false},
		{"more by far", "BDAT 999999999999\r\nNOOP\r\n", 1, false},
		{"as much, in pieces", chunk(60) + chunk(40) + "NOOP\r\n", 2, true},
		{"more, in pieces", chunk(60) + chunk(41) + chunk(20) + "NOOP\r\n", 2, false},
		{"more, without recipients", "MAIL FROM:<>\r\n" + chunk(101) + "NOOP\r\n", 1, false},
		{"more, before HELO", "RSET\r\n" + chunk(101) + "NOOP\r\n", 1, false},
	} {
		hello := "HELO x.example\r\n"
		if strings.Contains(tt.name, "before HELO") {
			hello = ""
		}
		said := speak(t, &Port{}, true, hello+tt.script)
		refused := strings.Count(said, "\r\n503 5.5.1 send ") + strings.Count(said, "\r\n554 5.5.1 no valid recipients")
		if noop := strings.Contains(said, "\r\n250 2.0.0 Ok\r\n----"); refused != tt.refused || noop != tt.noop {
			t.Errorf("%s: %d chunks refused, NOOP: %v\n%s", tt.name, refused, noop, said)
		}
	}
}

// kernelConn is a socket of which one byte at a time is read, so that all else that was sent stays in the kernel.
type kernelConn struct{ *net.UnixConn }

func (c kernelConn) Read(p []byte) (int, error) { return c.UnixConn.Read(p[:1]) }
func (kernelConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:99"))
}

// kernelPair is a client, and what the server has of it. What one end has written the other can read at once.
func kernelPair(t *testing.T) (client net.Conn, server kernelConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		t.Cleanup(func() { ends[i].Close() })
		ends[i].SetDeadline(time.Now().Add(time.Minute))
	}
	return ends[0], kernelConn{ends[1].(*net.UnixConn)}
}

// What a stranger has sent too early is seen where it is, be that in the kernel.
func TestEarlyInTheKernel(t *testing.T) {
	const early = "554 5.5.0 out of step: wait for the reply to "
	for _, tt := range []struct {
		name    string
		trusted bool
		steps   []string
		want    string
	}{
		{"behind HELO", false, []string{"HELO x.example\r\nNOOP\r\n"}, early + "HELO"},
		{"behind EHLO", false, []string{"EHLO x.example\r\nNOOP\r\n"}, early + "EHLO"},
		{"behind DATA", false, []string{"HELO x.example\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<joe@here.example>\r\n", "DATA\r\nX: y\r\n.\r\n"}, early + "DATA"},
		{"in its time", false, []string{"HELO x.example\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<joe@here.example>\r\n", "DATA\r\n", "X: y\r\n.\r\n"}, "250 2.0.0 Ok: queued as "},
		{"from a friend", true, []string{"HELO x.example\r\nMAIL FROM:<>\r\n"}, "250 mail.here.example"},
	} {
		client, server := kernelPair(t)
		s, _ := testServer(t, &testPolicy{trusted: tt.trusted})
		done := make(chan struct{})
		go func() { defer close(done); s.Serve(context.Background(), server, &Port{}) }()
		in := bufio.NewReader(client)
		line, err := in.ReadString('\n')
		for _, step := range tt.steps {
			if err == nil {
				io.WriteString(client, step)
				line, err = in.ReadString('\n')
			}
		}
		if err != nil || !strings.HasPrefix(line, tt.want) {
			t.Errorf("%s: %q, %v", tt.name, line, err)
		}
		client.Close()
		<-done
	}
}

// A line of AUTH, and a response, may have 12288 octets (RFC 4954 sections 3 and 4), and no other command so many.
func TestLongestLines(t *testing.T) {
	const most = 12288
	response := base64.StdEncoding.EncodeToString(make([]byte, most/4*3))
	command := "AUTH PLAIN " + response[:most-len("AUTH PLAIN ")-1] + " " // base64 comes in fours
	for _, tt := range []struct{ name, script, want string }{
		{"a command", command + "\r\n", "535 5.7.8 login failed"},
		{"a command that is longer", command + " \r\n", "500 5.5.2 line too long"},
		{"a response", "AUTH PLAIN\r\n" + response + "\r\n", "535 5.7.8 login failed"},
		{"a response that is longer", "AUTH PLAIN\r\n" + response + "AAAA\r\n", "500 5.5.6 the response is too long"},
		{"another command", "NOOP " + strings.Repeat("x", 2048-5) + "\r\n", "250 2.0.0 Ok"},
		{"another command that is longer", "NOOP " + strings.Repeat("x", 2048-4) + "\r\n", "500 5.5.2 line too long"},
	} {
		said := speak(t, &Port{Auth: testAuth{clear: true}}, true, "EHLO x.example\r\n"+tt.script)
		said, _, _ = strings.Cut(said, "----")
		if all := lines(said); all[len(all)-1] != tt.want {
			t.Errorf("%s: %s", tt.name, all[len(all)-1])
		}
	}
}

// grantPolicy has a reason for each recipient.
type grantPolicy struct{ testPolicy }

func (p *grantPolicy) Rcpt(ctx context.Context, c *Client, t *Transaction, a address.Address) Verdict {
	v := p.testPolicy.Rcpt(ctx, c, t, a)
	v.Reason = "because-of-" + a.Local()
	return v
}

// Why a message was taken is in the line that tells of it.
func TestReasonOfAMessage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, err := maillog.Open("smtpd", path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, spool := testServer(t, &testPolicy{})
	s.Policy, s.Log = &grantPolicy{}, log
	said, n, _ := play(t, s, spool, "HELO x.example\r\n"+strings.ReplaceAll(oneMessage, "joe", "ann")+oneMessage)
	text, err := os.ReadFile(path)
	if err != nil || n != 2 {
		t.Fatal(n, err, said)
	}
	var why []string
	for line := range strings.Lines(string(text)) {
		if _, reason, ok := strings.Cut(line, "why="); ok && strings.Contains(line, "(queued)") {
			why = append(why, strings.TrimSpace(reason))
		}
	}
	if !slices.Equal(why, []string{"because-of-ann", "because-of-joe"}) {
		t.Errorf("%q in\n%s", why, text)
	}
}
