package smtpd

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postrider/queue"
)

// A session that waits for a command ends when the server goes down; one in a transaction may finish it.
func TestShutdown(t *testing.T) {
	s, spool := testServer(t, &testPolicy{})
	idle, idleDone, stopIdle := connect(t, s, &Port{}, "192.0.2.1:1")
	busy, busyDone, stopBusy := connect(t, s, &Port{}, "192.0.2.1:1")
	expect := func(c net.Conn, want string) {
		t.Helper()
		b := make([]byte, 4096)
		if n, err := c.Read(b); err != nil || !strings.HasPrefix(string(b[:n]), want) {
			t.Fatalf("%q %v", b[:n], err)
		}
	}
	expect(idle, "220 ")
	stopIdle()
	expect(idle, "421 4.3.2 mail.here.example is going down\r\n")
	<-idleDone

	expect(busy, "220 ")
	for _, step := range [][2]string{{"HELO x.example", "250 "}, {"MAIL FROM:<>", "250 "}, {"RCPT TO:<joe@here.example>", "250 "}, {"DATA", "354 "}} {
		io.WriteString(busy, step[0]+"\r\n")
		expect(busy, step[1])
	}
	stopBusy()
	io.WriteString(busy, "x\r\n.\r\n")
	rest, _ := io.ReadAll(busy)
	<-busyDone
	ok, end, _ := strings.Cut(string(rest), "\r\n")
	if n, err := spool.Count(queue.New); n != 1 || err != nil || !strings.HasPrefix(ok, "250 2.0.0 Ok: queued as ") || !strings.HasPrefix(end, "421 4.3.2 ") {
		t.Errorf("%d messages, %v, then %q", n, err, rest)
	}
}

// A client that says nothing, or hardly anything, is not waited for.
func TestSlowClients(t *testing.T) {
	s, spool := testServer(t, &testPolicy{trusted: true})
	s.Timeout = 50 * time.Millisecond
	for name, say := range map[string]string{
		"no command":   "",
		"half a text":  "HELO x.example\r\nMAIL FROM:<>\r\nRCPT TO:<joe@here.example>\r\nDATA\r\n",
		"half a chunk": "HELO x.example\r\nMAIL FROM:<>\r\nRCPT TO:<joe@here.example>\r\nBDAT 5 LAST\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			c, done, _ := connect(t, s, &Port{}, "192.0.2.1:1")
			io.WriteString(c, say)
			said, _ := io.ReadAll(c)
			<-done
			if !strings.HasSuffix(string(said), "421 4.4.2 mail.here.example timeout: closing connection\r\n") {
				t.Errorf("%q", said)
			}
		})
	}
	if n, err := spool.Count(queue.New); n != 0 || err != nil {
		t.Errorf("%d messages, %v", n, err)
	}
}

// A client that sends a text a byte at a time, each within the time for a read, is below the rate that is asked for.
func TestDrippingText(t *testing.T) {
	s, _ := testServer(t, &testPolicy{trusted: true})
	s.Timeout = 200 * time.Millisecond
	c, done, _ := connect(t, s, &Port{}, "192.0.2.1:1")
	io.WriteString(c, "HELO x.example\r\nMAIL FROM:<>\r\nRCPT TO:<joe@here.example>\r\nDATA\r\n")
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				io.WriteString(c, "x")
			}
		}
	}()
	<-done // in the end; without the rule never, and the test would run into its own limit
	close(stop)
	said, _ := io.ReadAll(c)
	if !strings.Contains(string(said), "421 4.4.2 ") {
		t.Errorf("%q", said)
	}
}

// Refused data is swallowed up to a limit, and then the session is over.
func TestRefusedDataHasALimit(t *testing.T) {
	defer func(n int64) { maxWaste = n }(maxWaste)
	maxWaste = 1 << 20
	for name, begin := range map[string]string{"DATA": "DATA\r\n", "BDAT": "BDAT 1000000000000\r\n"} {
		t.Run(name, func(t *testing.T) {
			s, spool := testServer(t, &testPolicy{trusted: true})
			c, done, _ := connect(t, s, &Port{}, "192.0.2.1:1")
			go io.Copy(io.Discard, c)
			io.WriteString(c, "HELO x.example\r\nMAIL FROM:<>\r\nRCPT TO:<joe@here.example>\r\n"+begin)
			block := []byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 1000))
			sent := 0
			for sent < 16<<20 {
				n, err := c.Write(block)
				if sent += n; err != nil {
					break
				}
			}
			<-done
			if n, err := spool.Count(queue.New); sent >= 16<<20 || n != 0 || err != nil {
				t.Errorf("%d bytes were swallowed, %d messages, %v", sent, n, err)
			}
		})
	}
}

