package queuerun

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/local"
	"postrider/internal/local/server"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/queue"
)

// town is a machine with users of its own, the real router and the real delivery agent. When root runs the tests the users
// are different ones, and else all of them have our own number.
type town struct {
	t     testing.TB
	dir   string
	conf  config.Config
	users map[string]server.Account
}

func (t *town) ByName(name string) (server.Account, bool, error) {
	a, ok := t.users[name]
	return a, ok, nil
}

func (t *town) ByUID(uid int) (server.Account, bool, error) {
	for _, name := range []string{"default", "alice", "bob", "carol"} {
		if a := t.users[name]; a.UID == uid {
			return a, true, nil
		}
	}
	return server.Account{}, false, nil
}

func (t *town) GroupID(string) (int, bool, error) { return 0, false, nil }

func newTown(t testing.TB, more ...string) *town {
	t.Helper()
	w := &town{t: t, dir: t.TempDir(), users: map[string]server.Account{}}
	for dir := w.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	w.conf = settings()
	w.conf.Hostname, w.conf.Spool, w.conf.Tables = "here.test", w.dir+"/spool", config.Tables{}
	w.conf.Aliases, w.conf.Local.Mailbox = []string{w.dir + "/aliases"}, "mbox:"+w.dir+"/mail/{user}"
	w.conf.Local.Socket, w.conf.Local.DefaultUser = w.dir+"/s", "default"
	w.dirs("mail", "out")
	w.write("shells", "/bin/sh\n", 0o644)
	w.write("store", "#!/bin/sh\ncat > "+w.dir+"/out/$1-$$\n", 0o755)
	w.write("aliases", "staff: alice, bob, \"|"+w.dir+"/store staff\"\narchive: |"+w.dir+"/store archive\n", 0o644)
	passwd := ""
	for i, name := range append([]string{"default", "alice", "bob", "carol"}, more...) {
		a := server.Account{User: local.User{Name: name, Home: w.dir + "/" + name, Shell: "/bin/sh", UID: os.Geteuid()}, GID: os.Getegid(), Groups: []int{}}
		if os.Geteuid() == 0 {
			a.UID, a.GID = 61101+i, 61101+i
		}
		w.users[name] = a
		if err := os.Mkdir(a.Home, 0o755); err != nil {
			t.Fatal(err)
		}
		w.own(name, name)
		passwd += fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, a.UID, a.GID, a.Home)
	}
	w.write("passwd", passwd, 0o644)
	return w
}

func (t *town) dirs(names ...string) {
	for _, name := range names {
		if err := os.Mkdir(t.dir+"/"+name, 0o755); err != nil {
			t.t.Fatal(err)
		}
		if err := syscall.Chmod(t.dir+"/"+name, 0o1777); err != nil {
			t.t.Fatal(err)
		}
	}
}

func (t *town) write(name, text string, mode os.FileMode) {
	if err := os.WriteFile(t.dir+"/"+name, []byte(text), mode); err != nil {
		t.t.Fatal(err)
	}
}

func (t *town) own(name, user string) {
	if a := t.users[user]; os.Geteuid() == 0 {
		if err := os.Lchown(t.dir+"/"+name, a.UID, a.GID); err != nil {
			t.t.Fatal(err)
		}
	}
}

func (t *town) forward(user, text string) {
	t.write(user+"/.forward", text, 0o644)
	t.own(user+"/.forward", user)
}

