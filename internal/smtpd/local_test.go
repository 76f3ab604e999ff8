package smtpd

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
	"postrider/internal/submit"
	"postrider/queue"
)

// localServer is a testServer with a local socket, whose clients are alice.
type localServer struct {
	*Server
	t      testing.TB
	spool  *queue.Spool
	policy *testPolicy
	listen *net.UnixListener
	port   Port
}

func newLocalServer(t testing.TB) *localServer {
	t.Helper()
	l := &localServer{t: t, policy: &testPolicy{}, port: Port{Mode: Local}}
	l.Server, l.spool = testServer(t, l.policy)
	l.User = func(uid int) submit.User { return submit.User{UID: uid, Name: "alice", Gecos: "& Adams"} }
	var err error
	l.listen, err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "submit"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.listen.Close() })
	return l
}

// dial begins a session. done is closed when it has ended.
func (l *localServer) dial() (conn *net.UnixConn, done chan struct{}) {
	l.t.Helper()
	conn, err := net.DialUnix("unix", nil, l.listen.Addr().(*net.UnixAddr))
	if err != nil {
		l.t.Fatal(err)
	}
	served, err := l.listen.Accept()
	if err != nil {
		l.t.Fatal(err)
	}
	done = make(chan struct{})
	go func() { defer close(done); l.Serve(context.Background(), served, &l.port) }()
	l.t.Cleanup(func() { conn.Close(); <-done })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn, done
}

// talk sends pieces, ends its side, and returns what the server says to its end.
func (l *localServer) talk(pieces ...string) string {
	l.t.Helper()
	conn, done := l.dial()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, p := range pieces {
			io.WriteString(conn, p) // the server may have ended the session
		}
		conn.CloseWrite()
	}()
	said, err := io.ReadAll(conn)
	<-sent
	<-done
	if err != nil && !strings.Contains(err.Error(), "reset") {
		l.t.Fatal(err)
	}
	return string(said)
}

// count checks how many messages are in the spool, where nothing else may be.
func (l *localServer) count(want int, when string) {
	l.t.Helper()
	n, err := l.spool.Count(queue.New | queue.Held)
	tmp, _ := os.ReadDir(l.spool.Root() + "/tmp")
	if err != nil || n != want || len(tmp) != 0 {
		l.t.Fatalf("%s: %d messages, want %d; left in tmp: %v; %v", when, n, want, tmp, err)
	}
}

// xsubmit is the whole of a submission: options, chunks, and QUIT.
func xsubmit(o submit.Options, chunks ...string) string {
	var b strings.Builder
	block := o.AppendBlock(nil)
	fmt.Fprintf(&b, "EHLO localhost\r\nXSUBMIT %d\r\n%s", len(block), block)
	for i, c := range chunks {
		fmt.Fprintf(&b, "BDAT %d%s\r\n%s", len(c), map[bool]string{true: " LAST"}[i == len(chunks)-1], c)
	}
	return b.String() + "QUIT\r\n"
}

// replies are the replies of a session, each with its lines.
func replies(t testing.TB, said string) (all [][]string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(said) {
		line = strings.TrimSuffix(line, "\r\n")
		if len(line) < 4 {
			t.Fatalf("%q in %q", line, said)
		}
		if lines = append(lines, line); line[3] == ' ' {
			all, lines = append(all, lines), nil
		}
	}
	return all
}

// outcome is the reply to an XSUBMIT that comes before QUIT, in a session with so many replies.
func outcome(t testing.TB, said string, n int) []string {
	t.Helper()
	all := replies(t, said)
	if len(all) != n || all[n-1][0][:4] != "221 " {
		t.Fatalf("not %d replies: %q", n, said)
	}
	return all[n-2]
}

func toBob() submit.Options { return submit.Options{Recipients: []string{"bob@r.test"}} }

