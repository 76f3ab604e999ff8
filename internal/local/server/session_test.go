package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestDialogue(t *testing.T) {
	w := newWorld(t, nil, "alice")
	for _, c := range []struct {
		name   string
		script []string // command and reply, in turns
	}{
		{"the order of commands", []string{
			"RCPT TO:<alice>", "503 5.5.1 MAIL first", "DATA", "503 5.5.1 no recipients, or the message has begun",
			"MAIL FROM:<>", "250 2.1.0 ok", "MAIL FROM:<>", "503 5.5.1 there is a transaction already", "DATA", "503 5.5.1 no recipients, or the message has begun",
			"RSET", "250 2.0.0 ok", "MAIL FROM:<>", "250 2.1.0 ok",
		}},
		{"what is no command", []string{
			"EHLO x", "500 5.5.1 unknown command", "", "500 5.5.1 unknown command", "LHLO", "501 5.5.4 a name is missing",
			"MAIL", "501 5.5.4 syntax error", "MAIL TO:<a@b>", "501 5.5.4 syntax error", "MAIL FROM:<a@b>x", "501 5.5.4 syntax error",
			"NOOP x", "250 2.0.0 ok", "VRFY alice", "252 2.5.2 try RCPT", "noop", "250 2.0.0 ok",
		}},
		{"parameters of MAIL", []string{
			"MAIL FROM:<a@b> XFOO=1", "555 5.5.4 unknown parameter", "MAIL FROM:<a@b> XID=../x", "501 5.5.4 syntax error",
			"MAIL FROM:<a@b> XARRIVAL=x", "501 5.5.4 syntax error", "MAIL FROM:<a@b> SIZE=-1", "501 5.5.4 syntax error",
			"MAIL FROM:<a@b> BODY=x", "501 5.5.4 syntax error", "MAIL FROM:<a@b> XID=", "501 5.5.4 syntax error",
			"MAIL FROM:<a@b> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x XID=0AB XARRIVAL=1795510800000000", "250 2.1.0 ok",
			"RCPT TO:<alice> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;info+40here.test XRCPT=3", "250 2.1.5 ok",
		}},
		{"chunks", []string{
			"BDAT 4\r\nab", "503 5.5.1 no recipients", "MAIL FROM:<>", "250 2.1.0 ok", "BDAT 4 LAST\r\nab", "503 5.5.1 no recipients",
			"RCPT TO:<alice>", "250 2.1.5 ok", "BDAT 12\r\nSubject: x", "250 2.0.0 ok", "RCPT TO:<alice>", "503 5.5.1 the message has begun",
			"DATA", "503 5.5.1 no recipients, or the message has begun", "BDAT 9 LAST\r\n\r\nchunk", "250 2.0.0 delivered to mailbox",
			"MAIL FROM:<>", "250 2.1.0 ok", "RCPT TO:<alice>", "250 2.1.5 ok", "BDAT 0 LAST", "250 2.0.0 delivered to mailbox",
			"BDAT x", "501 5.5.4 syntax error",
		}},
	} {
		s := w.dial()
		for i := 0; i < len(c.script); i += 2 {
			if got := s.say(c.script[i]); got != c.script[i+1] {
				t.Errorf("%s: %q: %s", c.name, c.script[i], got)
			}
		}
		s.conn.Close()
	}
	if text := w.read("mail/alice"); !strings.Contains(text, "Subject: x\n\nchunk\n") {
		t.Errorf("%q", text)
	}
}