// agent starts the delivery agent.
func (t *town) agent() {
	t.t.Helper()
	l, err := net.Listen("unix", t.conf.Local.Socket)
	if err != nil {
		t.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s := &server.Server{Config: t.conf, Accounts: t, Shells: t.dir + "/shells", TempDir: t.dir}
	go func() {
		defer close(ended)
		s.Serve(ctx, ctx, l)
	}()
	t.t.Cleanup(func() { cancel(); <-ended })
}

// delivered tells how many messages are in mailboxes and what commands have got: "mail/alice 1, out/staff 1".
func (t *town) delivered() string {
	var list []string
	files, _ := filepath.Glob(t.dir + "/mail/*")
	for _, f := range files {
		text, _ := os.ReadFile(f)
		list = append(list, fmt.Sprint(filepath.Base(f), " ", strings.Count(string(text), "\nSubject: x\n")))
	}
	files, _ = filepath.Glob(t.dir + "/out/*")
	for _, f := range files {
		text, _ := os.ReadFile(f)
		name, _, _ := strings.Cut(filepath.Base(f), "-")
		list = append(list, fmt.Sprint("|", name, " ", strings.Count(string(text), "\nSubject: x\n")))
	}
	return strings.Join(list, ", ")
}

func TestQueuerunAndTheDeliveryAgent(t *testing.T) {
	w := newTown(t)
	w.forward("alice", "\\alice, bob, \"|"+w.dir+"/store alice\", x@elsewhere.test\n")
	w.forward("bob", "alice\n")
	spool, err := queue.Open(w.conf.Spool, queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, clock: newClock(), world: newWorld(), spool: spool}
	b.Runner = &Runner{
		Spool: spool, Config: w.conf, Router: hostsElsewhere{route.New(w.conf, nil, route.NewPasswd(w.dir+"/passwd"))},
		Ours: func(route.Decision) bool { return false }, Now: b.clock.Now, Sleep: b.clock.Sleep, Random: func() float64 { return 0.5 },
		Dial: func(ctx context.Context, t smtp.Target, o smtp.Options) (Session, error) {
			if t.Agent {
				return dialSMTP(ctx, t, o)
			}
			return b.world.dial(ctx, t, o)
		},
	}
	b.submit("hello", "staff@here.test", "carol@here.test", "archive@here.test")
	if res := b.run(Selection{}); res.Deferred != 5 || w.delivered() != "" {
		t.Errorf("without the agent: %+v, %s", res, w.delivered())
	}
	w.agent()
	b.clock.add(time.Hour)
	b.run(Selection{})
	b.wantEmpty()
	if got, want := w.delivered(), "alice 1, carol 1, |alice 1, |archive 1, |staff 1"; got != want {
		t.Errorf("delivered %s, want %s", got, want)
	}
	if m := b.world.sent; len(m) != 1 || m[0].Rcpts[0].Address != "x@elsewhere.test" || m[0].Header != "Delivered-To: alice@here.test\r\n" {
		t.Errorf("%+v", m)
	}
	text, _ := os.ReadFile(w.dir + "/mail/alice")
	if !strings.Contains(string(text), "\nReturn-Path: <sender@here.test>\nDelivered-To: alice@here.test\nSubject: x\n") {
		t.Errorf("%s", text)
	}

	// What has gone out comes back.
	b.queueText("Delivered-To: alice@here.test\r\nSubject: x\r\n\r\nhello\r\n", queue.Envelope{Sender: "s@here.test", Rcpts: []queue.Rcpt{{Address: "alice@here.test", Notify: queue.NotifyNever}}})
	if res := b.run(Selection{}); res.Bounced != 1 {
		t.Errorf("a loop: %+v", res)
	}
	b.wantEmpty()
}

// hostsElsewhere finds the socket of the agent as it is, and a host for everything else.
type hostsElsewhere struct{ *route.Router }

func (r hostsElsewhere) Hosts(ctx context.Context, n route.NextHop) ([]route.Host, error) {
	if n.Socket != "" {
		return r.Router.Hosts(ctx, n)
	}
	return []route.Host{host("mx."+n.Domain, 1)}, nil
}

// BenchmarkLocal delivers messages of 4 KiB through the delivery agent into mailboxes of one user, and of a hundred.
func BenchmarkLocal(b *testing.B) {
	for _, users := range []int{1, 100} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) { benchmarkLocal(b, users) })
	}
}

func benchmarkLocal(b *testing.B, users int) {
	var names []string
	for i := range users {
		names = append(names, fmt.Sprintf("u%d", i))
	}
	w := newTown(b, names...)
	w.agent()
	clk := newClock()
	spool, err := queue.Open(w.conf.Spool, queue.Options{Now: clk.Now})
	if err != nil {
		b.Fatal(err)
	}
	fillFor(b, spool, clk, b.N, 4096, func(i int) string { return names[i%users] + "@here.test" })
	r := &Runner{Spool: spool, Config: w.conf, Router: route.New(w.conf, nil, route.NewPasswd(w.dir+"/passwd")), Ours: func(route.Decision) bool { return false }}
	b.ResetTimer()
	res, err := r.Run(context.Background(), Selection{})
	b.StopTimer()
	if err != nil || res.Sent != b.N {
		b.Fatalf("%+v, %v", res, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
