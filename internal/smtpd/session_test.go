package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postrider/internal/address"
	"postrider/internal/auth"
	"postrider/internal/status"
	"postrider/queue"
)

// testPolicy knows the users of here.example, relays for friends, and has words that it does not like.
type testPolicy struct {
	trusted bool
	mu      sync.Mutex
	now     int // clients that have come and not gone
	asked   int // whether a client may log in
	told    int // how that ended
	guesses int // that were wrong
}

func (p *testPolicy) Connect(_ context.Context, c *Client) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now++
	c.Trusted = p.trusted && c.Via == "" || c.UID >= 0
	switch c.Addr {
	case netip.MustParseAddr("192.0.2.66"):
		return Verdict{Status: status.New("test", 554, status.Code{5, 7, 1}, "go away", nil)}
	case netip.MustParseAddr("192.0.2.67"):
		return Verdict{Status: status.New("test", 450, status.Code{4, 7, 1}, "not now", nil)}
	}
	return Verdict{}
}

func (p *testPolicy) Helo(_ context.Context, c *Client) Verdict {
	if c.Helo == "bad.example" {
		return Verdict{Status: status.New("test", 550, status.Code{5, 7, 1}, "not that name", nil)}
	}
	return Verdict{}
}

func (p *testPolicy) Mail(_ context.Context, c *Client, t *Transaction) Verdict {
	switch {
	case c.Mode == Submission && c.Login == "":
		return Verdict{Status: status.New("test", 530, status.Code{5, 7, 0}, "log in first", nil)}
	case t.Sender.Local() == "discard":
		return Verdict{Discard: true, Reason: "rule 1"}
	case t.Sender.Local() == "hold":
		return Verdict{Hold: "looks odd", Reason: "rule 2"}
	}
	return Verdict{}
}

func (p *testPolicy) Rcpt(_ context.Context, c *Client, t *Transaction, a address.Address) Verdict {
	switch {
	case a.Local() == "discard":
		return Verdict{Discard: true, Reason: "rule 3"}
	case a.Local() == "busy":
		return Verdict{Status: status.New("test", 450, status.Code{4, 2, 0}, "busy", nil)}
	case a.Domain() == "" && strings.EqualFold(a.Local(), "postmaster"):
	case a.Domain() == "here.example" && a.Local() == "nobody":
		return Verdict{Status: status.New("test", 550, status.Code{5, 1, 1}, "no such user", nil)}
	case a.Domain() != "here.example" && !c.Friend():
		return Verdict{Status: status.New("test", 550, status.Code{5, 7, 1}, "relaying denied", nil)}
	}
	return Verdict{}
}

func (p *testPolicy) Data(_ context.Context, c *Client, t *Transaction) Verdict { return Verdict{} }

func (p *testPolicy) Login(_ context.Context, c *Client, tried bool, err error) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !tried {
		p.asked++
		return Verdict{}
	}
	p.told++
	if err != nil && status.From(err).Reply() == 535 {
		p.guesses++
	}
	return Verdict{}
}

func (p *testPolicy) Verify(_ context.Context, c *Client, text string) Answer {
	switch text {
	case "joe":
		return Answer{Status: status.New("test", 250, codeRcpt, "Joe <joe@here.example>", nil)}
	case "j\u00fcrgen":
		return Answer{Status: status.New("test", 250, codeRcpt, "<j\u00fcrgen@here.example>", nil)}
	case "wide":
		return Answer{Status: status.New("test", 553, status.Code{5, 1, 4}, "", nil), Lines: []string{"ambiguous", "<a@here.example>", "<\u00fc@here.example>"}}
	case "gone":
		return Answer{Status: status.New("test", 550, status.Code{5, 1, 1}, "j\u00fcrgen: no such user", nil)}
	case "smith":
		return Answer{Status: status.New("test", 553, status.Code{5, 1, 4}, "", nil), Lines: []string{"ambiguous; you may mean", "<a@here.example>", "<b@here.example>"}}
	}
	return Answer{Status: status.New("test", 550, status.Code{5, 1, 1}, "no such user", nil)}
}

