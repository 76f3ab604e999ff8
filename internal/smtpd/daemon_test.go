package smtpd

import (
	"bufio"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// testDaemon is a daemon with one listener at which nobody is a stranger.
func testDaemon(t *testing.T, sessions int) (*Daemon, Settings) {
	t.Helper()
	before := runtime.NumGoroutine()
	server, _ := testServer(t, &testPolicy{trusted: true})
	set := Settings{Server: server, Sessions: sessions, Listeners: []Listener{{listenHere(t), &Port{Name: "test"}}}}
	d := NewDaemon(set)
	t.Cleanup(func() {
		d.Shutdown(0)
		eventually(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
	})
	return d, set
}

func listenHere(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not seen: %s", what)
		}
	}
}

// talk is a client that speaks line by line.
type talk struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, l net.Listener) talk {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return talk{t, conn, bufio.NewReader(conn)}
}

// say sends lines, each in its turn, and expects a reply that begins with want.
func (d talk) say(line, want string) {
	d.t.Helper()
	if line != "" {
		if _, err := io.WriteString(d.conn, line+"\r\n"); err != nil {
			d.t.Fatal(err)
		}
	}
	for {
		got, err := d.in.ReadString('\n')
		if err == nil && len(got) > 3 && got[3] == '-' {
			continue
		}
		if !strings.HasPrefix(got, want) {
			d.t.Fatalf("%q: got %q, %v, want %q", line, got, err, want)
		}
		return
	}
}

// over expects the end of the session.
func (d talk) over() {
	d.t.Helper()
	if rest, err := io.ReadAll(d.in); err != nil || len(rest) > 0 {
		d.t.Fatalf("the session goes on: %q, %v", rest, err)
	}
}

func (d talk) transaction() {
	d.t.Helper()
	d.say("", "220 ")
	d.say("HELO there.example", "250 ")
	d.say("MAIL FROM:<a@there.example>", "250 ")
	d.say("RCPT TO:<joe@here.example>", "250 ")
	d.say("DATA", "354 ")
}

func TestNewSettingsAreForNewSessions(t *testing.T) {
	d, set := testDaemon(t, 10)
	old := dial(t, set.Listeners[0])
	old.say("", "220 mail.here.example ESMTP")
	server, _ := testServer(t, &testPolicy{trusted: true})
	server.Hostname = "new.example"
	set.Server = server
	first := set.Listeners[0]
	set.Listeners = []Listener{{first.Listener, &Port{Name: "test", Mode: LMTP}}, {listenHere(t), &Port{Name: "second"}}}
	d.Use(set)
	old.say("NOOP", "250 ")
	old.say("HELO x.example", "250 mail.here.example")
	dial(t, first).say("", "220 new.example LMTP")
	dial(t, set.Listeners[1]).say("", "220 new.example ESMTP")
	if !d.Alive() {
		t.Error("it is not alive")
	}
}

func TestListenerThatIsDroppedKeepsItsSessions(t *testing.T) {
	d, set := testDaemon(t, 10)
	gone := set.Listeners[0]
	old := dial(t, gone)
	old.say("", "220 ")
	set.Listeners = nil
	d.Use(set)
	if _, err := net.Dial("tcp", gone.Addr().String()); err == nil {
		t.Error("it still listens")
	}
	old.say("NOOP", "250 ")
	eventually(t, "the end of the accept loop", d.Alive)
}

func TestTooManySessions(t *testing.T) {
	d, set := testDaemon(t, 2)
	first, second := dial(t, set.Listeners[0]), dial(t, set.Listeners[0])
	first.say("", "220 ")
	second.say("", "220 ")
	third := dial(t, set.Listeners[0])
	third.say("", "421 4.3.2 mail.here.example is too busy")
	third.over()
	first.say("QUIT", "221 ")
	first.over()
	eventually(t, "room", func() bool { return d.Sessions() == 1 })
	dial(t, set.Listeners[0]).say("", "220 ")
	if n := d.TurnedAway.Load(); n != 1 {
		t.Errorf("%d were turned away", n)
	}
}

// faultyListener fails in the given ways before it accepts.
type faultyListener struct {
	*net.TCPListener
	mu     sync.Mutex
	faults []error
}

func (l *faultyListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) > 0 {
		err := l.faults[0]
		l.faults = l.faults[1:]
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	return l.TCPListener.Accept()
}

func TestServiceReturnsAfterErrors(t *testing.T) {
	d, set := testDaemon(t, 10)
	faults := []error{syscall.ECONNABORTED, syscall.ENOBUFS, syscall.EPROTO, syscall.ENOMEM}
	l := &faultyListener{TCPListener: listenHere(t).(*net.TCPListener), faults: faults}
	set.Listeners = append(set.Listeners, Listener{l, &Port{Name: "faulty"}})
	d.Use(set)
	dial(t, l).say("", "220 ")
	if n := d.AcceptFails.Load(); n != int64(len(faults)) {
		t.Errorf("%d failures", n)
	}
}

