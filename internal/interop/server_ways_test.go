//go:build interop

package interop

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	packages = append(packages, [2]string{"swaks", "swaks"}, [2]string{"curl", "curl"}, [2]string{"msmtp", "msmtp"}, [2]string{"openssl", "openssl"},
		[2]string{"smtp-source", "postfix"}, [2]string{"inetd", "openbsd-inetd"}, [2]string{"xinetd", "xinetd"},
		[2]string{"systemd-socket-activate", "systemd"})
}

// unpacked is where .ci/run unpacks packages that are not to be installed: those of mail servers and other daemons.
func unpacked() string {
	if dir := os.Getenv("INTEROP_ROOT"); dir != "" {
		return dir
	}
	return "/var/cache/postrider-interop"
}

// find is where a program is; "" when it is missing.
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/lib/postfix/sbin", unpacked() + "/usr/sbin", unpacked() + "/usr/bin", unpacked() + "/usr/lib/postfix/sbin", unpacked() + "/debs"} {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	return ""
}

// tool is a program of the machine.
func (in *installation) tool(stdin, name string, args ...string) *exec.Cmd {
	path := find(name)
	cmd := in.command(stdin, path, args...)
	if strings.HasPrefix(path, unpacked()) {
		cmd.Env = append(slices.Clone(cmd.Env), "LD_LIBRARY_PATH="+unpacked()+"/usr/lib/postfix")
	}
	return cmd
}

// use runs a program of the machine that must succeed, and returns what it prints.
func (in *installation) use(stdin, name string, args ...string) string {
	in.Helper()
	out, err := in.tool(stdin, name, args...).CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(in.path("log"))
		in.Fatalf("%s %q: %v\n%s\n%s", name, args, err, out, log)
	}
	return string(out)
}

// serve makes a server and starts it. When the test is over it has to end in order.
func serve(t *testing.T, trusted bool, smtpd ...string) *server {
	t.Helper()
	s := newServer(t, trusted, smtpd...)
	s.start()
	t.Cleanup(s.stop)
	return s
}

// stop ends the server in order. It must have had nothing to say.
func (s *server) stop() {
	s.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.Error("smtpd does not end at SIGTERM")
		return
	}
	if !s.cmd.ProcessState.Success() || s.stderr.Len() > 0 {
		s.Errorf("smtpd: %v\n%s", s.cmd.ProcessState, &s.stderr)
	}
	s.cmd = nil
}

// only takes the one message that must be in the spool.
func (s *server) only() stored {
	s.Helper()
	list := s.take()
	if len(list) != 1 {
		log, _ := os.ReadFile(s.path("log"))
		s.Fatalf("%d messages in the spool\n%s", len(list), log)
	}
	return list[0]
}

// host and port are the two parts of where a place is.
func (s *server) host(place string) string { host, _, _ := net.SplitHostPort(s.at[place]); return host }
func (s *server) port(place string) string { _, port, _ := net.SplitHostPort(s.at[place]); return port }

// security is how TLS begins.
type security string

const (
	clear    security = "in clear"
	startTLS security = "STARTTLS"
	implicit security = "implicit TLS"
)

// way is how a client comes to the server.
type way struct {
	place    string
	security security
	login    bool
	trusted  bool
	to       string // a recipient whom the server takes from this client
	proto    string // how the server calls the way (RFC 3848)

	mechanism string // of the login, as the client is told
}

// ways are those that every client has to go. Whom the server does not trust may write to its relay domain only, and has
// to log in for others.
var ways = []way{
	{place: "smtp", security: clear, trusted: friends, to: "bob@remote.example", proto: "ESMTP"},
	{place: "smtp", security: clear, login: true, trusted: friends, to: "bob@remote.example", proto: "ESMTPA"},
	{place: "smtp", security: startTLS, trusted: strangers, to: "bob@relay.example", proto: "ESMTPS"},
	{place: "smtp", security: startTLS, login: true, trusted: strangers, to: "bob@remote.example", proto: "ESMTPSA"},
	{place: "submission", security: startTLS, login: true, trusted: strangers, to: "bob@remote.example", proto: "ESMTPSA"},
	{place: "submissions", security: implicit, login: true, trusted: strangers, to: "bob@remote.example", proto: "ESMTPSA"},
}

func (w way) String() string {
	name := w.place + " " + string(w.security)
	if w.login {
		name += " " + w.mechanism
	}
	return name
}

// sample is what clients send: a header that nothing has to be added to, and a body that has what goes wrong.
var sample = wire("From: Alice <alice@home.example>\nTo: bob@remote.example\nSubject: sample\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n" +
	"Message-ID: <1@home.example>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + hardBody + longLine)

// client is a program that sends mail.
type client struct {
	name       string
	mechanisms []string // by which it can log in
	secure     bool     // it is of use with TLS only
	classic    bool     // it says HELO when it does not log in
	// send sends the sample from alice@home.example to w.to. It returns the text that must arrive.
	send func(s *server, w way) string
}

// Every client sends over every way, and what it sent is in the spool byte for byte.
func TestClientsOfTheServer(t *testing.T) {
	for _, c := range clients {
		for _, w := range ways {
			mechanisms := c.mechanisms
			if !w.login {
				mechanisms = []string{""}
			}
			for _, w.mechanism = range mechanisms {
				w := w
				switch {
				case w.security == clear && c.secure:
					continue
				case !w.login && c.classic:
					w.proto = "SMTP"
				}
				t.Run(c.name+"/"+w.String(), func(t *testing.T) {
					s := serve(t, w.trusted)
					text := c.send(s, w)
					s.holds(w, text)
				})
			}
		}
	}
}

// holds checks that the spool has one message, a text that came a way.
func (s *server) holds(w way, text string) {
	s.Helper()
	m := s.only()
	if m.Sender != "alice@home.example" || len(m.Rcpts) != 1 || m.Rcpts[0].Address != w.to {
		s.Errorf("from %q to %v", m.Sender, m.Rcpts)
	}
	user := ""
	if w.login {
		user = login
	}
	if m.Proto != w.proto || m.Login != user {
		s.Errorf("it came by %s, login %q, want %s, %q", m.Proto, m.Login, w.proto, user)
	}
	if secure := strings.Contains(serverTrace.FindString(m.text), " (using TLSv1."); secure != (w.security != clear) {
		s.Errorf("TLS is %v in %q", secure, serverTrace.FindString(m.text))
	}
	if err := m.differs(text); err != nil {
		s.Error(err)
	}
}

// plainLogin is the initial response of AUTH PLAIN.
func plainLogin(password string) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "\x00%s\x00%s", login, password))
}
