//go:build interop

package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// falseEnds are what somebody, somewhere, takes for the end of a text. None is.
var falseEnds = []string{
	"\n.\n", "\r.\r", "\n.\r", "\r.\n", "\r\n.\n", "\r\n.\r", "\n.\r\n", "\r.\r\n", "\n\r.\r\n", "\r\n.\r\r\n", "\r\n.\r\r\r\n", "\r\n.\n\r", "\r\n.\n\r\n",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\x00\n", "\r\n.\x00\n", "\r\n \b.\r\n", "\r\n. \r\n", "\r\n.\t\r\n", "\r\n.\v\r\n", "\r\n.\f\r\n", "\r\n..\r\n", "\r\n...\r\n",
	"\x85.\x85", "\r\n.\xc2\x85", "\r\n\xef\xbc\x8e\r\n", "\r\n\xae\r\n", "\u2028.\u2028", "\n\n.\n\n", "\r\r.\r\r", "\r\n\r.\n", "\n.\n\r\n", "\r\n.\\r\\n", "\\r\\n.\\r\\n",
	"\r\n=2E\r\n", "\r\n.;\r\n", "\r\n-.\r\n", "\r\n.\r\\\n", "\v.\v", "\f.\f",
}

// smuggled is what follows: a message of its own for whoever has seen the end of the first.
const smuggled = "MAIL FROM:<mallory@home.example>\r\nRCPT TO:<bob@relay.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n"

// stray finds an LF or a CR that is not half of a CRLF.
var stray = regexp.MustCompile(`(^|[^\r])\n|\r([^\n]|$)`)

// Whatever a client writes in the place of the end of a text, there is one message at most, and what follows is part of
// it. What we take goes to the next hop as one message as well.
func TestSmuggling(t *testing.T) {
	for who, trusted := range map[string]bool{"stranger": strangers, "friend": friends} {
		t.Run(who, func(t *testing.T) {
			s := serve(t, trusted)
			for i, end := range falseEnds {
				for cut := range 2 { // at once; and in two, within the end
					text := fmt.Sprintf("Subject: %d\r\n\r\nfirst", i)
					replies := s.smuggle(text, end, cut)
					list := s.take()
					switch {
					case len(list) > 1 || strings.Contains(replies, "\n354 "):
						t.Errorf("%q: %d messages; the server said %q", end, len(list), replies)
					case len(list) == 0 && !strings.Contains(replies, "\n554 5.6.0 "):
						t.Errorf("%q: no message; the server said %q", end, replies)
					case len(list) == 1 && !strings.Contains(list[0].text, "RCPT TO:<bob@relay.example>"):
						t.Errorf("%q: the message is %q", end, list[0].text)
					case len(list) == 1 && trusted == strangers && stray.MatchString(list[0].text):
						t.Errorf("%q: a CR or LF by itself is kept: %q", end, list[0].text)
					}
				}
			}
		})
	}
}

// smuggle sends one message and another one behind a false end, which may be cut in two. It returns all that the server
// says.
func (s *server) smuggle(text, end string, cut int) string {
	s.Helper()
	conn, err := net.Dial("tcp", s.at["smtp"])
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	k := &talk{conn, bufio.NewReader(conn)}
	if err := k.expect("220 "); err != nil {
		s.Fatal(err)
	}
	for _, step := range [][2]string{{"EHLO client.example", "250"}, {"MAIL FROM:<alice@home.example>", "250 "}, {"RCPT TO:<bob@relay.example>", "250 "}, {"DATA", "354 "}} {
		if err := k.say(step[0]+"\r\n", step[1]); err != nil {
			s.Fatal(err)
		}
	}
	at := len(text) + cut*(1+len(end)/2)
	text += end + smuggled
	for _, piece := range []string{text[:at], text[at:] + "QUIT\r\n"} {
		if _, err := io.WriteString(k, piece); err != nil {
			s.Fatal(err)
		}
		if cut > 0 {
			time.Sleep(time.Millisecond) // so that the server reads twice; when it does not nothing is lost
		}
	}
	replies, err := io.ReadAll(k.in)
	if err != nil {
		s.Errorf("%q: the session does not end: %v", end, err)
	}
	return "\n" + string(replies)
}

