package server

import (
	"bufio"
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
)

// TestMain lets the test binary be the children of the servers under test.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == ChildArg {
		os.Exit(Child())
	}
	time.Local = time.UTC
	os.Exit(m.Run())
}

// firstUID is that of throw-away users. They exist nowhere but in a test's own user database.
const firstUID = 61001

// world is a server with users of its own. When root runs the tests the users are different ones, and else all of them
// have our own number.
type world struct {
	t        testing.TB
	dir      string
	server   *Server
	accounts fakeAccounts
	socket   string
	stop     context.CancelFunc
	kill     context.CancelFunc
	ended    chan struct{}
}

type fakeAccounts map[string]Account

func (f fakeAccounts) ByName(name string) (Account, bool, error) {
	if name == "broken" {
		return Account{}, false, syscall.EIO
	}
	a, ok := f[name]
	return a, ok, nil
}

func (f fakeAccounts) ByUID(uid int) (Account, bool, error) {
	best, ok := Account{}, false
	for _, a := range f {
		if a.UID == uid && (!ok || a.Name < best.Name) {
			best, ok = a, true
		}
	}
	return best, ok, nil
}

func (f fakeAccounts) GroupID(name string) (int, bool, error) { return 61999, name == "mail", nil }

func root() bool { return os.Geteuid() == 0 }

// newWorld makes users with homes, who may all write the spool of mailboxes. change may alter the server before it starts.
func newWorld(t testing.TB, change func(*world), users ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), accounts: fakeAccounts{}, ended: make(chan struct{})}
	for dir := w.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	conf := config.Default()
	conf.Hostname, conf.Spool, conf.Aliases = "here.test", w.dir, []string{w.path("aliases")}
	conf.Local.Mailbox = "mbox:" + w.path("mail/{user}")
	conf.Local.DefaultUser = "default"
	w.server = &Server{Config: conf, Accounts: w.accounts, Shells: w.path("shells"), TempDir: w.dir}
	w.mkdir("mail", 0o1777)
	w.mkdir("home", 0o755)
	w.write("aliases", "", 0o644)
	w.write("shells", "/bin/sh\n", 0o644)
	for i, name := range append([]string{"default"}, users...) {
		w.addUser(name, firstUID+i)
	}
	if change != nil {
		change(w)
	}
	w.start()
	return w
}

func (w *world) start() {
	w.socket = filepath.Join(w.dir, "s")
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, kill := context.WithCancel(context.Background())
	stop, cancel := context.WithCancel(ctx)
	w.stop, w.kill = cancel, kill
	go func() {
		defer close(w.ended)
		w.server.Serve(ctx, stop, l)
	}()
	w.t.Cleanup(func() { kill(); <-w.ended })
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) addUser(name string, uid int) {
	gid := uid
	if !root() {
		uid, gid = os.Geteuid(), os.Getegid()
	}
	w.accounts[name] = Account{User: local.User{Name: name, Home: w.path("home/" + name), Shell: "/bin/sh", UID: uid}, GID: gid, Groups: []int{}}
	w.mkdir("home/"+name, 0o755)
	w.own("home/"+name, name)
}

func (w *world) own(name, user string) {
	if a := w.accounts[user]; root() {
		if err := os.Lchown(w.path(name), a.UID, a.GID); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) mkdir(name string, mode uint32) {
	w.t.Helper()
	if err := os.MkdirAll(w.path(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := syscall.Chmod(w.path(name), mode); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(name, text string, mode os.FileMode) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
	os.Chmod(w.path(name), mode)
}

// forward gives a user a .forward.
func (w *world) forward(user, text string) {
	w.t.Helper()
	w.write("home/"+user+"/.forward", text, 0o644)
	w.own("home/"+user+"/.forward", user)
}

func (w *world) read(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// client speaks LMTP.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// dial begins a session.
func (w *world) dial() *client {
	w.t.Helper()
	conn, err := net.Dial("unix", w.socket)
	if err != nil {
		w.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	w.t.Cleanup(func() { conn.Close() })
	c := &client{w.t, conn, bufio.NewReader(conn)}
	c.reply()
	c.say("LHLO client")
	return c
}

// reply reads a whole reply; its lines are separated by "|".
func (c *client) reply() string {
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "!" + err.Error()
		}
		line = strings.TrimRight(line, "\r\n")
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "|")
		}
	}
}

func (c *client) say(line string) string {
	fmt.Fprintf(c.conn, "%s\r\n", line)
	return c.reply()
}

const letter = "Subject: hi\r\n\r\nhello\r\n"

// send sends a message to recipients, each "<address> PARAMETERS", and returns the final replies: what RCPT was answered
// for those that were not accepted.
func (w *world) send(text string, rcpts ...string) []string {
	w.t.Helper()
	c := w.dial()
	defer c.conn.Close()
	return c.send(text, rcpts...)
}

func (c *client) send(text string, rcpts ...string) []string {
	c.t.Helper()
	if r := c.say("MAIL FROM:<bob@example.net> XID=0ABCDEF XARRIVAL=1795510800000000"); !strings.HasPrefix(r, "250") {
		c.t.Fatal(r)
	}
	replies := make([]string, len(rcpts))
	var accepted []int
	for i, rcpt := range rcpts {
		if replies[i] = c.say("RCPT TO:" + rcpt); strings.HasPrefix(replies[i], "250") {
			accepted = append(accepted, i)
		}
	}
	if len(accepted) == 0 {
		c.say("RSET")
		return replies
	}
	if r := c.say("DATA"); !strings.HasPrefix(r, "354") {
		c.t.Fatal(r)
	}
	fmt.Fprintf(c.conn, "%s.\r\n", text)
	for _, i := range accepted {
		replies[i] = c.reply()
	}
	return replies
}
