//go:build interop

package interop

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inClear and loggedIn are the ways for what does not depend on the way.
var (
	inClear  = ways[0]
	loggedIn = way{place: "submission", security: startTLS, login: true, to: "bob@remote.example", mechanism: "PLAIN", proto: "ESMTPSA"}
)

// fails runs a program of the machine that must fail, and say why.
func (in *installation) fails(why, stdin, name string, args ...string) {
	in.Helper()
	out, err := in.tool(stdin, name, args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !regexp.MustCompile(why).Match(out) {
		in.Errorf("%s: %v, want %s:\n%s", name, err, why, out)
	}
}

// Each client sees that a stranger may not relay, that a password is wrong, and that a message is too large; and nothing
// is in the spool.
func TestClientsAreRefused(t *testing.T) {
	s := serve(t, strangers)
	stranger, liar := way{place: "smtp", security: startTLS, to: "bob@remote.example"}, way{place: "smtp", security: startTLS, login: true, mechanism: "PLAIN", to: "bob@remote.example"}
	forged := func(args []string) []string {
		for i, a := range args {
			args[i] = strings.Replace(a, password, "wrong", 1)
		}
		return args
	}
	s.fails(`550 5\.7\.1 `, "", "swaks", s.swaks(stranger)...)
	s.fails(`535 5\.7\.8 `, "", "swaks", forged(s.swaks(liar))...)
	s.fails(`530 5\.7\.0 `, "", "swaks", s.swaks(way{place: "submission", security: startTLS, to: "bob@remote.example"})...)
	s.fails(`RCPT failed: 550`, sample, "curl", s.curl(stranger, "--upload-file", "-", "--mail-from", "alice@home.example", "--mail-rcpt", stranger.to)...)
	s.fails(`Login denied`, sample, "curl", forged(s.curl(liar, "--upload-file", "-", "--mail-from", "alice@home.example", "--mail-rcpt", liar.to))...)
	s.fails(`550 5\.7\.1 `, sample, "msmtp", s.msmtp(stranger, stranger.to)...)
	args := s.msmtp(liar, liar.to)
	s.write("password", "wrong")
	s.fails(`535 5\.7\.8 `, sample, "msmtp", args...)
	s.smtplib(stranger, `
try:
    c.sendmail(sender, [to], "x")
    sys.exit("no refusal")
except smtplib.SMTPRecipientsRefused as e:
    code, text = e.recipients[to]
    assert code == 550 and text.startswith(b"5.7.1 "), (code, text)
try:
    c.login(user, "wrong")
    sys.exit("logged in")
except smtplib.SMTPAuthenticationError as e:
    assert e.smtp_code == 535 and e.smtp_error.startswith(b"5.7.8 "), e
c.ehlo()
code, text = c.mail(sender, ["SIZE=99999999999"])
assert code == 552 and text.startswith(b"5.3.4 "), (code, text)
c.quit()
`, "")
	if list := s.take(); len(list) > 0 {
		t.Errorf("%d messages were accepted", len(list))
	}
}

// swaks and Python speak LMTP, over TCP and Unix sockets.
func TestLMTP(t *testing.T) {
	two := func(s *server) {
		s.Helper()
		m := s.only()
		if len(m.Rcpts) != 2 || m.Rcpts[1].Address != "carol@remote.example" || m.Proto != "LMTP" {
			s.Errorf("to %v by %s", m.Rcpts, m.Proto)
		}
		if err := m.differs(sample); err != nil {
			s.Error(err)
		}
	}
	for name, place := range map[string]string{"TCP": "lmtp", "Unix": "lmtp.sock"} {
		t.Run("swaks "+name, func(t *testing.T) {
			s := serve(t, friends)
			args := []string{"--protocol", "LMTP", "--from", "alice@home.example", "--to", "bob@remote.example,carol@remote.example", "--helo", "client.example",
				"--data", "@" + s.write("sample", strings.TrimSuffix(sample, "\r\n"))}
			if name == "Unix" {
				args = append(args, "--socket", s.at[place])
			} else {
				args = append(args, "--server", s.host(place), "--port", s.port(place))
			}
			out := s.use("", "swaks", args...)
			if got := len(regexp.MustCompile(`(?m)^<-.* 250 2\.0\.0 .*queued`).FindAllString(out, -1)); got != 2 {
				t.Errorf("%d replies to the message:\n%s", got, out)
			}
			two(s)
		})
		t.Run("smtplib "+name, func(t *testing.T) {
			s := serve(t, friends)
			s.smtplib(way{place: place, security: "LMTP", to: "bob@remote.example"}, `
c.sendmail(sender, [to, "carol@remote.example"], sys.stdin.buffer.read())
code, text = c.getreply()
assert code == 250, (code, text)
c.quit()
`, sample)
			two(s)
		})
	}
	t.Run("msmtp", func(t *testing.T) {
		s := serve(t, friends)
		s.use(sample, "msmtp", s.msmtp(way{place: "lmtp", security: clear}, "--protocol=lmtp", "bob@remote.example", "carol@remote.example")...)
		two(s)
	})
}

// swaks says whom it speaks for: as a proxy (PROXY, both versions) or as Postfix does (XCLIENT).
func TestOnBehalfOfOthers(t *testing.T) {
	proxies := `proxies = ["127.0.0.0/8"]`
	address := []string{"--proxy-source", "192.0.2.7", "--proxy-source-port", "4711", "--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25"}
	xclient := []string{"--xclient-addr", "192.0.2.7", "--xclient-port", "4711", "--xclient-helo", "other.example", "--xclient-proto", "ESMTP"}
	for _, c := range []struct {
		name, smtpd string
		args        []string
	}{
		{"PROXY 1", proxies, append([]string{"--proxy-version", "1", "--proxy-family", "TCP4"}, address...)},
		{"PROXY 2", proxies, append([]string{"--proxy-version", "2", "--proxy-family", "AF_INET", "--proxy-protocol", "STREAM"}, address...)},
		{"XCLIENT", `xclient = ["127.0.0.1"]`, xclient},
		{"XCLIENT in TLS", `xclient = ["127.0.0.1"]`, append(xclient, "--tls")},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, friends, c.smtpd)
			data := []string{"--data", "@" + s.write("sample", strings.TrimSuffix(sample, "\r\n"))}
			s.fails(`550 5\.7\.1 `, "", "swaks", s.swaks(inClear, append(data, c.args...)...)...) // a stranger, though we trust the proxy
			w := inClear
			w.to = "bob@relay.example"
			s.use("", "swaks", s.swaks(w, append(data, c.args...)...)...)
			m := s.only()
			if m.Client != "unknown[192.0.2.7]" || !strings.Contains(m.text[:100], " (unknown[192.0.2.7])\r\n") {
				t.Errorf("the client is %q, the text begins with %q", m.Client, m.text[:100])
			}
			if err := m.differs(sample); err != nil {
				t.Error(err)
			}
		})
	}
}