func TestXSubmit(t *testing.T) {
	l := newLocalServer(t)
	o := toBob()
	o.Recipients = append(o.Recipients, "carol")
	o.FullName, o.Tag, o.EnvID, o.Ret, o.Notify = "Alice", "tag", "e", "HDRS", queue.NotifyFailure
	said := l.talk(xsubmit(o, "Subject: x\nBcc: y@z\n", "", "\nte", "xt\n.\n..\nafter\n"))
	if !strings.Contains(said, "250-XSUBMIT\r\n") && !strings.Contains(said, "250 XSUBMIT\r\n") {
		t.Errorf("not offered: %q", said)
	}
	lines := outcome(t, said, 4)
	id, ok := strings.CutPrefix(lines[0], "250 2.0.0 Ok: queued as ")
	if !ok || len(lines) != 1 {
		t.Fatalf("%q", lines)
	}
	l.count(1, "accepted")
	err := l.spool.Scan(queue.New, func(e queue.Entry) error {
		c, err := l.spool.Claim(e)
		if err != nil {
			return err
		}
		defer c.Close()
		text, err := io.ReadAll(c.Body())
		uid := os.Getuid()
		want := fmt.Sprintf("Received: by mail.here.example (postrider, from userid %d)\r\n\tid %s; Tue, 24 Nov 2026 12:00:00 +0000\r\nSubject: x\r\n"+
			"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nFrom: Alice <alice@here.example>\r\nMessage-ID: <20261124120000.%s@mail.here.example>\r\n\r\ntext\r\n", uid, id, id)
		if string(text) != want {
			t.Errorf("text: %q\nwant: %q", text, want)
		}
		env := c.Envelope
		if env.Sender != "alice@here.example" || len(env.Rcpts) != 2 || env.Rcpts[1].Address != "carol@here.example" || env.UID != uid || env.User != "alice" || env.Proto != "local" ||
			env.Tag != "tag" || env.EnvID != "e" || env.Ret != "HDRS" || env.Rcpts[0].Notify != queue.NotifyFailure {
			t.Errorf("envelope: %+v", env)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestXSubmitByBytes(t *testing.T) {
	l := newLocalServer(t)
	var pieces []string
	for _, c := range xsubmit(toBob(), "Subject: x\n", "\ntext") {
		pieces = append(pieces, string(c))
	}
	if lines := outcome(t, l.talk(pieces...), 4); !strings.HasPrefix(lines[0], "250 ") {
		t.Errorf("%q", lines)
	}
	l.count(1, "in pieces")
}

// A client that is gone before the end of its last chunk has handed nothing over.
func TestXSubmitBreaksOff(t *testing.T) {
	l := newLocalServer(t)
	all := strings.TrimSuffix(xsubmit(toBob(), "Subject: x\n\ntext\n.\n", "after\n", "the end\n"), "QUIT\r\n")
	for n := range len(all) {
		l.talk(all[:n])
		l.count(0, fmt.Sprintf("%q", all[:n]))
	}
	l.talk(all)
	l.count(1, "the whole")
}

func TestXSubmitIsRefused(t *testing.T) {
	f := func(edit func(*submit.Options)) submit.Options {
		o := toBob()
		edit(&o)
		return o
	}
	text := "Subject: x\n\ntext\n"
	for _, c := range []struct{ name, in, want string }{
		{"a bad operand", xsubmit(f(func(o *submit.Options) { o.Recipients = []string{"a@b@c"} }), text), "exit 64"},
		{"no recipients", xsubmit(f(func(o *submit.Options) { o.Recipients = nil }), text), "exit 64"},
		{"no recipients in the header", xsubmit(submit.Options{Extract: true}, text), "exit 64"},
		{"a bad sender", xsubmit(f(func(o *submit.Options) { o.From = new(string); *o.From = "a@b@c" }), text), "exit 64"},
		{"too large", xsubmit(toBob(), text, strings.Repeat("x", 4000), text), "552-5.3.4 exit 69"},
		{"too many hops", xsubmit(toBob(), strings.Repeat("Received: x\n", 4)+text), "554-5.4.6 exit 69"},
		{"too many hops by the client's limit", xsubmit(f(func(o *submit.Options) { o.HopLimit = 1 }), strings.Repeat("Received: x\n", 2)+text), "exit 69"},
		{"without EHLO", strings.Replace(xsubmit(toBob(), text), "EHLO", "HELO", 1), "503-5.5.1 exit"},
		{"in a transaction", strings.Replace(xsubmit(toBob(), text), "XSUBMIT", "MAIL FROM:<a@b.test>\r\nXSUBMIT", 1), "503-5.5.1 exit"},
		{"options that are none", "EHLO localhost\r\nXSUBMIT 9\r\nXSUBMIT\r\nBDAT 4 LAST\r\nRSETQUIT\r\n", "501-5.5.4 exit 69"},
		{"a sender whom the policy refuses", xsubmit(f(func(o *submit.Options) { o.From = new(string); *o.From = "refused@b.test" }), text), "550-5.7.1 exit 69"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLocalServer(t)
			l.Policy = refusingPolicy{l.policy}
			lines := strings.Join(outcome(t, l.talk(c.in), 4+strings.Count(c.in, "FROM:")), "\n")
			if !strings.Contains(lines, c.want) {
				t.Errorf("%q", lines)
			}
			l.count(0, c.name)
		})
	}
}

// refusingPolicy refuses the senders whose name says so.
type refusingPolicy struct{ *testPolicy }

func (p refusingPolicy) Mail(ctx context.Context, c *Client, t *Transaction) Verdict {
	if t.Sender.Local() == "refused" {
		return Verdict{Status: status.New("test", 550, status.Code{5, 7, 1}, "not you", nil)}
	}
	return p.testPolicy.Mail(ctx, c, t)
}

// Where it cannot be told what is text and what is a command, the session is over.
func TestXSubmitThatIsNotUnderstood(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"no size":              {"EHLO x\r\nXSUBMIT\r\nNOOP\r\n", "501 5.5.4 syntax: XSUBMIT size"},
		"a negative size":      {"EHLO x\r\nXSUBMIT -1\r\nNOOP\r\n", "501 5.5.4 syntax: XSUBMIT size"},
		"many options":         {"EHLO x\r\nXSUBMIT 4194305\r\nNOOP\r\n", "501 5.5.4 syntax: XSUBMIT size"},
		"a control character":  {"EHLO x\r\nXSUBMIT 2\x00\r\nNOOP\r\n", "501 5.5.2 control character in a command"},
		"a command in between": {strings.Replace(xsubmit(toBob(), "Subject: x\n\n", "x"), "BDAT 1 LAST", "RSET", 1), "501 5.5.4 syntax: BDAT size [LAST]"},
		"a chunk without size": {strings.Replace(xsubmit(toBob(), "x"), "BDAT 1", "BDAT", 1), "501 5.5.4 syntax: BDAT size [LAST]"},
		"a chunk of below 0":   {strings.Replace(xsubmit(toBob(), "x"), "BDAT 1", "BDAT -1", 1), "501 5.5.4 syntax: BDAT size [LAST]"},
		"a chunk of its own":   {strings.Replace(xsubmit(toBob(), "x"), "LAST", "FIRST", 1), "501 5.5.4 syntax: BDAT size [LAST]"},
		"an endless line":      {strings.Replace(xsubmit(toBob(), "x"), "BDAT 1 LAST", strings.Repeat("x", 200_000), 1), "500 5.5.2 line too long"},
	} {
		l := newLocalServer(t)
		all := replies(t, l.talk(c.in))
		if last := all[len(all)-1]; len(all) != 3 || last[0] != c.want {
			t.Errorf("%s: %q", name, all)
		}
		l.count(0, name)
	}
}

func TestXSubmitIsForUsersOfThisMachine(t *testing.T) {
	for want, change := range map[string]func(*localServer){
		"500 5.5.1 command not known":        func(l *localServer) { l.port.Mode = MTA },
		"502 5.5.1 XSUBMIT is not available": func(l *localServer) { l.Policy = strangers{l.policy} },
	} {
		l := newLocalServer(t)
		change(l)
		conn, _ := l.dial()
		var said string
		for _, line := range []string{"", "EHLO x\r\n", "XSUBMIT 30\r\n"} {
			io.WriteString(conn, line)
			for more := true; more; {
				b := make([]byte, 4096)
				n, err := conn.Read(b)
				if err != nil {
					t.Fatalf("%q: %v", said, err)
				}
				said += string(b[:n])
				last := said[strings.LastIndex(strings.TrimSuffix(said, "\r\n"), "\n")+1:]
				more = last[3] != ' '
			}
		}
		if all := replies(t, said); all[2][0] != want || strings.Contains(strings.Join(all[1], "\n"), "XSUBMIT") {
			t.Errorf("%q, want %s", all, want)
		}
	}
	s, _ := testServer(t, &testPolicy{trusted: true})
	conn, done, _ := connect(t, s, &Port{Mode: Local}, "")
	io.WriteString(conn, xsubmit(toBob(), "Subject: x\n"))
	said, _ := io.ReadAll(conn)
	<-done
	if all := replies(t, string(said)); strings.Contains(string(said), "-XSUBMIT") || all[len(all)-1][0][:4] != "502 " {
		t.Errorf("over TCP: %q", said)
	}
}

// strangers is a policy that trusts nobody.
type strangers struct{ *testPolicy }

func (p strangers) Connect(ctx context.Context, c *Client) Verdict {
	v := p.testPolicy.Connect(ctx, c)
	c.Trusted = false
	return v
}

// What follows the end of the text is no part of it, but the last chunk must come.
func TestXSubmitEndsAtTheDot(t *testing.T) {
	l := newLocalServer(t)
	all := xsubmit(toBob(), "Subject: x\n\ntext\n.\n", "RSET\r\nQUIT\r\n", "")
	l.talk(strings.TrimSuffix(all, "BDAT 0 LAST\r\nQUIT\r\n"))
	l.count(0, "without the last chunk")
	if lines := outcome(t, l.talk(all), 4); !strings.HasPrefix(lines[0], "250 2.0.0 Ok: queued") {
		t.Errorf("%q", lines)
	}
	l.count(1, "with it")
}

func TestXSubmitTellsOfBadAddresses(t *testing.T) {
	l := newLocalServer(t)
	lines := outcome(t, l.talk(xsubmit(submit.Options{Extract: true}, "To: a@b@c, bob@r.test\nCc: "+strings.Repeat("x y@z@, ", 12)+"\n\n")), 4)
	if !strings.HasPrefix(lines[0], `250-2.0.0 bad "To" "a@b@c" "`) || !strings.HasPrefix(lines[len(lines)-2], "250-2.0.0 more ") || !strings.HasPrefix(lines[len(lines)-1], "250 2.0.0 Ok: queued as ") {
		t.Errorf("%q", lines)
	}
	l.count(1, "a good one was among them")
}

// A session that was refused one message may go on to another.
func TestXSubmitAfterAnother(t *testing.T) {
	l := newLocalServer(t)
	one := strings.TrimSuffix(xsubmit(toBob(), "Subject: x\n\n", "text\n"), "QUIT\r\n")
	bad := strings.TrimPrefix(strings.TrimSuffix(xsubmit(submit.Options{}, strings.Repeat("x\n", 9000)), "QUIT\r\n"), "EHLO localhost\r\n")
	all := replies(t, l.talk(one+bad+"MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@r.test>\r\nBDAT 4 LAST\r\n\r\nx\n"+strings.TrimPrefix(one, "EHLO localhost\r\n")+"QUIT\r\n"))
	var codes string
	for _, r := range all {
		codes += r[len(r)-1][:4]
	}
	if codes != "220 250 250 550 250 250 250 250 221 " && codes != "220 250 250 501 250 250 250 250 221 " {
		t.Errorf("%s: %q", codes, all)
	}
	l.count(3, "all but one")
}

// verdicts is a check that says one thing of every message, and keeps what it sees.
type verdicts struct {
	Verdict
	seen    strings.Builder
	t       *Transaction
	write   error
	aborted bool
}

func (v *verdicts) Begin(_ context.Context, _ *Client, t *Transaction) Inspection {
	v.t = t
	return v
}

func (v *verdicts) Write(p []byte) (int, error) {
	v.seen.Write(p)
	return len(p), v.write
}

func (v *verdicts) End() Verdict { return v.Verdict }
func (v *verdicts) Abort()       { v.aborted = true }

func TestXSubmitIsChecked(t *testing.T) {
	no := status.New("test", 554, status.Code{5, 7, 1}, "spam", nil)
	for name, c := range map[string]struct {
		check verdicts
		want  string
		n     int
		held  int
	}{
		"passes":    {verdicts{}, "250 2.0.0 Ok: queued", 1, 0},
		"held":      {verdicts{Verdict: Verdict{Hold: "odd"}}, "250 2.0.0 Ok: queued", 1, 1},
		"discarded": {verdicts{Verdict: Verdict{Discard: true}}, "250 2.0.0 Ok: discarded", 0, 0},
		"refused":   {verdicts{Verdict: Verdict{Status: no}}, "554-5.7.1 exit 69", 0, 0},
		"fails":     {verdicts{write: io.ErrClosedPipe}, "451-4.3.0 exit 75", 0, 0},
	} {
		l := newLocalServer(t)
		before, after := &verdicts{}, &verdicts{}
		l.Checks = []Check{before, &c.check, after}
		lines := outcome(t, l.talk(xsubmit(submit.Options{Extract: true}, "To: bob@r.test\nBcc: carol\n\ntext\n")), 4)
		if !strings.HasPrefix(lines[0], c.want) {
			t.Errorf("%s: %q", name, lines)
		}
		l.count(c.n, name)
		if n, err := l.spool.Count(queue.Held); n != c.held || err != nil {
			t.Errorf("%s: %d held, %v", name, n, err)
		}
		seen := before.seen.String()
		if !strings.HasPrefix(seen, "To: bob@r.test\r\nDate: ") || !strings.HasSuffix(seen, "\r\n\r\ntext\r\n") || strings.Contains(seen, "carol") {
			t.Errorf("%s: seen: %q", name, seen)
		}
		if tx := before.t; tx.Sender.String() != "alice@here.example" || len(tx.Rcpts) != 2 || tx.Rcpts[1].String() != "carol@here.example" {
			t.Errorf("%s: %+v", name, tx)
		}
		if refused := c.n == 0 && name != "discarded"; refused != after.aborted {
			t.Errorf("%s: the check behind: aborted %v", name, after.aborted)
		}
	}
}

func TestXSubmitAndThePolicyOnSenders(t *testing.T) {
	for sender, held := range map[string]int{"hold@b.test": 1, "discard@b.test": 0} {
		l := newLocalServer(t)
		o := toBob()
		o.From = &sender
		outcome(t, l.talk(xsubmit(o, "Subject: x\n")), 4)
		l.count(held, sender)
		if n, err := l.spool.Count(queue.Held); n != held || err != nil {
			t.Errorf("%s: %d held, %v", sender, n, err)
		}
	}
}

// A refusal comes at once, and so much of what follows is thrown away.
func TestXSubmitIsRefusedWhileItComes(t *testing.T) {
	defer func(n int64) { maxWaste = n }(maxWaste)
	maxWaste = 1 << 20
	l := newLocalServer(t)
	conn, done := l.dial()
	go io.WriteString(conn, strings.TrimSuffix(xsubmit(submit.Options{}, ""), "BDAT 0 LAST\r\nQUIT\r\n"))
	buf := make([]byte, 4096)
	var said string
	for !strings.Contains(said, "\r\n550 ") && !strings.Contains(said, "\r\n501 ") {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%q, %v", said, err)
		}
		said += string(buf[:n])
	}
	chunk := []byte("BDAT 65536\r\n" + strings.Repeat("x", 65536))
	n := 0
	for ; n < 100; n++ {
		if _, err := conn.Write(chunk); err != nil {
			break
		}
	}
	<-done
	if n < 10 || n > 40 {
		t.Errorf("%d chunks were taken", n)
	}
	l.count(0, "refused")
}

// Where nothing is written, as with others of its kind, the client's silence ends the session.
func TestXSubmitWaitsForAWhile(t *testing.T) {
	l := newLocalServer(t)
	l.Timeout = 50 * time.Millisecond
	l.Lifetime = time.Nanosecond // counts not: jobs take hours
	l.Now = nil
	conn, done := l.dial()
	all := xsubmit(toBob(), "Subject: x\n\n", "", "text")
	io.WriteString(conn, all[:len(all)-20])
	<-done
	l.count(0, "silent")
}

// piecesConn is a connection from which a text comes in pieces.
type piecesConn struct {
	net.Conn
	text  string
	every int
}

func (c *piecesConn) Read(p []byte) (int, error) {
	if c.text == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.every)], c.text)
	c.text = c.text[n:]
	return n, nil
}

