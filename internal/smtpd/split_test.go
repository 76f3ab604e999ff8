package smtpd

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/queue"
)

// scriptConn is a client that says what it says in given pieces, and then no more.
type scriptConn struct {
	pieces [][]byte
	from   netip.AddrPort
	out    bytes.Buffer
	closed bool
}

func (c *scriptConn) Read(p []byte) (int, error) {
	if len(c.pieces) == 0 || c.closed {
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	if c.pieces[0] = c.pieces[0][n:]; len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	return n, nil
}

func (c *scriptConn) Write(p []byte) (int, error)    { return c.out.Write(p) }
func (c *scriptConn) Close() error                   { c.closed = true; return nil }
func (c *scriptConn) LocalAddr() net.Addr            { return LocalAddr{} }
func (c *scriptConn) RemoteAddr() net.Addr           { return net.TCPAddrFromAddrPort(c.from) }
func (*scriptConn) SetDeadline(time.Time) error      { return nil }
func (*scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (*scriptConn) SetWriteDeadline(time.Time) error { return nil }

var queueID = regexp.MustCompile(`\b[0-9A-F]{13}[0-9A-Z]{4}\b`)

// speak runs a session in which the client says text, cut at the given places. The result is what the server said and what
// is in the spool.
func speak(t testing.TB, p *Port, trusted bool, text string, cuts ...int) string {
	t.Helper()
	policy := &testPolicy{trusted: trusted}
	s, spool := testServer(t, policy)
	conn := &scriptConn{from: netip.MustParseAddrPort("192.0.2.1:99")}
	at := 0
	for _, c := range append(cuts, len(text)) {
		if c > at {
			conn.pieces = append(conn.pieces, []byte(text[at:c]))
			at = c
		}
	}
	s.Serve(context.Background(), conn, p)
	result := queueID.ReplaceAllString(conn.out.String(), "ID") + "----\n"
	var bodies []string
	err := spool.Scan(queue.New, func(e queue.Entry) error {
		c, err := spool.Claim(e)
		if err != nil {
			return err
		}
		defer c.Close()
		body, err := io.ReadAll(c.Body())
		bodies = append(bodies, queueID.ReplaceAllString(string(body), "ID")+"----\n")
		return err
	})
	slices.Sort(bodies)
	if err != nil || policy.now != 0 {
		t.Fatalf("%v; the policy knows %d clients", err, policy.now)
	}
	return result + strings.Join(bodies, "")
}

const splitScript = "EHLO x.example\r\nMAIL FROM:<a@b.example> SIZE=20\r\nRCPT TO:<joe@here.example>\r\nRCPT TO:<x@far.example>\r\nDATA\r\n" +
	"Subject: x\r\n\r\n..a\r\n.b\r\nc\rd\r\n.\r\nNOOP\r\nMAIL FROM:<>\r\nRCPT TO:<joe@here.example>\r\nBDAT 12\r\nSubject: y\r\nBDAT 3\r\n\r\n.BDAT 2 LAST\r\n\r\n" +
	"FOO\r\nBDAT 5\r\nQUIT\nVRFY joe\r\nAUTH PLAIN\r\n=\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\nRSET\r\nMAIL FROM:<a@b>\r\nQUIT\r\n"

// strictCuts is where a stranger has to wait for a reply in splitScript.
func strictCuts() (cuts []int) {
	for _, word := range []string{"EHLO x.example\r\n", "DATA\r\n"} {
		cuts = append(cuts, strings.Index(splitScript, word)+len(word))
	}
	return cuts
}

// Whatever way the bytes of a client come, the session is the same.
func TestSessionDoesNotDependOnPieces(t *testing.T) {
	port := &Port{Auth: testAuth{clear: true}}
	for _, trusted := range []bool{true, false} {
		var always []int
		texts := 2
		if !trusted { // its first message has a bare CR
			always, texts = strictCuts(), 1
		}
		whole := speak(t, port, trusted, splitScript, always...)
		if strings.Count(whole, "queued as ID") != texts || !strings.Contains(whole, "235 2.7.0") || !strings.Contains(whole, "\r\n221 ") {
			t.Fatalf("the session went wrong:\n%s", whole)
		}
		for c := 1; c < len(splitScript); c += 3 {
			cuts := append([]int{c}, always...)
			slices.Sort(cuts)
			if got := speak(t, port, trusted, splitScript, cuts...); got != whole {
				t.Fatalf("cut at %v:\n%s\n\nwhole:\n%s", cuts, got, whole)
			}
		}
		var all []int
		for c := range splitScript {
			all = append(all, c)
		}
		if got := speak(t, port, trusted, splitScript, all...); got != whole {
			t.Fatalf("byte by byte:\n%s\n\nwhole:\n%s", got, whole)
		}
	}
}

// FuzzSession lets a stranger and a friend say anything in any pieces: nothing breaks, nobody is left behind, and what a
// friend says means the same however it is cut.
func FuzzSession(f *testing.F) {
	f.Add(splitScript, uint64(1), uint8(0))
	f.Add("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<joe@here.example>\r\nBDAT 99999999999999999999\r\n", uint64(2), uint8(1))
	f.Add("LHLO x\r\nMAIL FROM:<a@b> BY=3;RT\r\nRCPT TO:<joe@here.example> ORCPT=rfc822;a+40b\r\nBDAT 3 LAST\r\nabc", uint64(3), uint8(2))
	f.Add("EHLO x\nMAIL FROM:<joe>\nRCPT TO:root\nDATA\nTo: a, b (c\n\n.\nQUIT\n", uint64(4), uint8(3))
	f.Fuzz(func(t *testing.T, text string, seed uint64, kind uint8) {
		if len(text) > 1<<16 {
			return
		}
		port := &Port{Auth: testAuth{clear: true}, Mode: Mode(kind % 4)}
		rnd := rand.New(rand.NewPCG(seed, 1))
		var cuts []int
		for c := 0; c < len(text); c += 1 + rnd.IntN(20) {
			cuts = append(cuts, c)
		}
		friendly := kind&4 != 0
		whole := speak(t, port, friendly, text)
		if cut := speak(t, port, friendly, text, cuts...); friendly && cut != whole {
			t.Errorf("cut at %v:\n%s\n\nwhole:\n%s", cuts, cut, whole)
		}
		said, _, _ := strings.Cut(whole, "----\n")
		for line := range strings.SplitSeq(strings.TrimSuffix(said, "\r\n"), "\r\n") {
			if len(line) < 4 || line[0] < '2' || line[0] > '5' || strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("bad reply %q", line)
			}
		}
	})
}
