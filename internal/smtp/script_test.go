package smtp

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
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/internal/status"
)

// A dialogue script, testdata/*.smtp, is a sentence in its first line and then
//
//	C: line        the server expects this line, CRLF and all; "C: @mail" is the message that is sent by default
//	S: line        the server answers; "S: "quoted"" goes out as it is, without a CRLF
//	TLS            the server begins TLS
//	ACCEPT         the server waits for another connection
//	CLOSE          the server hangs up
//	HANG           the server reads on and never answers
//	> set ...      client: lmtp, agent, tls=may|encrypt|implicit, verify, name=host, auth=user:password, limit=30ms, total=30ms
//	> dial         client: Dial (done by itself before the first send)
//	> send ...     client: Send; from= to=a,b notify= orcpt= ret= envid= auth= utf8 eight type= by=; lines "| text" are
//	               the message; by=60;RT is a deadline in 60 seconds, in BY='s own form;
//	               to our agent also id= number= member= mailbox; header= goes before the message
//	> wait         client: until the server has come to its end
//	> close        client: Close
//	+ [a, b]       Result.Members, as Go prints it, of the recipient that was compared last
//	= diagnostic   what the client's last action gave, recipient by recipient (a prefix)
//	! diagnostic   the error of the client's last action (a prefix); "! stale"
//	DSN yes|no     Result.DSN of the last send
//	BY yes|no      Result.By of the last send
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.smtp")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".smtp"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			playScript(t, string(text))
		})
	}
}

// scriptTime is what the clock of deadlines shows.
var scriptTime = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const defaultMail = "Subject: test\r\n\r\nhello\r\n"

// line is a line of a script and its number.
type line struct {
	n    int
	verb string
	text string
}

func parseScript(t *testing.T, text string) (server, client []line) {
	t.Helper()
	for n, l := range strings.Split(text, "\n") {
		if l = strings.TrimRight(l, "\r"); l == "" || l[0] == '#' {
			continue
		}
		verb, rest, _ := strings.Cut(l, " ")
		switch verb {
		case "C:":
			if rest == "@mail" {
				for part := range strings.SplitSeq(strings.TrimSuffix(defaultMail, "\r\n"), "\r\n") {
					server = append(server, line{n + 1, verb, part})
				}
				continue
			}
			fallthrough
		case "S:", "TLS", "ACCEPT", "CLOSE", "HANG":
			server = append(server, line{n + 1, verb, rest})
		case ">", "=", "+", "!", "DSN", "BY", "|":
			client = append(client, line{n + 1, verb, rest})
		default:
			t.Fatalf("line %d: %q", n+1, l)
		}
	}
	return server, client
}

func playScript(t *testing.T, text string) {
	server, client := parseScript(t, text)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer ln.Close()
		(&scriptServer{t: t, ln: ln}).play(server)
	}()
	c := &scriptClient{t: t, done: done}
	c.target = Target{Name: "mx.test", Network: "tcp", Address: ln.Addr().String(), HeloName: "client.test", Config: clientTLS()}
	c.opt.Timeouts = allTimeouts(5 * time.Second)
	c.opt.Now = func() time.Time { return scriptTime }
	c.play(client)
	<-done
	if c.s != nil {
		c.s.Close()
	}
}

func allTimeouts(d time.Duration) Timeouts {
	return Timeouts{Connect: d, Greeting: d, Command: d, Data: d, Block: d, Final: d, Quit: d}
}

// scriptServer plays the server's lines.
type scriptServer struct {
	t    *testing.T
	ln   net.Listener
	conn net.Conn
	r    *bufio.Reader
}

func (s *scriptServer) play(lines []line) {
	s.accept()
	defer func() { s.conn.Close() }()
	for _, l := range lines {
		if !s.step(l) {
			return
		}
	}
}