// A line that is too long ends the session, however long it is: it may have been one that announces a chunk.
func TestLongLines(t *testing.T) {
	for name, line := range map[string]string{
		"a command": "HELO " + strings.Repeat("x", maxCommand) + "\r\nNOOP\r\n", "a chunk": "BDAT" + strings.Repeat(" ", maxCommand) + "6\r\nNOOP\r\n",
		"longer than AUTH": strings.Repeat("y", maxLine+100) + "\r\nNOOP\r\n", "endless": strings.Repeat("z", 4*largeBlock),
	} {
		t.Run(name, func(t *testing.T) { testLongLine(t, line) })
	}
}

func testLongLine(t *testing.T, line string) {
	s, _ := testServer(t, &testPolicy{trusted: true})
	conn := &scriptConn{from: netip.MustParseAddrPort("192.0.2.1:99"), pieces: [][]byte{[]byte(line)}}
	s.Serve(context.Background(), conn, &Port{})
	said := conn.out.String()
	want := "220 mail.here.example ESMTP postrider\r\n500 5.5.2 line too long\r\n"
	if string(said) != want {
		t.Errorf("%q", said)
	}
}

// The greeting waits, and who does not wait for it is turned away.
func TestGreetingDelay(t *testing.T) {
	s, _ := testServer(t, &testPolicy{})
	s.Delay = 100 * time.Millisecond
	patient, _, _ := connect(t, s, &Port{}, "192.0.2.1:1")
	b := make([]byte, 100)
	begin := time.Now()
	if n, err := patient.Read(b); err != nil || !strings.HasPrefix(string(b[:n]), "220 ") || time.Since(begin) < s.Delay/2 {
		t.Errorf("%q %v after %v", b[:n], err, time.Since(begin))
	}
	s.Delay = time.Minute
	hasty, _, _ := connect(t, s, &Port{}, "192.0.2.1:1")
	io.WriteString(hasty, "EHLO x.example\r\n")
	said, _ := io.ReadAll(hasty)
	if string(said) != "554 mail.here.example you have to wait for the greeting\r\n" {
		t.Errorf("%q", said)
	}
}

// A handshake that never comes ends a session as well.
func TestHandshakeTimeout(t *testing.T) {
	s, _ := testServer(t, &testPolicy{})
	s.Timeout = 50 * time.Millisecond
	c, done, _ := connect(t, s, &Port{Implicit: true, TLS: &tls.Config{Certificates: []tls.Certificate{testPair()}}}, "192.0.2.1:1")
	<-done
	if said, _ := io.ReadAll(c); len(said) > 0 && said[0] == '2' {
		t.Errorf("%q", said)
	}
	if s.Stats.TLSFailures.Load() != 1 {
		t.Error("not counted")
	}
}

// A session has an end, however busy the client is.
func TestLifetime(t *testing.T) {
	s, _ := testServer(t, &testPolicy{})
	s.Lifetime = 100 * time.Millisecond
	s.Timeout = time.Hour
	c, done, _ := connect(t, s, &Port{}, "192.0.2.1:1")
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				io.WriteString(c, "NOOP\r\n")
			}
		}
	}()
	<-done // with Timeout alone it would be an hour
	close(stop)
	said, _ := io.ReadAll(c)
	if !strings.Contains(string(said), "421 4.4.2 mail.here.example timeout: closing connection\r\n") {
		t.Errorf("%q", said)
	}
}

// A proxy's word is good for whom it speaks for, and not for what that one may say of others.
func TestXClientThroughAProxy(t *testing.T) {
	said := func(from string) string {
		s, _ := testServer(t, &testPolicy{})
		s.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
		s.XClient = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		conn := &scriptConn{from: netip.MustParseAddrPort("192.0.2.1:99"), pieces: [][]byte{[]byte("PROXY TCP4 " + from + " 192.0.2.1 1 25\r\n"), []byte("XCLIENT ADDR=127.0.0.1\r\n")}}
		s.Serve(context.Background(), conn, &Port{})
		return conn.out.String()
	}
	if got := said("198.51.100.1"); !strings.Contains(got, "\r\n550 5.7.0 ") {
		t.Errorf("a stranger behind the proxy: %q", got)
	}
	if got := said("192.0.2.2"); strings.Count(got, "220 ") != 2 {
		t.Errorf("a friend behind the proxy: %q", got)
	}
}