// swaks talks to a program instead of a network: to smtpd --stdio and, as some mail programs do, to sendmail -bs, which
// starts a queue run.
func TestPipe(t *testing.T) {
	pipe := func(s *server, prog string) {
		s.use("", "swaks", "--pipe", bin+"/"+prog, "--helo", "client.example", "--from", "alice@home.example", "--to", "bob@remote.example",
			"--data", "@"+s.write("sample", strings.TrimSuffix(sample, "\r\n")))
	}
	t.Run("smtpd --stdio", func(t *testing.T) {
		s := newServer(t, strangers)
		pipe(s, "smtpd --stdio --queue-only")
		m := s.only()
		if m.UID != os.Getuid() || len(m.Rcpts) != 1 || m.Rcpts[0].Address != "bob@remote.example" {
			t.Errorf("of user %d to %v", m.UID, m.Rcpts)
		}
		if err := m.differs(sample); err != nil {
			t.Error(err)
		}
	})
	t.Run("sendmail -bs", func(t *testing.T) {
		s := newServer(t, strangers)
		pipe(s, "sendmail -bs")
		got := s.next.wait(t)
		s.settled()
		if got.From != "alice@home.example" || !slices.Equal(got.To, []string{"bob@remote.example"}) {
			t.Errorf("from %q to %q", got.From, got.To)
		}
		if err := (stored{text: got.Text}).differs(sample); err != nil {
			t.Error(err)
		}
	})
}
