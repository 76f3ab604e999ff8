package dsn

import (
	"strings"
	"testing"

	"postrider/internal/status"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		name, in   string
		utf8, want string
	}{
		{"plain text stays", "550 no", "550 no", "550 no"},
		{"line ends are visible", "a\r\nX: b", `a\x0D\x0AX: b`, `a\x0D\x0AX: b`},
		{"beyond ASCII", "jörg", "jörg", `j\xC3\xB6rg`},
	} {
		if got := clean(c.in, true); got != c.utf8 {
			t.Errorf("%s: %q", c.name, got)
		}
		if got := clean(c.in, false); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	if got := clean(strings.Repeat("ü", 1000), false); len(got) > maxLine {
		t.Errorf("%d bytes", len(got))
	}
}

func TestDecodeXtext(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing to do", "QQ314159", "QQ314159"},
		{"a plus and a space", "a+2Bb+20c", "a+b c"},
		{"lower case is no xtext", "a+2bb", "a+2bb"},
		{"nor are other characters", "a+GG", "a+GG"},
		{"nor is a sign", "a++1", "a++1"},
		{"nor half a code", "a+2", "a+2"},
		{"any byte", "+0D+0A+FF", "\r\n\xff"},
	} {
		if got := decodeXtext(c.in); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestUnitext(t *testing.T) {
	for _, c := range []struct{ name, in, want, again string }{
		{"nothing to do", "a@b", "a@b", "a@b"},
		{"characters beyond ASCII", `j\x{F6}rg@b`, "jörg@b", `j\x{F6}rg@b`},
		{"already decoded", "jörg@b", "jörg@b", `j\x{F6}rg@b`},
		{"specials", `a\x{2B}b\x{5C}\x{3D}`, `a+b\=`, `a\x{2B}b\x{5C}\x{3D}`},
		{"what is none stays", `\x{}\x{G}\x{110000}\x{41`, `\x{}\x{G}\x{110000}\x{41`, `\x{5C}x{}\x{5C}x{G}\x{5C}x{110000}\x{5C}x{41`},
	} {
		if got := decodeUnitext(c.in); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
		if got := encodeUnitext(c.want); got != c.again {
			t.Errorf("%s: encoded %q", c.name, got)
		}
	}
	if long := strings.Repeat(`\x{`, 1000); decodeUnitext(long) != long {
		t.Error("an overlong text was touched")
	}
}

func TestRemoteName(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"name, address and port", "mx.example.net[192.0.2.7]:25", "mx.example.net"},
		{"an IPv6 address", "mx.example.net[2001:db8::1]:25", "mx.example.net"},
		{"an address alone", "[192.0.2.7]:25", "[192.0.2.7]"},
		{"an IPv6 address alone", "[2001:db8::1]:25", "[2001:db8::1]"},
		{"an address for a name", "192.0.2.7[192.0.2.7]:25", "[192.0.2.7]"},
		{"name and port", "mx.example.net:25", "mx.example.net"},
		{"a socket", "/run/dovecot/lmtp", ""},
		{"an open bracket", "[192.0.2.7", ""},
		{"hostile", "a b\r\n[x]", ""},
		{"nothing", "", ""},
	} {
		if got := remoteName(c.in); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestFold(t *testing.T) {
	word := strings.Repeat("x", 40)
	for _, c := range []struct{ name, value, want string }{
		{"short", "a  b", "F: a b\r\n"},
		{"broken at a blank", word + " " + word, "F: " + word + "\r\n " + word + "\r\n"},
		{"a long word stays whole", word + word + word, "F: " + word + word + word + "\r\n"},
	} {
		var b strings.Builder
		if fold(&b, "F", c.value); b.String() != c.want {
			t.Errorf("%s: %q", c.name, b.String())
		}
	}
}

// Whatever is put into a report, what comes out is one report: three parts, the same fields, lines that end in
// CRLF and fit the wire.
func FuzzWrite(f *testing.F) {
	f.Add("a@b", "c@d", "rfc822;c@d", "mx[192.0.2.1]:25", "no\r\nX-Forged: 1", "QQ+20", "Subject: x\r\n\r\nbody", "FULL", byte(0), false)
	f.Add("a@b\r\nBcc: x", "c\n\n--=_BOUNDARY--", "utf-8;\\x{F6}\\x{D}", "[::1]\r\n\x1b[2J", "\x00\xff\u202e", "+0D+0A", "Subject: =?utf-8?q?=0D=0A?=\n\n\r\r\n--=_BOUNDARY\r\n", "", byte(1), true)
	f.Add(`"a b"@c`, strings.Repeat("ü", 900), ";;", strings.Repeat("x", 2000), strings.Repeat(" ", 2000), "\t", "Message-ID: <a@b>\r\n y\r\n", "HDRS", byte(2), true)
	f.Fuzz(func(t *testing.T, to, address, orcpt, remote, text, envid, orig, ret string, action byte, utf8 bool) {
		action %= 5
		r := report(Rcpt{
			Address: address, ORcpt: orcpt, Remote: remote, LastAttempt: last, WillRetryUntil: end,
			Action: []Action{Failed, Delayed, Delivered, Relayed, Expanded}[action],
			Status: status.Remote("fuzz", []int{550, 450, 250, 250, 250}[action], text),
		}, expired)
		r.boundary = "" // one that nobody can guess
		r.To, r.EnvID, r.Ret, r.UTF8, r.Original = to, envid, ret, utf8, section(orig)
		checkReport(t, "fuzz", written(t, r), r)
	})
}

func TestORcpt(t *testing.T) {
	for _, c := range []struct{ address, want string }{
		{"list@us.example", "rfc822;list@us.example"},
		{"a+b=c@us.example", "rfc822;a+2Bb+3Dc@us.example"},
		{`"a b"@us.example`, `rfc822;"a+20b"@us.example`},
		{"jürgen+x@us.example", `utf-8;j\x{FC}rgen\x{2B}x@us.example`},
	} {
		got := ORcpt(c.address)
		r := Report{UTF8: true}
		if _, back := r.originalRecipient(got); got != c.want || back != c.address {
			t.Errorf("%s: %s, back %s", c.address, got, back)
		}
	}
}
