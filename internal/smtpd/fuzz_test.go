package smtpd

import (
	"bytes"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"postrider/queue"
)

// xtext is RFC 3461 section 4.
var xtext = regexp.MustCompile(`^(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$`)

// FuzzParams reads parameters of MAIL and RCPT: what is accepted can stand in a queue file and on the wire again, whatever
// those before us have let through.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{"SIZE=10 BODY=8BITMIME", "RET=HDRS ENVID=a+2Bb SMTPUTF8", "BY=-5;NT", "AUTH=<>", "HOLDUNTIL=2026-12-01T00:00:00Z",
		"NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b", "ORCPT=utf-8;\u00fc@b", "A=", "=", "SIZE=99999999999999999999",
		"ENVID=a\rb", "ENVID=a=b", "ENVID=a\x7f", "ENVID=\u00fc", "ENVID=a+0A", "ENVID=a+4", "ENVID=a+2b", "ENVID=a+FF", "ORCPT=rfc822;a+zz", "AUTH=a\x00b", "AUTH=a=b", "AUTH=a+zz", "RET=\n", "BODY=\t",
		"ORCPT=rfc822;a\nb", "ORCPT=rfc822;a=b", "ORCPT=rfc822;\u00fc", "ORCPT=utf-8;a=b", "ORCPT=utf-8;a\x7f", "ORCPT=utf-8;\xff", "ORCPT=a b;c", "ORCPT=\r;c",
		"HOLDFOR=9999999", "HOLDFOR=60 BY=30;R", "HOLDFOR=-1", "BY=999999999;R"} {
		f.Add(seed)
	}
	s, _ := testServer(f, &testPolicy{})
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxCommand {
			return
		}
		params := slices.DeleteFunc(strings.Split(text, " "), func(p string) bool { return p == "" })
		x := &Session{Server: s, port: &Port{Mode: Submission}}
		x.client.Trusted = true
		tx := &Transaction{}
		if x.mailParams(tx, params) == nil {
			e := tx.Envelope
			words := written(map[string]string{"ENVID": e.EnvID, "RET": e.Ret, "BODY": e.Body, "AUTH": e.Auth})
			for _, w := range words {
				if _, value, _ := strings.Cut(w, "="); !xtext.MatchString(value) {
					t.Errorf("%q: %q", text, w)
				}
			}
			if id, ok := unxtext(e.EnvID); e.EnvID != "" && !ok || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q: ENVID is %q", text, id)
			}
			if tx.Declared < 0 || e.Release.After(noon.Add(maxRelease)) || !e.Release.IsZero() && !e.Release.After(noon) || !e.By.IsZero() && e.Release.After(e.By) {
				t.Errorf("%q: %+v", text, tx)
			}
			again := &Transaction{}
			if st := x.mailParams(again, words); st != nil || again.Envelope.EnvID != e.EnvID || again.Envelope.Ret != e.Ret || again.Envelope.Auth != e.Auth {
				t.Errorf("%q: %q are not the same again: %v", text, words, st)
			}
		}
		var r, again queue.Rcpt
		if rcptParams(&r, params, true) != nil {
			return
		}
		words := written(map[string]string{"ORCPT": r.ORcpt, "NOTIFY": r.Notify.String()})
		if kind, x, _ := strings.Cut(r.ORcpt, ";"); x != "" && !xtext.MatchString(x) && !strings.EqualFold(kind, "utf-8") || !utf8.ValidString(r.ORcpt) || strings.ContainsFunc(r.ORcpt, func(r rune) bool { return r <= ' ' || r == '=' || r == 0x7f }) {
			t.Errorf("%q: %q", text, r.ORcpt)
		}
		if st := rcptParams(&again, words, true); st != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%q: %q are not the same again: %v", text, words, st)
		}
	})
}

// written are parameters as they stand in a command.
func written(values map[string]string) (words []string) {
	for key, value := range values {
		if value != "" {
			words = append(words, key+"="+value)
		}
	}
	return words
}

// FuzzProxy reads PROXY headers and takes no byte behind one.
func FuzzProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 1234 25\r\nEHLO x\r\n"))
	f.Add([]byte("PROXY TCP6 2001:db8::7 2001:db8::1 1234 25\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n220"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x42\x0a\x00\x00\x01\x04\xd2\x00\x19rest"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bytes.NewReader(text)
		from, err := readProxy(r)
		used := len(text) - r.Len()
		if err != nil {
			return
		}
		if from.IsValid() && from.Addr().Zone() != "" || used > maxProxyV2+16 {
			t.Errorf("%q: %v, %d bytes", text, from, used)
		}
		if bytes.HasPrefix(text, []byte("PROXY ")) && (used > maxProxyV1 || !bytes.HasSuffix(text[:used], crlf)) {
			t.Errorf("%q: %d bytes", text, used)
		}
	})
}

