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

	"github.com/emersion/go-smtp"

	"postrider/queue"
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

// What is beyond the plain sending of mail: addresses in UTF-8, DSN, questions about users.
func TestExtensions(t *testing.T) {
	t.Run("smtplib SMTPUTF8", func(t *testing.T) {
		s := serve(t, friends)
		w := inClear
		w.to = "b\u00f6b@remote.example"
		text := strings.Replace(sample, "To: bob@", "To: b\u00f6b@", 1)
		s.smtplib(w, "c.ehlo()\nc.sendmail(sender, [to], sys.stdin.buffer.read(), ['SMTPUTF8', 'BODY=8BITMIME'])\nc.quit()\n", text)
		m := s.only()
		if m.Rcpts[0].Address != w.to || !m.UTF8 || m.Proto != "UTF8SMTP" {
			t.Errorf("to %v, UTF8 %v, by %s", m.Rcpts, m.UTF8, m.Proto)
		}
		if err := m.differs(text); err != nil {
			t.Error(err)
		}
	})
	t.Run("smtplib asks", func(t *testing.T) {
		s := serve(t, friends)
		s.write("aliases", "crew: bob@remote.example, "+s.user+"\n")
		s.smtplib(inClear, `
c.ehlo()
for question, want in [(lambda: c.vrfy("`+s.user+`"), 250), (lambda: c.vrfy("no-such-user-here"), 550), (lambda: c.expn("crew"), 250), (c.help, b""), (c.noop, 250), (c.rset, 250)]:
    got = question()
    assert want == b"" or got[0] == want, (got, want)
assert b"<bob@remote.example>" in c.expn("crew")[1], c.expn("crew")
c.quit()
`, "")
	})
	t.Run("curl asks", func(t *testing.T) {
		s := serve(t, friends)
		s.write("aliases", "crew: bob@remote.example, carol@remote.example\n")
		if out := s.use("", "curl", s.curl(inClear, "--request", "EXPN crew")...); !strings.Contains(out, "<carol@remote.example>") {
			t.Errorf("EXPN: %s", out)
		}
		if out := s.use("", "curl", s.curl(inClear, "--request", "VRFY", "--mail-rcpt", s.user)...); !strings.Contains(out, "<"+s.user+"@"+hostname+">") {
			t.Errorf("VRFY: %s", out)
		}
	})
	t.Run("msmtp DSN", func(t *testing.T) {
		s := serve(t, strangers)
		s.use(sample, "msmtp", s.msmtp(loggedIn, "--dsn-notify=success,failure", "--dsn-return=headers", loggedIn.to)...)
		m := s.only()
		if m.Ret != "HDRS" || m.Rcpts[0].Notify != queue.NotifySuccess|queue.NotifyFailure {
			t.Errorf("RET=%s NOTIFY=%v", m.Ret, m.Rcpts[0].Notify)
		}
	})
	t.Run("msmtp ETRN", func(t *testing.T) {
		s := serve(t, friends)
		s.use("", "msmtp", append(s.msmtp(inClear), "--rmqs=relay.example")...)
	})
	t.Run("go-smtp", func(t *testing.T) {
		s := serve(t, strangers)
		c := s.goSMTP(loggedIn)
		err := c.Mail("alice@home.example", &smtp.MailOptions{Size: int64(len(sample)), Return: smtp.DSNReturnFull, EnvelopeID: "id+1=x", Body: smtp.Body8BitMIME})
		if err == nil {
			err = c.Rcpt("bob@remote.example", &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}})
		}
		if err == nil {
			err = c.Rcpt("carol@remote.example", &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyDelayed, smtp.DSNNotifyFailure},
				OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "orig+inal@remote.example"})
		}
		if err != nil {
			t.Fatal(err)
		}
		dataOf(t, c, sample)
		m := s.only()
		if m.Ret != "FULL" || m.EnvID != "id+2B1+3Dx" || m.Body != "8BITMIME" {
			t.Errorf("RET=%s ENVID=%s BODY=%s", m.Ret, m.EnvID, m.Body)
		}
		want := []queue.Rcpt{{Address: "bob@remote.example", Notify: queue.NotifyNever},
			{Address: "carol@remote.example", Notify: queue.NotifyDelay | queue.NotifyFailure, ORcpt: "RFC822;orig+2Binal@remote.example"}}
		if !slices.Equal(m.Rcpts, want) {
			t.Errorf("recipients are %+v, want %+v", m.Rcpts, want)
		}
	})
}

// dataOf sends the text of a message.
func dataOf(t *testing.T, c *smtp.Client, text string) {
	t.Helper()
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// What a Postfix knows of a message it passes on: DSN and addresses in UTF-8.
func TestPostfixPassesOnWhatItKnows(t *testing.T) {
	s := serve(t, friends)
	c, err := smtp.Dial(s.postfix(inClear))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello("client.example"); err != nil {
		t.Fatal(err)
	}
	err = c.Mail("alice@home.example", &smtp.MailOptions{Return: smtp.DSNReturnHeaders, EnvelopeID: "some+id", UTF8: true, Body: smtp.Body8BitMIME})
	if err == nil {
		err = c.Rcpt("b\u00f6b@remote.example", &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifySuccess}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "first@remote.example"})
	}
	if err != nil {
		t.Fatal(err)
	}
	dataOf(t, c, sample)
	s.arrived(1)
	trace := s.addedByPostfix()
	m := s.only()
	if m.Ret != "HDRS" || m.EnvID != "some+2Bid" || !m.UTF8 {
		t.Errorf("RET=%s ENVID=%s UTF8 %v", m.Ret, m.EnvID, m.UTF8)
	}
	if r := m.Rcpts[0]; r.Address != "b\u00f6b@remote.example" || r.Notify != queue.NotifySuccess || r.ORcpt != "RFC822;first@remote.example" {
		t.Errorf("to %+v", r)
	}
	if err := m.differs(trace + sample); err != nil {
		t.Error(err)
	}
}
