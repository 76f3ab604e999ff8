package smtpd

import (
	"context"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/status"
	"postrider/queue"
)

// oddPolicy is testPolicy with answers of the test's own.
type oddPolicy struct {
	testPolicy
	connect, helo Verdict
	name          string
}

func (p *oddPolicy) Connect(ctx context.Context, c *Client) Verdict {
	p.testPolicy.Connect(ctx, c)
	c.Name = p.name
	return p.connect
}

func (p *oddPolicy) Helo(_ context.Context, c *Client) Verdict {
	if c.Helo != "odd.example" {
		return Verdict{}
	}
	return p.helo
}

func (p *oddPolicy) Verify(context.Context, *Client, string) Answer { return Answer{} }

func (p *oddPolicy) Turn(context.Context, *Client, string) *status.Status { return nil }

// checkFunc is a Check that judges with a function of what it has seen.
type checkFunc func(text string) Verdict

func (f checkFunc) Begin(context.Context, *Client, *Transaction) Inspection {
	return &inspection{judge: f}
}

type inspection struct {
	judge checkFunc
	text  strings.Builder
}

func (i *inspection) Write(p []byte) (int, error) { return i.text.Write(p) }
func (i *inspection) End() Verdict                { return i.judge(i.text.String()) }
func (i *inspection) Abort()                      {}

// play runs a session of one client and tells what was said, and how many messages are accepted and held.
func play(t *testing.T, s *Server, spool *queue.Spool, script string) (said string, accepted, held int) {
	t.Helper()
	conn := &scriptConn{from: netip.MustParseAddrPort("192.0.2.1:99")}
	for line := range strings.SplitAfterSeq(script, "\n") { // a stranger waits for each reply
		if line != "" {
			conn.pieces = append(conn.pieces, []byte(line))
		}
	}
	s.Serve(context.Background(), conn, &Port{})
	accepted, err1 := spool.Count(queue.New)
	held, err2 := spool.Count(queue.Held)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return conn.out.String(), accepted, held
}

const oneMessage = "MAIL FROM:<a@b.example>\r\nRCPT TO:<joe@here.example>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n"

// What is said of a client holds for all its messages, and what is said of a HELO until the next one.
func TestVerdictsOnClientAndHelo(t *testing.T) {
	discard, hold := Verdict{Discard: true}, Verdict{Hold: "odd"}
	for _, tt := range []struct {
		name           string
		connect, helo  Verdict
		script         string
		accepted, held int
	}{
		{"nothing is said", Verdict{}, Verdict{}, "HELO odd.example\r\n" + oneMessage + oneMessage, 2, 0},
		{"a client to discard", discard, Verdict{}, "HELO x.example\r\n" + oneMessage + oneMessage, 0, 0},
		{"a client to hold", hold, Verdict{}, "HELO x.example\r\n" + oneMessage + oneMessage, 0, 2},
		{"a HELO to hold", Verdict{}, hold, "HELO odd.example\r\n" + oneMessage + oneMessage, 0, 2},
		{"a HELO to hold, of a client to discard", discard, hold, "HELO odd.example\r\n" + oneMessage, 0, 0},
		{"a HELO to discard, and another", Verdict{}, discard, "HELO odd.example\r\n" + oneMessage + "HELO x.example\r\n" + oneMessage, 1, 0},
	} {
		s, spool := testServer(t, &testPolicy{})
		s.Policy = &oddPolicy{testPolicy: testPolicy{trusted: true}, connect: tt.connect, helo: tt.helo}
		if said, accepted, held := play(t, s, spool, tt.script); accepted != tt.accepted || held != tt.held {
			t.Errorf("%s: %d accepted, %d held\n%s", tt.name, accepted, held, said)
		}
	}
}