func (s *scriptServer) accept() {
	conn, err := s.ln.Accept()
	if err != nil {
		s.t.Error(err)
		conn, _ = net.Pipe()
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	s.conn, s.r = conn, bufio.NewReader(conn)
}

func (s *scriptServer) step(l line) bool {
	switch l.verb {
	case "C:":
		got, err := s.r.ReadString('\n')
		if err != nil || got != l.text+"\r\n" {
			s.t.Errorf("line %d: client said %q (%v), want %q", l.n, got, err, l.text)
			return false
		}
	case "S:":
		out := l.text + "\r\n"
		if strings.HasPrefix(l.text, `"`) {
			var err error
			if out, err = strconv.Unquote(l.text); err != nil {
				s.t.Errorf("line %d: %v", l.n, err)
			}
		}
		_, _ = io.WriteString(s.conn, out) // the client may be gone, which shows elsewhere
	case "TLS":
		conn := tls.Server(s.conn, serverTLS())
		if err := conn.Handshake(); err != nil {
			s.t.Logf("line %d: handshake: %v", l.n, err)
			return false
		}
		s.conn, s.r = conn, bufio.NewReader(conn)
	case "ACCEPT":
		s.conn.Close()
		s.accept()
	case "CLOSE":
		s.conn.Close()
	case "HANG":
		_, _ = io.Copy(io.Discard, s.r)
	}
	return true
}

// scriptClient plays the client's lines.
type scriptClient struct {
	t      *testing.T
	done   chan struct{}
	target Target
	opt    Options
	s      *Session
	sent   line
	mail   string
	result Result
	err    error
	told   int // outcomes compared
}

func (c *scriptClient) play(lines []line) {
	for _, l := range lines {
		switch l.verb {
		case "|":
			c.mail += unquote(l.text) + "\r\n"
			continue
		case ">":
			c.finish()
			c.action(l)
		case "=":
			c.send()
			c.outcome(l)
		case "+":
			var members []string
			if i := c.told - 1; i >= 0 && i < len(c.result.Members) {
				members = c.result.Members[i]
			}
			if got := fmt.Sprintf("%q", members); got != l.text {
				c.t.Errorf("line %d: members %s", l.n, got)
			}
		case "!":
			c.send()
			c.failure(l)
		case "DSN", "BY":
			c.send()
			told := c.result.DSN
			if l.verb == "BY" {
				told = c.result.By
			}
			if got := map[bool]string{true: "yes", false: "no"}[told]; got != l.text {
				c.t.Errorf("line %d: %s %s", l.n, l.verb, got)
			}
		}
	}
	c.finish()
}

// finish ends an action: it must have given what the script says, and nothing else.
func (c *scriptClient) finish() {
	c.send()
	if c.err != nil {
		c.t.Errorf("the action before: %v", status.From(c.err).Diagnostic())
	}
	if c.told != len(c.result.Rcpts) {
		c.t.Errorf("the action before: %d outcomes, %d compared", len(c.result.Rcpts), c.told)
	}
	c.result, c.err, c.told = Result{}, nil, 0
}

func (c *scriptClient) action(l line) {
	verb, rest, _ := strings.Cut(l.text, " ")
	switch verb {
	case "set":
		c.set(rest)
	case "dial":
		c.s, c.err = Dial(context.Background(), c.target, c.opt)
	case "send":
		c.sent, c.mail = line{l.n, verb, rest}, ""
	case "wait":
		<-c.done
	case "close":
		c.s.Close()
		c.s = nil
	default:
		c.t.Fatalf("line %d: %q", l.n, l.text)
	}
}

func (c *scriptClient) set(words string) {
	for w := range strings.FieldsSeq(words) {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "lmtp":
			c.target.LMTP = true
		case "agent":
			c.target.Agent = true
		case "tls":
			c.target.TLS = map[string]TLSMode{"may": May, "encrypt": Encrypt, "implicit": Implicit}[value]
		case "verify":
			c.target.Verify = true
		case "name":
			c.target.Name = value
		case "auth":
			user, password, _ := strings.Cut(value, ":")
			c.target.Auth = &Credentials{user, password}
		case "limit":
			d, err := time.ParseDuration(value)
			if err != nil {
				c.t.Fatal(err)
			}
			c.opt.Timeouts = allTimeouts(d)
			c.opt.Timeouts.Connect = 5 * time.Second
		case "total":
			d, err := time.ParseDuration(value)
			if err != nil {
				c.t.Fatal(err)
			}
			c.opt.Timeouts.Setup, c.opt.Timeouts.Transaction = d, d
		default:
			c.t.Fatalf("set %q", w)
		}
	}
}

