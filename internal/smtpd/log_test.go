package smtpd

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postrider/internal/maillog"
)

// What is decided is in the log with its reason, whatever the client hears.
func TestDecisionsAreLogged(t *testing.T) {
	hello := "S: 220 *\nC: EHLO x.example\n" + strings.Repeat("S: 250-*\n", 14) + "S: 250 *\n"
	mail := func(from string, rcpts ...string) string {
		s := "C: MAIL FROM:<" + from + ">\nS: 250 *\n"
		for _, r := range rcpts {
			s += "C: RCPT TO:<" + r + ">\nS: 250 *\n"
		}
		return s + "C: DATA\nS: 354 *\nC: Subject: x\nC: \nC: .\nS: 250 *\n"
	}
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"a message is thrown away for its sender", mail("discard@b.example", "joe@here.example"),
			[]string{`NOQUEUE: client=unknown\[192.0.2.1\], helo=<x.example>, from=<discard@b.example>, nrcpt=1, discarded \(rule 1\)$`}},
		{"one recipient is", mail("a@b.example", "discard@here.example", "joe@here.example"),
			[]string{`NOQUEUE: client=.*, from=<a@b.example>, to=<discard@here.example>, discarded \(rule 3\)$`, `\w{17}: from=<a@b.example>, .* nrcpt=1 \(queued\)`}},
		{"the only recipient is", mail("a@b.example", "discard@here.example"),
			[]string{`to=<discard@here.example>, discarded \(rule 3\)$`, `from=<a@b.example>, nrcpt=1, discarded \(rule 3\)$`}},
		{"a message is held", mail("hold@b.example", "joe@here.example"),
			[]string{`\w{17}: from=<hold@b.example>.*queued`, `\w{17}: by=rule\\x202, held \(looks odd\)$`}},
		{"a queue run is started", "C: ETRN queued.example\nS: 250 *\n",
			[]string{`NOQUEUE: client=.*, helo=<x.example>, domain=queued.example, queue run wanted \(250 2.0.0 queue run started\)$`}},
		{"a client is another's word", "C: XCLIENT ADDR=198.51.100.7\nS: 220 *\nC: HELO y.example\nS: 250 *\n" + mail("a@b.example", "joe@here.example"),
			[]string{`queued\), client=unknown\[198.51.100.7\], via=192.0.2.1, helo=<y.example>`}},
		{"and what it may not", "C: XCLIENT ADDR=198.51.100.7\nS: 220 *\nC: HELO bad.example\nS: 550 *\n",
			[]string{`NOQUEUE: client=unknown\[198.51.100.7\], via=192.0.2.1, helo=<bad.example>, command=HELO, rejected`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t)
			path := filepath.Join(t.TempDir(), "log")
			log, err := maillog.Open("smtpd", path, nil)
			if err != nil {
				t.Fatal(err)
			}
			d.server.Log, d.server.XClient = log, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
			d.play(hello + c.text)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !regexp.MustCompile("(?m)" + want).Match(text) {
					t.Errorf("no line %s in\n%s", want, text)
				}
			}
		})
	}
}

// What comes in a record of its own comes too early as well.
func TestEarlyInAnotherRecord(t *testing.T) {
	d := newDialogue(t)
	d.play("set: implicit\nS: 220 *\nC: EHLO x.example\n" + strings.Repeat("S: 250-*\n", 13) + "S: 250 *\nC: QUIT\nS: 221 *\n") // one after the other
	for _, first := range []string{"EHLO x.example\r\n", "HELO x.example\r\n"} {
		d := newDialogue(t)
		if err := d.set([]string{"tls", "implicit"}); err != nil {
			t.Fatal(err)
		}
		raw, _, _ := connect(t, d.server, d.port, d.from)
		both := &together{Conn: raw}
		c := tls.Client(both, &tls.Config{InsecureSkipVerify: true})
		in := bufio.NewReader(c)
		if line, err := in.ReadString('\n'); !strings.HasPrefix(line, "220 ") {
			t.Fatal(line, err)
		}
		both.hold = true
		io.WriteString(c, first)
		io.WriteString(c, "MAIL FROM:<>\r\n")
		if err := both.send(); err != nil {
			t.Fatal(err)
		}
		if line, _ := in.ReadString('\n'); !strings.HasPrefix(line, "554 5.5.0 out of step") {
			t.Errorf("%.4s: %q", first, line)
		}
	}
}

// together is a connection whose bytes wait until they are sent.
type together struct {
	net.Conn
	held []byte
	hold bool
}

func (c *together) Write(p []byte) (int, error) {
	if !c.hold {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

func (c *together) send() error {
	c.hold = false
	_, err := c.Conn.Write(c.held)
	return err
}