func TestChecks(t *testing.T) {
	spam := status.New("test", 554, status.Code{5, 7, 1}, "spam", nil)
	for _, tt := range []struct {
		name           string
		check          checkFunc
		said           string
		accepted, held int
	}{
		{"pass", func(string) Verdict { return Verdict{} }, "250 2.0.0 Ok: queued", 1, 0},
		{"refuse", func(string) Verdict { return Verdict{Status: spam} }, "554 5.7.1 spam\r\n250 2.0.0 Ok\r\n", 0, 0},
		{"refuse and end", func(string) Verdict { return Verdict{Status: spam, Close: true} }, "\r\n554 5.7.1 spam\r\n", 0, 0},
		{"discard", func(string) Verdict { return Verdict{Discard: true} }, "250 2.0.0 Ok: discarded", 0, 0},
		{"hold", func(string) Verdict { return Verdict{Hold: "odd"} }, "250 2.0.0 Ok: queued", 0, 1},
		{"see the text", func(text string) Verdict {
			if text != "Subject: x\r\n\r\n" {
				return Verdict{Status: spam}
			}
			return Verdict{}
		}, "250 2.0.0 Ok: queued", 1, 0},
	} {
		s, spool := testServer(t, &testPolicy{trusted: true})
		s.Checks = []Check{tt.check}
		said, accepted, held := play(t, s, spool, "HELO x.example\r\n"+oneMessage+"NOOP\r\n")
		if !strings.Contains(said, tt.said) || accepted != tt.accepted || held != tt.held {
			t.Errorf("%s: %d accepted, %d held\n%s", tt.name, accepted, held, said)
		}
		if ended := !strings.HasSuffix(said, "250 2.0.0 Ok\r\n"); ended != (tt.name == "refuse and end") {
			t.Errorf("%s: the session ended: %v", tt.name, ended)
		}
	}
}

// A fault of ours in the middle of a message leaves nothing of it, nor of the client.
func TestPanicLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, mode := range []Mode{MTA, Local} {
		policy := &testPolicy{trusted: true}
		s, spool := testServer(t, policy)
		s.Checks = []Check{checkFunc(func(string) Verdict { panic("a fault") })}
		s.SizeLimit = 1 << 20
		conn := &scriptConn{from: netip.MustParseAddrPort("192.0.2.1:99"), pieces: [][]byte{[]byte("HELO x.example\r\nMAIL FROM:<>\r\nRCPT TO:<joe@here.example>\r\nDATA\r\n" + strings.Repeat(strings.Repeat("y", 98)+"\r\n", 1000) + ".\r\n")}}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no fault")
				}
			}()
			s.Serve(context.Background(), conn, &Port{Mode: mode})
		}()
		tmp, err := os.ReadDir(spool.Root() + "/tmp")
		if n, err2 := spool.Count(queue.New); n != 0 || err != nil || err2 != nil || len(tmp) > 0 {
			t.Errorf("mode %d: %d messages, %v %v, drafts %v", mode, n, err, err2, tmp)
		}
		if policy.now != 0 || s.Stats.Sessions.Load() != 0 || !conn.closed {
			t.Errorf("mode %d: the client is still there", mode)
		}
	}
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// A policy without an answer is no answer.
func TestPolicyWithoutAnAnswer(t *testing.T) {
	s, spool := testServer(t, &testPolicy{})
	s.Policy = &oddPolicy{testPolicy: testPolicy{trusted: true}}
	said, _, _ := play(t, s, spool, "EHLO x.example\r\nVRFY joe\r\nETRN a.example\r\n")
	if strings.Count(said, "451 4.3.0 no answer just now\r\n") != 2 {
		t.Error(said)
	}
}