// send does what the last "> send" said, once all of its message has been read.
func (c *scriptClient) send() {
	if c.sent.verb == "" {
		return
	}
	l := c.sent
	c.sent = line{}
	if c.s == nil {
		if c.s, c.err = Dial(context.Background(), c.target, c.opt); c.err != nil {
			return
		}
	}
	c.result, c.err = c.s.Send(context.Background(), c.message(l.text))
}

func (c *scriptClient) message(words string) Message {
	if c.mail == "" {
		c.mail = defaultMail
	}
	m := Message{Sender: "a@client.test", Body: section(c.mail)}
	var r Rcpt
	to := "b@mx.test"
	for w := range strings.FieldsSeq(words) {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "from":
			m.Sender = value
		case "to":
			to = value
		case "notify":
			r.Notify = value
		case "orcpt":
			r.ORcpt = value
		case "ret":
			m.Ret = value
		case "envid":
			m.EnvID = value
		case "utf8":
			m.UTF8 = true
		case "eight":
			m.EightBit = true
		case "type":
			m.BodyType = value
		case "auth":
			m.Auth = value
		case "id":
			m.ID, m.Arrival = value, scriptTime
		case "number":
			r.Number, _ = strconv.Atoi(value)
		case "member":
			r.Member = unquote(value)
		case "mailbox":
			r.Mailbox = true
		case "header":
			m.Header = unquote(value)
		case "by":
			seconds, mode, _ := strings.Cut(value, ";")
			d, err := time.ParseDuration(seconds + "s")
			if err != nil {
				c.t.Fatal(err)
			}
			m.By, m.ByNotify, m.ByTrace = scriptTime.Add(d), strings.HasPrefix(mode, "N"), strings.HasSuffix(mode, "T")
		default:
			c.t.Fatalf("send %q", w)
		}
	}
	for addr := range strings.SplitSeq(to, ",") {
		r.Address = addr
		m.Rcpts = append(m.Rcpts, r)
	}
	return m
}

func (c *scriptClient) outcome(l line) {
	if c.told >= len(c.result.Rcpts) {
		c.t.Errorf("line %d: no such outcome (%v)", l.n, c.err)
		return
	}
	if got := c.result.Rcpts[c.told].Diagnostic(); !strings.HasPrefix(got, l.text) {
		c.t.Errorf("line %d: outcome %q, want %q", l.n, got, l.text)
	}
	c.told++
}

func (c *scriptClient) failure(l line) {
	switch {
	case c.err == nil:
		c.t.Errorf("line %d: no error", l.n)
	case l.text == "stale":
		if !errors.Is(c.err, ErrStale) {
			c.t.Errorf("line %d: error %v", l.n, c.err)
		}
	case errors.Is(c.err, ErrStale) || !strings.HasPrefix(status.From(c.err).Diagnostic(), l.text):
		c.t.Errorf("line %d: error %q (%v), want %q", l.n, status.From(c.err).Diagnostic(), c.err, l.text)
	}
	if c.s != nil && c.s.Reusable() {
		c.t.Errorf("line %d: the session is still called reusable", l.n)
	}
	c.err = nil
}

func unquote(s string) string {
	if strings.HasPrefix(s, `"`) {
		if u, err := strconv.Unquote(s); err == nil {
			return u
		}
	}
	return s
}

func section(text string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(text), 0, int64(len(text)))
}

// certificate makes a self-signed certificate for mx.test, once.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mx.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

func serverTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{certificate()}} }

func clientTLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(certificate().Leaf)
	return &tls.Config{RootCAs: pool}
}

// recorder keeps what is written, and how many writes that took.
type recorder struct {
	net.Conn
	mu     sync.Mutex
	writes int
	bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.writes++
	r.Buffer.Write(p)
	r.mu.Unlock()
	return r.Conn.Write(p)
}

func (r *recorder) Read(p []byte) (int, error) { return r.Conn.Read(p) }

// recordingDialer dials and records.
type recordingDialer struct{ conns []*recorder }

func (d *recordingDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	d.conns = append(d.conns, &recorder{Conn: conn})
	return d.conns[len(d.conns)-1], nil
}