func (c *piecesConn) SetReadDeadline(time.Time) error { return nil }

// unchunk reads chunks that come in pieces. rest is what follows the last.
func unchunk(in string, every int) (text, rest string, err error) {
	conn := &piecesConn{text: in, every: every}
	r := &reader{conn: conn, buf: make([]byte, smallBlock), flush: func() error { return nil }, limit: time.Now}
	b, err := io.ReadAll(&chunks{in: r})
	return string(b), string(r.buf[r.r:r.w]) + conn.text, err
}

// reference is unchunk in plain words.
func reference(in string) (text, rest string, ok bool) {
	for {
		line, after, found := strings.Cut(in, "\r\n")
		size, last, err := parseChunk(strings.TrimPrefix(line, "BDAT "))
		if !found || err != nil || !strings.HasPrefix(line, "BDAT ") || strings.Contains(line, "\n") || size > int64(len(after)) {
			return "", "", false
		}
		text, in = text+after[:size], after[size:]
		if last {
			return text, in, true
		}
	}
}

func FuzzXSubmitChunks(f *testing.F) {
	for _, s := range []string{"BDAT 3\r\nabcBDAT 0 LAST\r\nNOOP\r\n", "BDAT 5 last\r\nBDAT \r\n", "BDAT 0\r\nBDAT 0\r\n", "BDAT 1 LASTa\r\n", "BDAT 1 LAST\na", "BDAT 01 LAST\r\na"} {
		f.Add(s, uint8(2))
	}
	f.Fuzz(func(t *testing.T, in string, every uint8) {
		want, rest, ok := reference(in)
		for _, n := range []int{int(every) + 1, 1 << 20} {
			got, left, err := unchunk(in, n)
			if ok != (err == nil) || ok && (got != want || left != rest) {
				t.Fatalf("%q by %d: %q, then %q, %v; want %q, then %q", in, n, got, left, err, want, rest)
			}
		}
	})
}