func (p *testPolicy) Expand(_ context.Context, c *Client, text string) Answer {
	if text == "wide" {
		return Answer{Status: status.New("test", 250, codeRcpt, "", nil), Lines: []string{"A <a@here.example>", "<\u00fc@here.example>"}}
	}
	return Answer{Status: status.New("test", 250, codeRcpt, "", nil), Lines: []string{"A <a@here.example>", "B <b@there.example>"}}
}

func (p *testPolicy) Turn(_ context.Context, c *Client, domain string) *status.Status {
	if domain != "queued.example" && domain != "@queued.example" {
		return status.New("test", 459, status.Code{4, 7, 1}, "not allowed", nil)
	}
	return status.New("test", 250, codeOK, "queue run started", nil)
}

func (p *testPolicy) Close(c *Client) {
	p.mu.Lock()
	p.now--
	p.mu.Unlock()
}

// testAuth knows joe, whose password is "secret", by PLAIN, and by ASK, which asks twice.
type testAuth struct{ clear bool }

func (a testAuth) Mechanisms(ch auth.Channel) []string {
	if ch.TLS == nil && !a.clear {
		return nil
	}
	return []string{"PLAIN", "ASK"}
}

func (a testAuth) Start(_ context.Context, mechanism string, ch auth.Channel) (auth.Exchange, error) {
	switch {
	case len(a.Mechanisms(ch)) == 0:
		return nil, status.New("test", 538, status.Code{5, 7, 11}, "encryption required", nil)
	case mechanism == "PLAIN" || mechanism == "ASK":
		return &testExchange{steps: map[string]int{"PLAIN": 1, "ASK": 2}[mechanism]}, nil
	}
	return nil, status.New("test", 504, codeArgument, "mechanism not known", nil)
}

type testExchange struct {
	steps int
	login string
}

func (x *testExchange) Login() string { return x.login }

func (x *testExchange) Next(response []byte) ([]byte, bool, error) {
	switch {
	case response == nil:
		return []byte{}, false, nil
	case x.steps > 1:
		x.steps--
		return []byte("more"), false, nil
	case string(response) != "\x00joe\x00secret":
		return nil, true, status.New("test", 535, status.Code{5, 7, 8}, "login failed", nil)
	}
	x.login = "joe"
	return nil, true, nil
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// testServer is a Server with a spool of its own.
func testServer(t testing.TB, p *testPolicy) (*Server, *queue.Spool) {
	t.Helper()
	spool, err := queue.Open(t.TempDir(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &Server{
		Hostname: "mail.here.example", Origin: "here.example", Spool: spool, Policy: p, Stats: new(Stats),
		SizeLimit: 1000, HopLimit: 3, Recipients: 4, Timeout: 20 * time.Second, ETRN: true, VRFY: true, EXPN: true,
		IsLocal: func(d string) bool { return d == "here.example" },
		Now:     func() time.Time { return noon },
		Sleep:   func(context.Context, time.Duration) {},
	}, spool
}

var testPair = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mail.here.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// foreignConn comes from another address than it does.
type foreignConn struct {
	*net.TCPConn
	from netip.AddrPort
}

func (c foreignConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.from) }

// connect begins a session. done is closed when it has ended.
func connect(t testing.TB, s *Server, p *Port, from string) (conn *net.TCPConn, done chan struct{}, cancel func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if from != "" {
		served = foreignConn{served.(*net.TCPConn), netip.MustParseAddrPort(from)}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done = make(chan struct{})
	go func() { defer close(done); s.Serve(ctx, served, p) }()
	t.Cleanup(func() {
		c.Close()
		cancel()
		<-done
	})
	c.SetDeadline(time.Now().Add(time.Minute))
	return c.(*net.TCPConn), done, cancel
}

// dialogue is a session in a file. Its lines are
//
//	# a comment
//	set: trusted mode=submission tls implicit auth=clear from=192.0.2.1 proxy xclient users clientca implicit=joe
//	C: a line that the client sends
//	c: "bytes that it sends, quoted as in Go"
//	S: a line that the server sends; * stands for anything
//	starttls        or "starttls joe": with the certificate of that name
//	half            the client sends no more
//	end             the server ends the connection
//	nothing         it replies to nothing more, and ends the connection, with an alert of TLS or without
//	M: a line of the one message in the spool
//	spool: number of messages
//	held: number of messages that are held
//	rcpt: a recipient of the message, with its parameters; or "from", and what else its envelope tells
//	rcpts: all its recipients
//	release: until when it waits, as HOLDFOR and HOLDUNTIL say
//	by: when it is late, "2026-11-24T12:01:00Z notify trace", as BY says
//
// and those of logins; see dialogue.loginLine.
type dialogue struct {
	t      *testing.T
	conn   net.Conn
	raw    *net.TCPConn
	in     *bufio.Reader
	server *Server
	spool  *queue.Spool
	policy *testPolicy
	port   *Port
	from   string
	who    string // whose certificate the client has
	done   chan struct{}
	text   []string
}

func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.smtp")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".smtp"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			newDialogue(t).play(string(text))
		})
	}
}

