package auth

import (
	"bufio"
	"context"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"

	"postrider/internal/config"
)

const greeting = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tANONYMOUS\tanonymous\nMECH\tSCRAM-SHA-256-PLUS\nMECH\tCRAM-MD5\nMECH\tXOAUTH2\nSPID\t17\nCUID\t1\nCOOKIE\t0123456789abcdef0123456789abcdef\nDONE\n"

// fakeDovecot answers each line of a login with the next answer, and then hangs up. It notes what it was sent.
type fakeDovecot struct {
	path     string
	listener net.Listener
	mu       sync.Mutex
	heard    []string
}

func startDovecot(t *testing.T, greeting string, answers ...string) *fakeDovecot {
	t.Helper()
	dir, err := os.MkdirTemp("", "auth") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &fakeDovecot{path: filepath.Join(dir, "s")}
	if d.listener, err = net.Listen("unix", d.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.listener.Close() })
	go func() {
		for {
			conn, err := d.listener.Accept()
			if err != nil {
				return
			}
			go d.serve(conn, greeting, answers)
		}
	}()
	return d
}

func (d *fakeDovecot) serve(conn net.Conn, greeting string, answers []string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	if version, err := in.ReadString('\n'); err != nil || version != "VERSION\t1\t2\n" {
		return
	}
	if id, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(id, "CPID\t") {
		return
	}
	conn.Write([]byte(greeting))
	for _, answer := range answers {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		d.mu.Lock()
		d.heard = append(d.heard, strings.TrimSuffix(line, "\n"))
		d.mu.Unlock()
		conn.Write([]byte(answer))
	}
}

func (d *fakeDovecot) lines() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heard
}