func TestWithoutDescriptorsClientsAreTold(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, syscall.ENFILE} {
		d, set := testDaemon(t, 10)
		l := &faultyListener{TCPListener: listenHere(t).(*net.TCPListener), faults: []error{err}}
		first := dial(t, l)
		set.Listeners = append(set.Listeners, Listener{l, &Port{Name: "faulty"}})
		d.Use(set)
		first.say("", "421 4.3.2 ")
		first.over()
		dial(t, l).say("", "220 ")
	}
}

func TestShutdownEndsIdleSessions(t *testing.T) {
	d, set := testDaemon(t, 10)
	fresh, greeted := dial(t, set.Listeners[0]), dial(t, set.Listeners[0])
	fresh.say("", "220 ")
	greeted.say("", "220 ")
	greeted.say("EHLO there.example", "250 ")
	if cut := d.Shutdown(time.Hour); cut != 0 {
		t.Errorf("%d sessions were cut", cut)
	}
	for _, c := range []talk{fresh, greeted} {
		c.say("", "421 4.3.2 ")
		c.over()
	}
	if _, err := net.Dial("tcp", set.Listeners[0].Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

func TestShutdownLetsTransactionsEnd(t *testing.T) {
	d, set := testDaemon(t, 10)
	c := dial(t, set.Listeners[0])
	c.transaction()
	over := make(chan int)
	go func() { over <- d.Shutdown(time.Hour) }()
	eventually(t, "the closed listener", func() bool { return d.ctx.Err() != nil })
	c.say("Subject: late\r\n\r\nbut not too late\r\n.", "250 ")
	c.say("", "421 4.3.2 ")
	if cut := <-over; cut != 0 {
		t.Errorf("%d sessions were cut", cut)
	}
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	d, set := testDaemon(t, 10)
	c := dial(t, set.Listeners[0])
	c.transaction()
	if cut := d.Shutdown(time.Millisecond); cut != 1 {
		t.Errorf("%d sessions were cut", cut)
	}
	c.over()
}

func TestSessionThatComesTooLate(t *testing.T) {
	d, _ := testDaemon(t, 10)
	d.Shutdown(0)
	ours, theirs := net.Pipe()
	d.Serve(ours, &Port{})
	if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("error %v", err)
	}
}

// faultyPolicy has a fault.
type faultyPolicy struct{ testPolicy }

func (*faultyPolicy) Helo(context.Context, *Client) Verdict { panic("fault") }

func TestFaultEndsOneSession(t *testing.T) {
	d, set := testDaemon(t, 10)
	server := *set.Server
	server.Policy = &faultyPolicy{testPolicy{trusted: true}}
	set.Server = &server
	d.Use(set)
	other, c := dial(t, set.Listeners[0]), dial(t, set.Listeners[0])
	other.say("", "220 ")
	c.say("", "220 ")
	io.WriteString(c.conn, "HELO x.example\r\n")
	c.over()
	other.say("NOOP", "250 ")
}

func TestWaitIdle(t *testing.T) {
	d, set := testDaemon(t, 10)
	var clock atomic.Int64
	d.mu.Lock()
	d.last = time.Unix(0, 0)
	d.now = func() time.Time { return time.Unix(clock.Load(), 0) }
	d.mu.Unlock()
	c := dial(t, set.Listeners[0])
	c.say("", "220 ")
	clock.Store(10)
	idle := make(chan struct{})
	go func() {
		d.WaitIdle(t.Context(), 2*time.Millisecond)
		close(idle)
	}()
	select {
	case <-idle:
		t.Error("it is idle with a session")
	case <-time.After(20 * time.Millisecond):
	}
	c.say("QUIT", "221 ")
	eventually(t, "the end of the session", func() bool { return d.Sessions() == 0 })
	clock.Store(20)
	<-idle
}

// Users of this machine, other than root, have a share of the sessions, each and all together.
func TestSessionsOfUsers(t *testing.T) {
	d := &Daemon{set: Settings{Sessions: 8, PerUser: 3}, conns: map[net.Conn]int{}, users: map[int]int{}}
	var conns []net.Conn
	admit := func(uid int) bool {
		if d.tooMany(uid) {
			return false
		}
		c := &scriptConn{}
		d.admit(c, uid)
		conns = append(conns, c)
		return true
	}
	for i, want := range []bool{true, true, true, false} {
		if got := admit(1000); got != want {
			t.Errorf("session %d of a user: %v", i+1, got)
		}
	}
	for i, want := range []bool{true, true, true, false} {
		if got := admit(1001 + i); got != want {
			t.Errorf("session %d of all users: %v", i+4, got)
		}
	}
	if !admit(0) || !admit(-1) {
		t.Error("root and hosts have none")
	}
	for _, c := range conns {
		d.leave(c)
	}
	if d.here != 0 || len(d.users) != 0 || len(d.conns) != 0 {
		t.Errorf("%d, %v, %d are left", d.here, d.users, len(d.conns))
	}
}