func newDialogue(t *testing.T) *dialogue {
	d := &dialogue{t: t, policy: &testPolicy{}, port: &Port{}, from: "192.0.2.1:4321"}
	d.server, d.spool = testServer(t, d.policy)
	return d
}

func (d *dialogue) play(text string) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		if err := d.line(line); err != nil {
			d.t.Fatalf("line %d: %s\n%v", n, line, err)
		}
	}
	if d.text != nil {
		if err := d.message(); err != nil {
			d.t.Fatal(err)
		}
	}
	d.conn.Close()
	<-d.done
	if d.policy.now != 0 {
		d.t.Errorf("the policy still knows %d clients", d.policy.now)
	}
	tmp, err := os.ReadDir(d.spool.Root() + "/tmp")
	if err != nil || len(tmp) != 0 {
		d.t.Errorf("left in tmp: %v %v", tmp, err)
	}
}

func (d *dialogue) line(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "", "#":
		return nil
	case "set:":
		return d.set(strings.Fields(rest))
	case "M:":
		d.text = append(d.text, rest)
		return nil
	}
	if d.conn == nil {
		d.raw, d.done, _ = connect(d.t, d.server, d.port, d.from)
		d.conn = d.raw
		if d.port.Implicit {
			if err := d.startTLS(d.who); err != nil {
				return err
			}
		}
		d.in = bufio.NewReader(d.conn)
	}
	switch word {
	case "C:":
		_, err := io.WriteString(d.conn, rest+"\r\n")
		return err
	case "c:":
		bytes, err := strconv.Unquote(rest)
		if err == nil {
			_, err = io.WriteString(d.conn, bytes)
		}
		return err
	case "S:":
		return d.expect(rest)
	case "starttls":
		return d.startTLS(rest)
	case "half":
		return d.raw.CloseWrite()
	case "nothing", "end":
		return d.over(word == "nothing")
	case "spool:", "held:":
		d.conn.Close()
		<-d.done
		states := map[string]queue.State{"spool:": queue.New | queue.Held, "held:": queue.Held}[word]
		if n, err := d.spool.Count(states); err != nil || strconv.Itoa(n) != rest {
			return errors.New("there are " + strconv.Itoa(n))
		}
		return nil
	case "rcpt:":
		return d.rcpt(rest)
	case "rcpts:":
		return d.rcpts(rest)
	case "release:", "by:":
		return d.times(word, rest)
	}
	return d.loginLine(word, rest)
}

// over expects the end of the connection. What may come before it is an alert of TLS (RFC 8446 section 6), if alert is
// true, and no reply.
func (d *dialogue) over(alert bool) error {
	got, err := io.ReadAll(d.in)
	if alert && bytes.HasPrefix(got, []byte("\x15\x03")) && len(got) == 7 {
		got = nil
	}
	if len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("the server still says %q, %v", got, err)
	}
	return nil
}

var modeWords = map[string]Mode{"submission": Submission, "lmtp": LMTP, "local": Local}

func (d *dialogue) set(words []string) (err error) {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		ok := true
		switch key {
		case "trusted":
			d.policy.trusted = true
		case "mode":
			d.port.Mode, ok = modeWords[value]
		case "tls", "implicit":
			if d.port.TLS == nil {
				d.port.TLS = &tls.Config{Certificates: []tls.Certificate{testPair()}}
			}
			d.port.Implicit, d.who = key == "implicit", value
		case "auth":
			d.port.Auth = testAuth{clear: value == "clear"}
			ok = value == "clear" || value == ""
		case "users", "clientca":
			err = d.realLogins(key == "clientca")
		case "from":
			d.from = value + ":4321"
		case "proxy":
			d.server.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		case "xclient":
			d.server.XClient = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		case "limit":
			d.server.SizeLimit, err = strconv.ParseInt(value, 10, 64)
		default:
			ok = false
		}
		if !ok || err != nil {
			return fmt.Errorf("no such setting: %s, %v", w, err)
		}
	}
	return nil
}

