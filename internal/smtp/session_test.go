package smtp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"postrider/internal/status"
)

// listen serves one connection with fn and gives the address; fn's connection is closed after it.
func listen(t testing.TB, fn func(conn net.Conn, r *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fn(conn, bufio.NewReader(conn))
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// sink answers everything with success, and DATA by reading to the dot.
func sink(extensions string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		w := bufio.NewWriter(conn)
		fmt.Fprint(w, "220 sink\r\n")
		for {
			if r.Buffered() == 0 && w.Flush() != nil {
				return
			}
			l, err := r.ReadSlice('\n')
			switch {
			case err != nil:
				return
			case bytes.HasPrefix(l, []byte("EHLO")):
				fmt.Fprint(w, extensions)
			case bytes.HasPrefix(l, []byte("DATA")):
				w.WriteString("354 go\r\n")
				w.Flush()
				for string(l) != ".\r\n" && err == nil {
					l, err = r.ReadSlice('\n')
				}
				w.WriteString("250 2.0.0 ok\r\n")
			default:
				w.WriteString("250 2.1.0 ok\r\n")
			}
		}
	}
}

const sinkExtensions = "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n"

func dialTest(t testing.TB, addr string, o Options) *Session {
	t.Helper()
	if o.Timeouts == (Timeouts{}) {
		o.Timeouts = allTimeouts(5 * time.Second)
	}
	s, err := Dial(context.Background(), Target{Name: "mx.test", Network: "tcp", Address: addr, HeloName: "client.test"}, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message(to ...string) Message {
	m := Message{Sender: "a@client.test", Body: section(defaultMail)}
	for _, a := range to {
		m.Rcpts = append(m.Rcpts, Rcpt{Address: a})
	}
	return m
}

func TestASmallMessageIsTwoWrites(t *testing.T) {
	d := &recordingDialer{}
	s := dialTest(t, listen(t, sink(sinkExtensions)), Options{Dialer: d})
	defer s.Close()
	before := d.conns[0].writes
	for range 3 {
		if _, err := s.Send(context.Background(), message("b@mx.test", "c@mx.test")); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.conns[0].writes - before; n != 6 {
		t.Errorf("3 messages took %d writes", n)
	}
}

func TestDialogue(t *testing.T) {
	var out bytes.Buffer
	addr := listen(t, func(conn net.Conn, r *bufio.Reader) {
		answers := map[string]string{"EHLO": "250-mx\r\n250-AUTH PLAIN\r\n250 PIPELINING", "AUTH": "235 hi", "DATA": "354 go", "QUIT": "221 bye"}
		fmt.Fprint(conn, "220 mx \x1b[31m\r\n")
		for inData := false; ; {
			l, err := r.ReadString('\n')
			if err != nil {
				return
			}
			verb := l[:min(4, len(l)-2)]
			if inData {
				inData = verb != "."
				if inData {
					continue
				}
			}
			a := answers[verb]
			if inData = verb == "DATA"; a == "" {
				a = "250 ok"
			}
			fmt.Fprint(conn, a+"\r\n")
		}
	})
	target := Target{Name: "mx.test", Network: "tcp", Address: addr, HeloName: "client.test", Auth: &Credentials{"user", "secret"}}
	s, err := Dial(context.Background(), target, Options{Dialogue: &out})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(context.Background(), message("b@mx.test")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	want := `220 mx \x1B[31m
>>> EHLO client.test
250-mx
250-AUTH PLAIN
250 PIPELINING
>>> AUTH PLAIN *
235 hi
>>> MAIL From:<a@client.test> AUTH=<>
>>> RCPT To:<b@mx.test>
>>> DATA
250 ok
250 ok
354 go
>>> .
250 ok
>>> QUIT
221 bye
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

func TestManyRecipientsAndWordyRepliesDoNotDeadlock(t *testing.T) {
	wordy := strings.Repeat("250-"+strings.Repeat("x", 400)+"\r\n", 3) + "250 ok\r\n"
	addr := listen(t, func(conn net.Conn, r *bufio.Reader) {
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		_ = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
		fmt.Fprint(conn, "220 mx\r\n")
		for {
			l, err := r.ReadString('\n')
			switch {
			case err != nil:
				return
			case strings.HasPrefix(l, "EHLO"):
				fmt.Fprint(conn, sinkExtensions)
			case strings.HasPrefix(l, "DATA"):
				fmt.Fprint(conn, "354 go\r\n")
			case strings.HasPrefix(l, "RCPT"), l == ".\r\n":
				fmt.Fprint(conn, wordy)
			case strings.HasPrefix(l, "MAIL"):
				fmt.Fprint(conn, "250 ok\r\n")
			}
		}
	})
	var to []string
	for i := range 3000 {
		to = append(to, fmt.Sprintf("user%d@a-host-with-a-long-name.mx.test", i))
	}
	s := dialTest(t, addr, Options{})
	defer s.Close()
	res, err := s.Send(context.Background(), message(to...))
	if err != nil {
		t.Fatal(err)
	}
	for i, st := range res.Rcpts {
		if st.Class() != status.Success {
			t.Fatalf("recipient %d: %s", i, st.Diagnostic())
		}
	}
}

func TestHostileAddressesAreNeverSaid(t *testing.T) {
	d := &recordingDialer{}
	s := dialTest(t, listen(t, sink(sinkExtensions+"")), Options{Dialer: d})
	defer s.Close()
	bad := []string{"", "x@c> NOTIFY=NEVER RCPT TO:<y@d", "x@c\r\nRSET", "x@c\n", "x\x00@c", "a b@c", "<a@c", `"a@c`, "\"a\\\r\"@c", `"a\`, "\xff@c"}
	res, err := s.Send(context.Background(), message(append(bad, `"a> b"@mx.test`)...))
	if err != nil {
		t.Fatal(err)
	}
	for i, st := range res.Rcpts[:len(bad)] {
		if want := (status.Code{5, 1, 3}); st.Code() != want && st.Code() != (status.Code{5, 6, 7}) {
			t.Errorf("%q: %s", bad[i], st.Diagnostic())
		}
	}
	if st := res.Rcpts[len(bad)]; st.Class() != status.Success {
		t.Errorf("a quoted localpart: %s", st.Diagnostic())
	}
	m := message("b@mx.test")
	for _, m.Sender = range bad[1:] {
		if res, err := s.Send(context.Background(), m); err != nil || res.Rcpts[0].Class() != status.Permanent {
			t.Errorf("sender %q: %v", m.Sender, err)
		}
	}
	if n := strings.Count(d.conns[0].String(), "RCPT"); n != 1 {
		t.Errorf("%d recipients were offered", n)
	}
	if _, err := Dial(context.Background(), Target{HeloName: "a b\r\nRSET"}, Options{}); status.From(err).Class() != status.Temporary {
		t.Errorf("HELO name: %v", err)
	}
}

func TestHostileParametersAreLeftOut(t *testing.T) {
	tr := transaction{Session: &Session{ext: extensions{dsn: true}}, m: Message{Sender: "a@b", Ret: "HDRS\r\nRSET", EnvID: "a b"}}
	if got := tr.mailCommand(); got != "MAIL From:<a@b>" {
		t.Errorf("%q", got)
	}
	if got := tr.rcptCommand(Rcpt{Address: "a@b", ORcpt: "rfc822;ü@b", Notify: "NEVER\n"}); got != "RCPT To:<a@b>" {
		t.Errorf("%q", got)
	}
}

func TestAnEndlessGreetingIsCutOff(t *testing.T) {
	addr := listen(t, func(conn net.Conn, _ *bufio.Reader) {
		for {
			if _, err := io.WriteString(conn, strings.Repeat("220-welcome\r\n", 100)); err != nil {
				return
			}
		}
	})
	_, err := Dial(context.Background(), Target{Network: "tcp", Address: addr}, Options{})
	if st := status.From(err); st.Diagnostic() != "451 4.5.0 bad reply to the connection: too many lines in a reply" {
		t.Errorf("%v", err)
	}
}

func TestAPeerThatStopsReadingCostsOneBlocksTime(t *testing.T) {
	hold := make(chan struct{})
	addr := listen(t, func(conn net.Conn, r *bufio.Reader) {
		fmt.Fprint(conn, "220 mx\r\n")
		for _, a := range []string{"250 mx\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"} {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			fmt.Fprint(conn, a)
		}
		<-hold
	})
	limits := allTimeouts(5 * time.Second)
	limits.Block = 40 * time.Millisecond
	s := dialTest(t, addr, Options{Timeouts: limits})
	m := message("b@mx.test")
	m.Body = section(strings.Repeat(strings.Repeat("x", 900)+"\r\n", 32<<10))
	res, err := s.Send(context.Background(), m)
	close(hold)
	if st := status.From(err); st == nil || st.Diagnostic() != "451 4.4.2 timed out while sending the message" || res.Rcpts[0] != st {
		t.Errorf("%v", err)
	}
	if s.Close(); s.Reusable() {
		t.Error("still reusable")
	}
}

func TestAReplyInTheMiddleOfTheMessageIsHeard(t *testing.T) {
	hold := make(chan struct{})
	addr := listen(t, func(conn net.Conn, r *bufio.Reader) {
		fmt.Fprint(conn, "220 mx\r\n")
		for _, a := range []string{"250 mx\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n552 5.3.4 too big\r\n"} {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			fmt.Fprint(conn, a)
		}
		<-hold
	})
	limits := allTimeouts(5 * time.Second)
	limits.Block = 40 * time.Millisecond
	s := dialTest(t, addr, Options{Timeouts: limits})
	m := message("b@mx.test")
	m.Body = section(strings.Repeat(strings.Repeat("x", 900)+"\r\n", 32<<10))
	res, err := s.Send(context.Background(), m)
	close(hold)
	if err == nil || res.Rcpts[0].Diagnostic() != "552 5.3.4 too big" {
		t.Errorf("%v %s", err, res.Rcpts[0].Diagnostic())
	}
}

type brokenReader struct{ after int64 }

func (b brokenReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.after {
		return 0, errors.New("disk on fire")
	}
	n := min(int64(len(p)), b.after-off)
	return copy(p, strings.Repeat("x", int(n))), nil
}

func TestAMessageThatCannotBeReadIsNotFinished(t *testing.T) {
	d := &recordingDialer{}
	s := dialTest(t, listen(t, sink(sinkExtensions)), Options{Dialer: d})
	m := message("b@mx.test")
	m.Body = io.NewSectionReader(brokenReader{100_000}, 0, 1_000_000)
	res, err := s.Send(context.Background(), m)
	if st := status.From(err); st == nil || st.Code() != (status.Code{4, 3, 0}) || res.Rcpts[0] != st {
		t.Errorf("%v", err)
	}
	if strings.HasSuffix(d.conns[0].String(), ".\r\n") {
		t.Error("the final dot was sent")
	}
}

func TestTheEndOfTheContextEndsASend(t *testing.T) {
	reached := make(chan struct{})
	addr := listen(t, func(conn net.Conn, r *bufio.Reader) {
		fmt.Fprint(conn, "220 mx\r\n")
		_, _ = r.ReadString('\n')
		fmt.Fprint(conn, "250 mx\r\n")
		_, _ = r.ReadString('\n')
		close(reached)
		_, _ = r.ReadString('\n')
	})
	s := dialTest(t, addr, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-reached; cancel() }()
	_, err := s.Send(ctx, message("b@mx.test"))
	if st := status.From(err); st == nil || st.Diagnostic() != "451 4.4.2 interrupted while waiting for the reply to MAIL" {
		t.Errorf("%v", err)
	}
	if s.Close(); s.Reusable() {
		t.Error("still reusable")
	}
	if _, err := s.Send(context.Background(), message("b@mx.test")); err == nil {
		t.Error("a second Send succeeds")
	}
}

// pipeDialer connects to fn over a pipe, which has no address.
type pipeDialer func(conn net.Conn, r *bufio.Reader)

func (p pipeDialer) DialContext(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		p(there, bufio.NewReader(there))
	}()
	return here, nil
}

func TestNoLoginInClearAbroad(t *testing.T) {
	peer := pipeDialer(func(conn net.Conn, r *bufio.Reader) {
		fmt.Fprint(conn, "220 mx\r\n")
		_, _ = r.ReadString('\n')
		fmt.Fprint(conn, "250-mx\r\n250 AUTH PLAIN\r\n")
		if l, err := r.ReadString('\n'); err == nil && strings.HasPrefix(l, "AUTH") {
			fmt.Fprint(conn, "235 thank you\r\n")
		}
	})
	target := Target{Auth: &Credentials{"user", "secret"}}
	_, err := Dial(context.Background(), target, Options{Dialer: peer})
	if st := status.From(err); st == nil || st.Code() != (status.Code{4, 7, 11}) {
		t.Errorf("%v", err)
	}
}

func TestNoLoginToWhoeverAnswers(t *testing.T) {
	logins := make(chan string, 10)
	peer := pipeDialer(func(conn net.Conn, r *bufio.Reader) {
		fmt.Fprint(conn, "220 mx\r\n")
		_, _ = r.ReadString('\n')
		fmt.Fprint(conn, "250-mx\r\n250 STARTTLS\r\n")
		_, _ = r.ReadString('\n')
		fmt.Fprint(conn, "220 go\r\n")
		secure := tls.Server(conn, serverTLS())
		r = bufio.NewReader(secure)
		_, _ = r.ReadString('\n')
		fmt.Fprint(secure, "250-mx\r\n250 AUTH PLAIN\r\n")
		if l, err := r.ReadString('\n'); err == nil {
			logins <- l
			fmt.Fprint(secure, "235 thank you\r\n")
		}
	})
	for _, mode := range []TLSMode{May, Encrypt} {
		target := Target{Name: "mx.test", TLS: mode, Auth: &Credentials{"user", "secret"}}
		_, err := Dial(context.Background(), target, Options{Dialer: peer})
		if st := status.From(err); st == nil || st.Code() != (status.Code{4, 7, 5}) || len(logins) > 0 {
			t.Errorf("mode %d, unknown authority: %v", mode, err)
		}
		target.Config = clientTLS()
		s, err := Dial(context.Background(), target, Options{Dialer: peer})
		if err != nil {
			t.Fatal(err)
		}
		<-logins
		s.conn.Close()
	}
}

func TestOpTellsWhoHasSaidIt(t *testing.T) {
	b := &box{}
	addr := b.serve(t, "tcp", false)
	s := dialTest(t, addr, Options{})
	defer s.Close()
	m := message("b@mx.test", "no@mx.test", "b c@mx.test")
	res, err := s.Send(context.Background(), m)
	if err != nil || !res.Begun {
		t.Fatal(res, err)
	}
	for i, want := range []bool{true, true, false} {
		if got := res.Rcpts[i].Op() == OpReply; got != want {
			t.Errorf("%s: said by the peer: %v", res.Rcpts[i].Diagnostic(), got)
		}
	}
	if res, err = s.Send(context.Background(), message("no@mx.test")); err != nil || res.Begun {
		t.Errorf("%+v, %v", res, err)
	}
	s.conn.Close()
	if _, err = s.Send(context.Background(), m); err == nil || status.From(err).Op() == OpReply {
		t.Errorf("%v", err)
	}
}

func TestDialSaysWhyItCannotConnect(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	_, err = Dial(context.Background(), Target{Network: "tcp", Address: ln.Addr().String()}, Options{})
	if st := status.From(err); st.Diagnostic() != "451 4.4.1 cannot connect: connection refused" {
		t.Errorf("%s", st.Diagnostic())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Dial(ctx, Target{Network: "tcp", Address: ln.Addr().String()}, Options{})
	if st := status.From(err); st.Class() != status.Temporary {
		t.Errorf("%s", st.Diagnostic())
	}
}

func TestRelay(t *testing.T) {
	for want, target := range map[string]Target{
		"mx.d[192.0.2.7]:25":          {Name: "mx.d", Network: "tcp", Address: "192.0.2.7:25"},
		"mx.d[2001:db8::1]:25":        {Name: "mx.d", Network: "tcp", Address: "[2001:db8::1]:25"},
		"box[/run/dovecot/lmtp:sock]": {Name: "box", Network: "unix", Address: "/run/dovecot/lmtp:sock"},
		"/run/dovecot/lmtp":           {Name: "/run/dovecot/lmtp", Network: "unix", Address: "/run/dovecot/lmtp"},
	} {
		if got := (&Session{target: target}).Relay(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := dialTest(b, listen(b, sink(sinkExtensions)), Options{})
			defer s.Close()
			m := message("b@mx.test")
			m.Body = section("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72))
			b.SetBytes(m.Body.Size())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Send(context.Background(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