func withDovecot(t *testing.T, path string) *Authenticator {
	t.Helper()
	a, err := New(config.Auth{Dovecot: path}, false, newClock().options())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func enc(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestDovecotIsAsked(t *testing.T) {
	plain := "AUTH\t1\tPLAIN\tservice=smtp\tsecured\trip=192.0.2.1\tlip=2001:db8::1\tresp=" + enc("\x00alice\x00password")
	ch := Channel{TLS: overTLS.TLS, Remote: "192.0.2.1", Local: "[2001:db8::1]:587"}
	for _, c := range []struct {
		name    string
		client  sasl.Client
		answers []string
		heard   []string
		want    string
	}{
		{"a good password", sasl.NewPlainClient("", "alice", "password"), []string{"OK\t1\tuser=alice\n"}, []string{plain}, "alice"},
		{"a user by another name", sasl.NewPlainClient("", "alice", "password"), []string{"OK\t1\tuser=alice@here.example\toriginal_user=alice\n"}, []string{plain}, "alice@here.example"},
		{"a bad password", sasl.NewPlainClient("", "alice", "password"), []string{"FAIL\t1\tuser=alice\treason=no such user\n"}, []string{plain}, badLogin},
		{"a temporary failure", sasl.NewPlainClient("", "alice", "password"), []string{"FAIL\t1\tuser=alice\ttemp\n"}, []string{plain}, notNow},
		{"a temporary failure in other words", sasl.NewPlainClient("", "alice", "password"), []string{"FAIL\t1\tcode=temp_fail\n"}, []string{plain}, notNow},
		{"a user who is disabled", sasl.NewPlainClient("", "alice", "password"), []string{"FAIL\t1\tuser=alice\tcode=user_disabled\n"}, []string{plain}, badLogin},
		{"a user who may not log in", sasl.NewPlainClient("", "alice", "password"), []string{"OK\t1\tuser=alice\tnologin\treason=moved\n"}, []string{plain}, badLogin},
		{"a user who may not log in, in other words", sasl.NewPlainClient("", "alice", "password"), []string{"OK\t1\tuser=alice\tnologin=y\n"}, []string{plain}, badLogin},
		{"a user who is elsewhere", sasl.NewPlainClient("", "alice", "password"), []string{"OK\t1\tuser=alice\tproxy\thost=192.0.2.9\n"}, []string{plain}, badLogin},
		{"questions", sasl.NewLoginClient("alice", "password"), []string{"CONT\t1\t" + enc("Password:") + "\n", "OK\t1\tuser=alice\n"},
			[]string{strings.Replace(strings.Replace(plain, "PLAIN", "LOGIN", 1), enc("\x00alice\x00password"), enc("alice"), 1), "CONT\t1\t" + enc("password")}, "alice"},
		{"news between", sasl.NewPlainClient("", "alice", "password"), []string{"MECH\tX\nSPID\t18\nOK\t1\tuser=alice\n"}, []string{plain}, "alice"},
		{"an escaped name", sasl.NewPlainClient("", "alice", "password"), []string{"OK\t1\tuser=al\x01ice\n"}, []string{plain}, "alice"},
	} {
		d := startDovecot(t, greeting, c.answers...)
		if got := talk(withDovecot(t, d.path), c.client, ch); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := d.lines(); strings.Join(got, "\n") != strings.Join(c.heard, "\n") {
			t.Errorf("%s: it heard %q, want %q", c.name, got, c.heard)
		}
	}
}

func TestDovecotThatIsNotItself(t *testing.T) {
	for _, c := range []struct {
		name, greeting string
		answers        []string
	}{
		{"another login", greeting, []string{"OK\t2\tuser=mallory\n"}},
		{"no login", greeting, []string{"OK\n"}},
		{"nobody", greeting, []string{"OK\t1\n"}},
		{"a name with a line end", greeting, []string{"OK\t1\tuser=mal\x01nlory\n"}},
		{"a long name", greeting, []string{"OK\t1\tuser=" + strings.Repeat("x", 256) + "\n"}},
		{"a line without end", greeting, []string{strings.Repeat("x", dovecotLine+1)}},
		{"lines without end", greeting, []string{strings.Repeat("x\n", dovecotLines+1)}},
		{"half a line", greeting, []string{"OK\t1\tuser=alice"}},
		{"hangs up", greeting, []string{""}},
		{"hangs up at once", greeting, nil},
		{"a challenge that is not base 64", greeting, []string{"CONT\t1\t!\n"}},
		{"final data that is not base 64", greeting, []string{"OK\t1\tuser=alice\tresp=!\n"}},
		{"another version", "VERSION\t2\t0\nDONE\n", []string{"OK\t1\tuser=alice\n"}},
		{"no version", "DONE\n", []string{"OK\t1\tuser=alice\n"}},
		{"a greeting without end", strings.Repeat("VERSION\t1\t2\n", dovecotLines+1), []string{"OK\t1\tuser=alice\n"}},
		{"a long greeting", "VERSION\t1\t2\nMECH\t" + strings.Repeat("x", dovecotLine), []string{"OK\t1\tuser=alice\n"}},
		{"no greeting", "", nil},
	} {
		d := startDovecot(t, c.greeting, c.answers...)
		if got := talk(withDovecot(t, d.path), sasl.NewPlainClient("", "alice", "password"), overTLS); got != notNow {
			t.Errorf("%s: %s, want %s", c.name, got, notNow)
		}
	}
}

func TestMechanismsOfDovecot(t *testing.T) {
	clk := newClock()
	d := startDovecot(t, greeting)
	a, err := New(config.Auth{Dovecot: d.path}, false, clk.options())
	if err != nil {
		t.Fatal(err)
	}
	offered := func() string { return strings.Join(a.Mechanisms(overTLS), " ") }
	if got := offered(); got != "XOAUTH2 PLAIN LOGIN" {
		t.Errorf("offered %q", got)
	}
	if got := talk(a, plainly("ANONYMOUS"), overTLS); got != "504 5.5.4 mechanism not available" {
		t.Errorf("ANONYMOUS: %s", got)
	}
	d.listener.Close()
	clk.pass(dovecotFresh)
	if got := offered(); got != "XOAUTH2 PLAIN LOGIN" {
		t.Errorf("when it was gone, %q was offered", got)
	}
	if got := talk(a, sasl.NewPlainClient("", "alice", "password"), overTLS); got != notNow {
		t.Errorf("when it was gone: %s", got)
	}

	other := startDovecot(t, "VERSION\t1\t2\nMECH\tPLAIN\nDONE\n")
	a.dovecot.path = other.path
	if got := offered(); got != "PLAIN" {
		t.Errorf("when it came back with less, %q was offered", got)
	}
	a = withDovecot(t, d.path)
	if got := offered(); got != "PLAIN LOGIN" {
		t.Errorf("before it was ever there, %q was offered", got)
	}
}

// plainly is a client that does not care what its mechanism is.
type plainly string

func (p plainly) Start() (string, []byte, error) { return string(p), []byte{}, nil }
func (p plainly) Next([]byte) ([]byte, error)    { return []byte{}, nil }

func TestALoginAtDovecotEndsWithItsContext(t *testing.T) {
	d := startDovecot(t, greeting, "CONT\t1\t\n", "")
	a := withDovecot(t, d.path)
	ctx, cancel := context.WithCancel(context.Background())
	x, err := a.Start(ctx, "PLAIN", overTLS)
	if err != nil {
		t.Fatal(err)
	}
	if got := next(x, nil); got != "> " {
		t.Fatal(got)
	}
	cancel()
	if got := next(x, []byte("\x00alice\x00password")); got != notNow {
		t.Errorf("after the session had ended: %s", got)
	}
}

func TestDovecotMayTakeOnlySoLong(t *testing.T) {
	silent := startDovecot(t, "VERSION\t1\t2\nMECH\tPLAIN\nDONE\n", "", "")
	c, err := dialDovecot(context.Background(), silent.path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	c.time = time.Millisecond
	if err := c.begin("PLAIN", overTLS, nil); err != nil && !os.IsTimeout(err) {
		t.Fatal(err)
	}
	if r, err := c.reply(); !os.IsTimeout(err) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOnlyAddressesAreTold(t *testing.T) {
	for s, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.1:25": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "[fe80::1%eth0]:25": "fe80::1",
		"": "", "/run/s": "", "192.0.2.1\tnologin": "", "fe80::1%a\tb": "fe80::1",
	} {
		if got := host(s); got != want {
			t.Errorf("%q: %q", s, got)
		}
	}
}

func FuzzDovecot(f *testing.F) {
	for _, s := range []string{
		"OK\t1\tuser=alice\tresp=YQ==", "FAIL\t1\tuser=alice\ttemp\tcode=temp_fail\treason=x", "CONT\t1\tYQ==", "OK\t1\tnologin\tproxy", "OK\t1\tuser=a\x01n\x01\x01b", "OK",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := parseReply(strings.Split(line, "\t"))
		if err != nil {
			return
		}
		if strings.ContainsAny(r.user+r.reason, "\n\r\x00\t") {
			t.Errorf("user %q, reason %q", r.user, r.reason)
		}
		denied := slices.ContainsFunc(strings.Split(line, "\t"), func(p string) bool { return p == "nologin" || p == "proxy" || p == "temp" })
		if r.err() == nil && (r.user == "" || !strings.HasPrefix(line, "OK\t1\t") || denied) {
			t.Errorf("%q logs in %q", line, r.user)
		}
	})
}