// Whatever of the spool's operations fails, the client hears of it, and nothing is left.
func TestXSubmitWhenTheSpoolFails(t *testing.T) {
	for n, struck := 1, true; struck; n++ {
		l := newLocalServer(t)
		under := fsys.NewCrash("/spool")
		faulty := fsys.NewFaulty(under)
		spool, err := queue.Open("/spool", queue.Options{FS: faulty})
		if err != nil {
			t.Fatal(err)
		}
		l.Spool = spool
		faulty.FailAt(n, 1, syscall.ENOSPC, nil)
		lines := outcome(t, l.talk(xsubmit(toBob(), "Subject: x\n\n", "text\n")), 4)
		struck = faulty.Struck()
		accepted := strings.Contains(lines[len(lines)-1], "Ok: queued")
		if !accepted && (!strings.HasPrefix(lines[0], "45") || !strings.Contains(lines[0], " exit 75")) {
			t.Errorf("operation %d: %q", n, lines)
		}
		left := 0
		for _, dir := range []string{"tmp", "new"} {
			under.ReadDir("/spool/"+dir, func(string) error { left++; return nil })
		}
		if accepted != (left == 1) || left > 1 || !struck && !accepted {
			t.Errorf("operation %d: accepted %v, %d files left", n, accepted, left)
		}
		if !struck && n < 6 || n > 50 {
			t.Fatalf("the spool does %d operations", n-1)
		}
	}
}

