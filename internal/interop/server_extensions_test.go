//go:build interop

package interop

import (
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"postrider/queue"
)

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