func TestProxyHeaders(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"version 1 of IPv4", "PROXY TCP4 192.0.2.7 192.0.2.1 1234 25\r\n", "192.0.2.7:1234"},
		{"version 1 of IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 1 25\r\n", "[2001:db8::7]:1"},
		{"version 1, not known", "PROXY UNKNOWN anything\r\n", "none"},
		{"version 1 with the wrong family", "PROXY TCP4 2001:db8::7 2001:db8::1 1 25\r\n", "error"},
		{"version 1 with a bad port", "PROXY TCP4 192.0.2.7 192.0.2.1 99999 25\r\n", "error"},
		{"version 1 without an end", "PROXY TCP4 192.0.2.7" + strings.Repeat("0", 100) + "\r\n", "error"},
		{"version 1 cut", "PROXY TCP4 192.0.2.7", "error"},
		{"version 2 of IPv4", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x0a\x00\x00\x01\x04\xd2\x00\x19", "192.0.2.7:1234"},
		{"version 2 with what follows the addresses", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0f\xc0\x00\x02\x07\x0a\x00\x00\x01\x04\xd2\x00\x19\x04\x00\x00", "192.0.2.7:1234"},
		{"version 2, a check of the proxy itself", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "none"},
		{"version 2 of a Unix socket", "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\x00", "error"},
		{"version 2 that is too short", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x04\xc0\x00\x02\x07", "error"},
		{"version 2 that is too long", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", "error"},
		{"version 3", "\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x00", "error"},
		{"no header", "EHLO there.example\r\n", "error"},
		{"nothing", "", "error"},
	} {
		got := "none"
		switch from, err := readProxy(strings.NewReader(tt.in)); {
		case err != nil:
			got = "error"
		case from != netip.AddrPort{}:
			got = from.String()
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// FuzzChunks cuts a text into chunks: what is stored is the text, and nothing else is read as part of it.
func FuzzChunks(f *testing.F) {
	f.Add("Subject: x\r\n\r\n.\r\nQUIT\r\n", uint8(3))
	f.Add(strings.Repeat("a", 300)+"\r\n", uint8(40))
	f.Fuzz(func(t *testing.T, text string, step uint8) {
		text = strings.NewReplacer("\r", "", "\n", "\r\n").Replace(text)
		if len(text) > 900 || strings.Count(text, "\n") > 0 && !strings.HasSuffix(text, "\n") || strings.Contains(strings.ToLower(text), "received:") {
			return
		}
		var b strings.Builder
		b.WriteString("HELO x.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<joe@here.example>\r\n")
		rest, n := text, int(step)+1
		for len(rest) > n {
			b.WriteString("BDAT " + itoa(n) + "\r\n" + rest[:n])
			rest = rest[n:]
		}
		b.WriteString("BDAT " + itoa(len(rest)) + " LAST\r\n" + rest + "NOOP\r\n")
		_, body, _ := strings.Cut(speak(t, &Port{}, true, b.String()), "----\n")
		_, body, _ = strings.Cut(body, "+0000\r\n")
		want := text
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\r\n"
		}
		if got := strings.TrimSuffix(body, "----\n"); got != want {
			t.Errorf("%q in chunks of %d: %q", text, n, got)
		}
	})
}

// A proxy that does not say whom it speaks for makes nobody its friend.
func TestProxyThatDoesNotKnow(t *testing.T) {
	for _, header := range []string{"PROXY UNKNOWN\r\n", "PROXY UNKNOWN 192.0.2.1 192.0.2.1 1 25\r\n", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"} {
		s, _ := testServer(t, &testPolicy{trusted: true})
		s.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
		conn := &scriptConn{from: netip.MustParseAddrPort("192.0.2.1:99"), pieces: [][]byte{[]byte(header), []byte("HELO x.example\r\n"), []byte("MAIL FROM:<>\r\n"), []byte("RCPT TO:<x@far.example>\r\n")}}
		s.Serve(t.Context(), conn, &Port{})
		if said := conn.out.String(); !strings.Contains(said, "550 5.7.1 relaying denied") {
			t.Errorf("%q: %q", header, said)
		}
	}
}
