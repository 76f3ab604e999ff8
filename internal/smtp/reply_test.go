package smtp

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
)

func readString(s string) (reply, error) {
	return readReply(bufio.NewReaderSize(strings.NewReader(s), peerCaps.line), peerCaps, nil)
}

func TestReadReply(t *testing.T) {
	long := strings.Repeat("x", keepReplyLine)
	for _, c := range []struct {
		name, in string
		code     int
		text     string
		err      error
	}{
		{"one line", "250 ok\r\n", 250, "ok", nil},
		{"a code alone is a reply", "250\r\n", 250, "", nil},
		{"LF alone ends a line", "250-a\n250 b\n", 250, "a\nb", nil},
		{"empty lines of text are lines", "250-\r\n250-\r\n250 x\r\n", 250, "\n\nx", nil},
		{"a long line is cut", "250 " + long + "yyy\r\n", 250, long, nil},
		{"a line without end is no reply", "250 " + strings.Repeat("x", peerCaps.line), 0, "", errReplyLong},
		{"too many lines are no reply", strings.Repeat("250-x\r\n", peerCaps.lines) + "250 x\r\n", 0, "", errReplyLines},
		{"codes agree", "250-x\r\n550 x\r\n", 0, "", errReplyCodes},
		{"a code has three digits", "25 ok\r\n", 0, "", errReplySyntax},
		{"a code has no fourth digit", "2500 ok\r\n", 0, "", errReplySyntax},
		{"a code begins with 2 to 5", "150 ok\r\n", 0, "", errReplySyntax},
		{"an empty line is no reply", "\r\n", 0, "", errReplySyntax},
		{"an HTTP server is no peer", "HTTP/1.1 400 Bad Request\r\n", 0, "", errReplySyntax},
		{"the end of the stream", "", 0, "", io.EOF},
		{"the end within a line", "250 o", 0, "", io.ErrUnexpectedEOF},
		{"the end within a reply", "250-o\r\n", 0, "", io.EOF},
	} {
		r, err := readString(c.in)
		if !errors.Is(err, c.err) || r.code != c.code || r.text != c.text {
			t.Errorf("%s: %d %q %v", c.name, r.code, r.text, err)
		}
	}
}

func TestReplyKeepsALimitedText(t *testing.T) {
	r, err := readString(strings.Repeat("250-"+strings.Repeat("x", 500)+"\r\n", peerCaps.lines-1) + "250 x\r\n")
	if err != nil || len(r.text) > peerCaps.text {
		t.Errorf("%d bytes kept, %v", len(r.text), err)
	}
}

func TestReplyOnOneLineHasItsEnhancedCodeOnce(t *testing.T) {
	for in, want := range map[string]string{
		"5.1.1 no\n5.1.1 such\n5.1.1 user": "550 5.1.1 no such user",
		"5.1.1 no\n5.2.1 other":            "550 5.1.1 no 5.2.1 other",
		"no\n5.1.1 code":                   "550 5.0.0 no 5.1.1 code",
	} {
		if got := (reply{550, in}).status().Diagnostic(); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestParseExtensions(t *testing.T) {
	e := parseExtensions(reply{250, "PIPELINING greets you\nsize 1000\n8bitmime\nDsn\nSMTPUTF8 x\nAUTH PLAIN login\nAUTH=CRAM-MD5 X\n\nLIMITS rcptmax=5 MAILMAX=-1 X\nDeliverBy 240\nXYZZY"})
	switch {
	case e.pipelining:
		t.Error("the greeting was read as a keyword")
	case !e.sizeKnown || e.size != 1000 || !e.eightBit || !e.dsn || !e.utf8 || e.startTLS:
		t.Errorf("keywords: %+v", e)
	case strings.Join(e.auth, " ") != "PLAIN LOGIN CRAM-MD5 X":
		t.Errorf("auth: %v", e.auth)
	case !e.deliverBy || e.byMin != 240:
		t.Errorf("deliverby: %v %d", e.deliverBy, e.byMin)
	case e.rcptMax != 5 || e.mailMax != 0:
		t.Errorf("limits: %d %d", e.rcptMax, e.mailMax)
	}
	for _, size := range []string{"SIZE", "SIZE 0", "SIZE -5", "SIZE many", "SIZE 99999999999999999999"} {
		if e := parseExtensions(reply{250, "x\n" + size}); !e.sizeKnown || e.size != 0 {
			t.Errorf("%q: %+v", size, e)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add("250 ok\r\n")
	f.Add("250-mx\r\n250-SIZE 10\r\n250 AUTH=PLAIN\r\n")
	f.Add("220-\xff\x00\n220 \x1b[2J\r\n")
	f.Add("550-5.1.1 a\r\n550 5.1.1 b\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := readString(in)
		if err != nil {
			return
		}
		if r.code < 200 || r.code > 599 || len(r.text) > peerCaps.text {
			t.Fatalf("%d, %d bytes", r.code, len(r.text))
		}
		if st := r.status(); strings.ContainsAny(st.Text(), "\r\n\x00\x1b") {
			t.Fatalf("not clean: %q", st.Text())
		}
		parseExtensions(r)
	})
}