// What we take from a friend who ends lines in LF leaves us with lines that end in CRLF, and with dots where they mean
// dots: one message reaches the next hop.
func TestNothingIsSmuggledThroughUs(t *testing.T) {
	s := serve(t, friends)
	for _, end := range falseEnds {
		s.smuggle("Subject: x\r\n\r\nfirst", end, 0)
	}
	n := len(s.spooled("new"))
	if n != len(falseEnds) {
		t.Errorf("%d messages of %d were taken", n, len(falseEnds))
	}
	seen := make(chan receipt, 2*len(falseEnds))
	next := newReceiver(t, nil, func(m receipt) { seen <- m })
	s.write("queuerun.toml", s.config(hostname, next.address))
	s.run("", "queuerun", "--all", "--config", s.path("queuerun.toml"))
	if left := s.spooled("new", "cur", "hold", "corrupt"); len(left) > 0 {
		log := s.run("", "tail", s.path("log"))
		t.Errorf("still in the spool: %q\n%s", left, log)
	}
	close(seen)
	got := 0
	for m := range seen {
		got++
		if stray.MatchString(m.Text) || m.From != "alice@home.example" || !strings.Contains(m.Text, "\r\nfirst") || !strings.HasSuffix(m.Text, "smuggled\r\n") {
			t.Errorf("from %q: %q", m.From, m.Text)
		}
	}
	if got != n {
		t.Errorf("%d messages have reached the next hop, want %d", got, n)
	}
}

// What is in the same packet as STARTTLS ends the session, and is never done; and a client that begins TLS has to begin
// anew.
func TestNothingIsInjectedBeforeTLS(t *testing.T) {
	s := serve(t, friends)
	for _, behind := range []string{"NOOP\r\n", "EHLO client.example\r\nMAIL FROM:<mallory@home.example>\r\n", "\x16\x03\x01", "X"} {
		k, err := dial(s.at["smtp"])
		if err != nil {
			t.Fatal(err)
		}
		if err := k.say("EHLO client.example\r\n", "250"); err != nil {
			t.Fatal(err)
		}
		io.WriteString(k, "STARTTLS\r\n"+behind)
		rest, err := io.ReadAll(k.in)
		if err != nil && !strings.Contains(err.Error(), "reset") || !strings.HasPrefix(string(rest), "5") || strings.Count(string(rest), "\n") != 1 {
			t.Errorf("%q behind STARTTLS: %q, %v", behind, rest, err)
		}
		k.Close()
	}
	k := s.openssl(way{place: "smtp", security: startTLS})
	for _, step := range [][2]string{{"MAIL FROM:<alice@home.example>", "503 5.5.1 "}, {"STARTTLS", "503 5.5.1 "}, {"EHLO client.example", "250"}, {"NOOP", "250 2.0.0 "},
		{"STARTTLS", "503 5.5.1 "}, {"QUIT", "221 2.0.0 "}} {
		if err := k.say(step[0]+"\r\n", step[1]); err != nil {
			t.Fatal(err)
		}
	}
}

// A server that wants TLS from the first byte does not talk before, and old TLS is none.
func TestOpenSSLHandshakes(t *testing.T) {
	s := serve(t, strangers)
	for _, c := range []struct {
		args string
		want bool
	}{
		{"-tls1_3", true}, {"-tls1_2", true}, {"-tls1_1 -cipher DEFAULT@SECLEVEL=0", false}, {"-tls1 -cipher DEFAULT@SECLEVEL=0", false},
		{"-servername " + hostname + " -verify_hostname " + hostname, true}, {"-verify_hostname other.example", false},
	} {
		for _, place := range []string{"submissions", "submission"} {
			args := append(strings.Fields(c.args), "-verify_return_error", "-CAfile", credential("cert"), "-connect", s.at[place])
			if place == "submission" {
				args = append(args, "-starttls", "smtp")
			}
			out, err := s.tool("QUIT\n", "openssl", append([]string{"s_client"}, args...)...).CombinedOutput()
			if (err == nil) != c.want {
				t.Errorf("s_client %s: %v\n%s", c.args, err, out)
			}
		}
	}
}