// Long blocks of options share the memory that there is for them.
func TestXSubmitBlocksShareMemory(t *testing.T) {
	long := submit.Options{Recipients: []string{strings.Repeat("joe@here.example, ", freeBlock/18+1)}}
	short := submit.Options{Recipients: []string{"joe@here.example"}}
	l := newLocalServer(t)
	blockBytes.Add(maxBlocks)
	busy := l.talk(xsubmit(long, "Subject: x\n\nx\n"))
	free := l.talk(xsubmit(short, "Subject: x\n\nx\n"))
	blockBytes.Add(-maxBlocks)
	if !strings.HasSuffix(busy, "421 4.3.2 mail.here.example too busy just now\r\n") || !strings.Contains(free, "queued as") {
		t.Errorf("%q\n%q", busy, free)
	}
	if said := l.talk(xsubmit(long, "Subject: x\n\nx\n")); !strings.Contains(said, "queued as") || blockBytes.Load() != 0 {
		t.Errorf("%q, %d bytes are held", said, blockBytes.Load())
	}
}

// A job may write for longer than a session may last, but not for ever.
func TestXSubmitHasAnEnd(t *testing.T) {
	s := &Session{Server: &Server{Timeout: time.Hour}, end: timeNow().Add(-longTime - time.Minute)}
	if until := s.longLimit(); until.After(timeNow()) {
		t.Errorf("it may go on until %v", until)
	}
	s.end = timeNow()
	if until := s.longLimit(); until.Before(timeNow().Add(30 * time.Minute)) {
		t.Errorf("it must be over at %v", until)
	}
}