// The name that DNS gives a client goes into the trace, so it has to be one.
func TestNameOfAClientInTheTrace(t *testing.T) {
	for name, want := range map[string]string{"mx.example": "(mx.example[192.0.2.1])", "x)\r\nEvil: 1": "(unknown[192.0.2.1])"} {
		s, spool := testServer(t, &testPolicy{})
		s.Policy = &oddPolicy{testPolicy: testPolicy{trusted: true}, name: name}
		play(t, s, spool, "HELO x.example\r\n"+oneMessage)
		err := spool.Scan(queue.New, func(e queue.Entry) error {
			c, err := spool.Claim(e)
			if err != nil {
				return err
			}
			defer c.Close()
			b := make([]byte, 100)
			n, _ := c.Body().Read(b)
			if line, _, _ := strings.Cut(string(b[:n]), "\r\n"); line != "Received: from x.example "+want {
				t.Errorf("%q: %q", name, line)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// Limits that count: a header, commands that lead nowhere, recipients of a client that does not listen.
func TestCounts(t *testing.T) {
	for _, tt := range []struct{ name, script, end string }{
		{"a long header", "HELO x.example\r\nMAIL FROM:<>\r\nRCPT TO:<joe@here.example>\r\nDATA\r\n" + strings.Repeat("X: y\r\n", maxHeader/6+1) + "\r\n.\r\n", "552 5.3.4 message header is too large\r\n"},
		{"RSETs", "HELO x.example\r\n" + strings.Repeat("RSET\r\n", maxIdle), "421 4.7.0 mail.here.example too many commands that lead nowhere\r\n"},
		{"HELOs between them", strings.Repeat("HELO x.example\r\nVRFY joe\r\n", maxIdle), "421 4.7.0 mail.here.example too many commands that lead nowhere\r\n"},
		{"transactions that come to nothing", "HELO x.example\r\n" + strings.Repeat("MAIL FROM:<>\r\nRCPT TO:<joe@here.example>\r\nRSET\r\n", maxIdle), "421 4.7.0 mail.here.example too many commands that lead nowhere\r\n"},
		{"empty chunks", "HELO x.example\r\nMAIL FROM:<>\r\nRCPT TO:<joe@here.example>\r\n" + strings.Repeat("BDAT 0\r\n", maxIdle) + "NOOP\r\n", "421 4.7.0 mail.here.example too many commands that lead nowhere\r\n"},
		{"too many recipients by far", "HELO x.example\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<joe@here.example>\r\n", 100), "421 4.7.0 mail.here.example too many errors\r\n"},
	} {
		s, spool := testServer(t, &testPolicy{})
		s.SizeLimit = 0
		if said, n, _ := play(t, s, spool, tt.script); !strings.HasSuffix(said, tt.end) || n != 0 {
			t.Errorf("%s: %d messages, ...%q", tt.name, n, said[max(0, len(said)-200):])
		}
	}
}

// Too few descriptors end the session wherever they show.
func TestTooBusy(t *testing.T) {
	for _, command := range []string{"DATA\r\nx\r\n.\r\n", "BDAT 70000\r\n" + strings.Repeat("x", 70000)} {
		s, spool := testServer(t, &testPolicy{trusted: true})
		s.SizeLimit = 1 << 20
		s.Spool = busySpool{spool}
		said, n, _ := play(t, s, spool, "HELO x.example\r\nMAIL FROM:<>\r\nRCPT TO:<joe@here.example>\r\n"+command+"NOOP\r\n")
		if !strings.HasSuffix(said, "421 4.3.2 too busy just now\r\n") || n != 0 || s.Stats.CommitFails.Load() != 1 {
			t.Errorf("%d messages, %d counted, %q", n, s.Stats.CommitFails.Load(), said)
		}
	}
}

// busySpool has no descriptors left.
type busySpool struct{ *queue.Spool }

func (busySpool) NewDraft(queue.Envelope) (*queue.Draft, error) {
	return nil, &os.PathError{Op: "open", Path: "tmp", Err: syscall.EMFILE}
}

// Who gives up a login when it has answered has guessed; who gives up before has not.
func TestLoginsGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		guesses      int
	}{
		{"before it has said anything", "AUTH PLAIN\r\n*\r\n", 0},
		{"gone before it has said anything", "AUTH PLAIN\r\n", 0},
		{"after a response", "AUTH ASK =\r\n*\r\n", 1},
		{"gone after a response", "AUTH ASK =\r\n", 1},
		{"a wrong password", "AUTH PLAIN AGpvZQB3cm9uZw==\r\n", 1},
		{"no base64", "AUTH PLAIN !\r\n", 0},
		{"a mechanism that is not known", "AUTH X\r\n", 0},
	} {
		policy := &testPolicy{}
		s, _ := testServer(t, policy)
		conn := &scriptConn{from: netip.MustParseAddrPort("192.0.2.1:99")}
		for line := range strings.SplitAfterSeq("EHLO x.example\r\n"+tt.script, "\n") {
			conn.pieces = append(conn.pieces, []byte(line))
		}
		s.Serve(context.Background(), conn, &Port{Auth: testAuth{clear: true}})
		if policy.guesses != tt.guesses || policy.asked != 1 || policy.told != 1 {
			t.Errorf("%s: %d guesses, asked %d times, told %d times\n%s", tt.name, policy.guesses, policy.asked, policy.told, conn.out.String())
		}
	}
}