func TestBeforeLHLO(t *testing.T) {
	w := newWorld(t, nil, "alice")
	conn, err := net.Dial("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{t, conn, bufio.NewReader(conn)}
	c.reply()
	if r := c.say("MAIL FROM:<>"); r != "503 5.5.1 say LHLO first" {
		t.Error(r)
	}
}

// Commands may come together, and so may what follows the data (RFC 2920).
func TestPipelining(t *testing.T) {
	w := newWorld(t, nil, "alice")
	c := w.dial()
	go fmt.Fprintf(c.conn, "MAIL FROM:<>\r\nRCPT TO:<alice>\r\nRCPT TO:<zoe>\r\nBDAT %d LAST\r\n%sMAIL FROM:<>\r\nRCPT TO:<alice>\r\nRSET\r\nQUIT\r\n", len(letter), letter)
	var got []string
	for range 8 {
		got = append(got, c.reply()[:3])
	}
	if want := "250 250 550 250 250 250 250 221"; strings.Join(got, " ") != want {
		t.Errorf("%s", got)
	}
}

func TestLinesThatAreNone(t *testing.T) {
	w := newWorld(t, nil, "alice")
	for _, c := range []struct{ sent, want string }{
		{"NOOP\n", "500 5.5.2 a line must end in CRLF"},
		{strings.Repeat("x", maxLine+1), "500 5.5.2 line too long"},
	} {
		s := w.dial()
		fmt.Fprint(s.conn, c.sent)
		if got := s.reply(); got != c.want {
			t.Errorf("%.20q: %s", c.sent, got)
		}
		if got := s.reply(); !strings.HasPrefix(got, "!") {
			t.Errorf("%.20q: the session goes on: %s", c.sent, got)
		}
	}
}

// A message that breaks off is nobody's.
func TestABrokenMessage(t *testing.T) {
	w := newWorld(t, nil, "alice")
	for _, begin := range []string{"DATA\r\nSubject: x\r\n\r\nhel", "DATA\r\nSubject: x\r\n\r\n\r\n.\n", "BDAT 100 LAST\r\nSubject: x"} {
		c := w.dial()
		c.say("MAIL FROM:<>")
		c.say("RCPT TO:<alice>")
		fmt.Fprint(c.conn, begin)
		c.conn.(*net.UnixConn).CloseWrite()
		io.Copy(io.Discard, c.r)
	}
	if _, err := os.Stat(w.path("mail/alice")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestWhoMayConnect(t *testing.T) {
	dir := t.TempDir()
	s := &Server{}
	s.Config.Spool = dir
	var st syscall.Stat_t
	syscall.Lstat(dir, &st)
	if root() {
		os.Chown(dir, 61234, -1)
		st.Uid = 61234
	}
	for uid, want := range map[int]bool{0: true, os.Geteuid(): true, int(st.Uid): true, 61235: false, 65534: false} {
		if s.trusts(uid) != want {
			t.Errorf("user %d: %v", uid, !want)
		}
	}
	s.Config.Spool = "/nonexistent"
	if s.trusts(61234) {
		t.Error("without a spool")
	}
}

func TestCopyText(t *testing.T) {
	for _, c := range []struct{ in, want, rest string }{
		{"a\r\n.\r\nX", "a\r\n", "X"},
		{".\r\nX", "", "X"},
		{"..\r\n...a\r\n.\r\n", ".\r\n..a\r\n", ""},
		{"a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", ""},
		{"a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", ""},
		{"a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", ""},
		{"a\r.\r\n\r\n.\r\n", "a\r.\r\n\r\n", ""},
		{strings.Repeat("x", 40000) + "\r\n.\r\n", strings.Repeat("x", 40000) + "\r\n", ""},
		{strings.Repeat("x", 16<<10-1) + "\r\n.\r\nX", strings.Repeat("x", 16<<10-1) + "\r\n", "X"},
		{strings.Repeat("x", 16<<10) + ".\r\n.\r\nX", strings.Repeat("x", 16<<10) + ".\r\n", "X"},
	} {
		r := bufio.NewReaderSize(strings.NewReader(c.in), maxLine)
		var b bytes.Buffer
		err := copyText(&b, r)
		rest, _ := io.ReadAll(r)
		if err != nil || b.String() != c.want || string(rest) != c.rest {
			t.Errorf("%.40q: %.40q, rest %q, %v", c.in, b.String(), rest, err)
		}
	}
	for _, in := range []string{"", "a\r\n", "a\r\n.", ".\n", "a\r\n.\r"} {
		if err := copyText(io.Discard, bufio.NewReader(strings.NewReader(in))); err != io.ErrUnexpectedEOF {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// The same text comes out however it arrives, and what follows its end is not touched.
func FuzzCopyText(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\nX", "..\r\n", ".\n.\r\n", "\r\r\n.\r\n"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, in string, size int) {
		read := func(size int) (string, int, error) {
			src := strings.NewReader(in)
			r := bufio.NewReaderSize(src, size)
			var b bytes.Buffer
			err := copyText(&b, r)
			return b.String(), src.Len() + r.Buffered(), err
		}
		text, rest, err := read(1 << 20)
		small, restSmall, errSmall := read(16 + max(0, size)%64)
		if (err == nil) != (errSmall == nil) || err == nil && (text != small || rest != restSmall) {
			t.Fatalf("%q %d %v, %q %d %v", text, rest, err, small, restSmall, errSmall)
		}
		if len(text) > len(in) {
			t.Fatal("it grew")
		}
	})
}

// Whatever a client says is one command or an error, and bounded.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{"MAIL FROM:<a@b> SIZE=1 XID=0A XARRIVAL=1", "RCPT TO:<\"a b\"@c> XRCPT=1 XMEMBER=|x+20y", "rcpt to: <a> XMAILBOX ORCPT=rfc822;a+40b", "BDAT 5 LAST", "", "MAIL FROM:<@a,@b:c@d>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := parseCommand(line)
		if err != nil {
			return
		}
		if m, err := c.mail(); err == nil && (m.size < 0 || strings.ContainsAny(m.id, "/. \n") || strings.ContainsAny(m.from, "\r\n")) {
			t.Fatalf("%+v", m)
		}
		w, err := c.wish()
		if err != nil {
			return
		}
		if w.number < 0 || strings.ContainsAny(w.to.String(), "\r\n\x00") || w.mailbox && w.member != "" || len(w.member) > len(line) {
			t.Fatalf("%+v", w)
		}
		if again, ok := decodeXtext(encodeXtext(w.member)); !ok || again != w.member {
			t.Fatalf("%q", w.member)
		}
	})
}