func (d *dialogue) expect(want string) error {
	got, err := d.in.ReadString('\n')
	if err != nil {
		return errors.New("got " + strconv.Quote(got) + ": " + err.Error())
	}
	line, ok := strings.CutSuffix(got, "\r\n")
	if match, err := path.Match(glob(want), strings.ReplaceAll(line, "/", "|")); err != nil || !match || !ok {
		return errors.New("got " + strconv.Quote(got))
	}
	return nil
}

// glob makes a pattern of path.Match of a line in which only * is special.
func glob(s string) string {
	return strings.NewReplacer("/", "|", "[", `\[`, "?", `\?`, `\`, `\\`).Replace(s)
}

// startTLS begins TLS, with the certificate of somebody if there is a name.
func (d *dialogue) startTLS(who string) error {
	conf := &tls.Config{InsecureSkipVerify: true}
	if who != "" {
		conf.Certificates = []tls.Certificate{testClient(who)}
	}
	c := tls.Client(d.conn, conf)
	if err := c.Handshake(); err != nil {
		return err
	}
	d.conn, d.in = c, bufio.NewReader(c)
	return nil
}

// claim is the message in the spool.
func (d *dialogue) claim() (*queue.Claim, error) {
	d.conn.Close()
	<-d.done
	var claim *queue.Claim
	err := d.spool.Scan(queue.New|queue.Held, func(e queue.Entry) (err error) {
		if claim != nil {
			return errors.New("there are several messages")
		}
		claim, err = d.spool.Claim(e)
		return err
	})
	if claim == nil && err == nil {
		err = errors.New("there is no message")
	}
	return claim, err
}

func (d *dialogue) message() error {
	c, err := d.claim()
	if err != nil {
		return err
	}
	defer c.Close()
	body, err := io.ReadAll(c.Body())
	if err != nil {
		return err
	}
	got := strings.Split(strings.TrimSuffix(string(body), "\r\n"), "\r\n")
	same := slices.EqualFunc(got, d.text, func(g, w string) bool {
		ok, err := path.Match(glob(w), strings.ReplaceAll(g, "/", "|"))
		return ok && err == nil
	})
	if !same {
		return errors.New("the message is\n" + strings.Join(got, "\n"))
	}
	return nil
}

func (d *dialogue) rcpt(want string) error {
	c, err := d.claim()
	if err != nil {
		return err
	}
	defer c.Close()
	var all []string
	for _, r := range c.Envelope.Rcpts {
		all = append(all, strings.TrimSpace(r.Address+" "+r.ORcpt+" "+r.Notify.String()))
	}
	e := c.Envelope
	all = append(all, strings.TrimSpace(strings.Join([]string{"from", e.Sender, e.Ret, e.EnvID, e.Body, e.Auth, e.Client, e.Proto, e.Login}, " ")))
	if !slices.Contains(all, want) {
		return errors.New("got " + strings.Join(all, "; "))
	}
	return nil
}

func (d *dialogue) rcpts(want string) error {
	c, err := d.claim()
	if err != nil {
		return err
	}
	defer c.Close()
	var all []string
	for _, r := range c.Envelope.Rcpts {
		all = append(all, r.Address)
	}
	if got := strings.Join(all, " "); got != want {
		return errors.New("got " + got)
	}
	return nil
}

func (d *dialogue) times(word, want string) error {
	c, err := d.claim()
	if err != nil {
		return err
	}
	defer c.Close()
	e := c.Envelope
	got := e.Release.UTC().Format(time.RFC3339)
	if word == "by:" {
		got = e.By.UTC().Format(time.RFC3339)
		got += map[bool]string{true: " notify", false: ""}[e.ByNotify] + map[bool]string{true: " trace", false: ""}[e.ByTrace]
	}
	if got != want {
		return errors.New("got " + got)
	}
	return nil
}
