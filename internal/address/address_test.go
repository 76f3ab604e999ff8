package address

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", 256)
	cases := []struct{ name, in, want, err string }{
		{"a plain address", "joe@example.org", "joe@example.org", ""},
		{"a bare localpart", "joe", "joe", ""},
		{"a leading dash is data", "-oQ/tmp@us.test", "-oQ/tmp@us.test", ""},
		{"a percent sign is data", "user%victim@us", "user%victim@us", ""},
		{"a bang path is a localpart", "us!victim!user", "us!victim!user", ""},
		{"a pipe is a localpart", "|id", "|id", ""},
		{"a quoted @ stays quoted", `"user@evil"@us`, `"user@evil"@us`, ""},
		{"needless quotes are dropped", `"joe"@us`, "joe@us", ""},
		{"needless backslashes are dropped", `"j\oe\@x"@us`, `"joe@x"@us`, ""},
		{"a quoted quote keeps its backslash", `"a\"b\\c"@us`, `"a\"b\\c"@us`, ""},
		{"a quoted blank is kept", `"a b"@us`, `"a b"@us`, ""},
		{"an empty quoted localpart has a domain", `""@us`, `""@us`, ""},
		{"a quoted dot is kept", `".."@us`, `".."@us`, ""},
		{"a quoted comma, bracket and angle are kept", `"a,b<c>[d]"@us`, `"a,b<c>[d]"@us`, ""},
		{"a root dot is dropped", "user@us.", "user@us", ""},
		{"the case is kept", "User@US", "User@US", ""},
		{"an underscore in a host is taken", "u@my_host", "u@my_host", ""},
		{"a host of digits is taken", "root@123456789012", "root@123456789012", ""},
		{"an IPv4 literal", "user@[192.0.2.1]", "user@[192.0.2.1]", ""},
		{"an IPv6 literal", "user@[IPv6:2001:db8::1]", "user@[IPv6:2001:db8::1]", ""},
		{"an IPv6 literal in another case", "user@[ipv6:::1]", "user@[ipv6:::1]", ""},
		{"a localpart longer than 64", strings.Repeat("a", 200) + "@us", strings.Repeat("a", 200) + "@us", ""},
		{"nothing", "", "", "empty address"},
		{"an empty quoted localpart alone", `""`, "", "missing localpart"},
		{"no localpart", "@us", "", "missing localpart"},
		{"no domain", "user@", "", "missing domain"},
		{"two @", "user@evil@us", "", "more than one @"},
		{"two @ together", "foo@@bar", "", "more than one @"},
		{"a percent sign in a domain", "user@victim%us", "", "invalid domain"},
		{"two root dots", "user@us..", "", "invalid domain"},
		{"a root dot alone", "user@.", "", "invalid domain"},
		{"a leading dot in the domain", "user@.us", "", "invalid domain"},
		{"a label that begins with a dash", "user@-us", "", "invalid domain"},
		{"a label of 64", "user@" + strings.Repeat("a", 64), "", "invalid domain"},
		{"an address without brackets", "user@192.0.2.1", "", "invalid domain"},
		{"an empty literal", "user@[]", "", "domain literal"},
		{"a literal of a name", "user@[us]", "", "domain literal"},
		{"an IPv6 literal without tag", "user@[::1]", "", "domain literal"},
		{"an IPv4 literal with tag", "user@[IPv6:192.0.2.1]", "", "domain literal"},
		{"a literal with a zone", "user@[IPv6:fe80::1%eth0]", "", "domain literal"},
		{"an open literal", "user@[192.0.2.1", "", "domain literal"},
		{"a literal and more", "user@[192.0.2.1]x", "", "invalid domain"},
		{"a dot first", ".user@us", "", "misplaced dot"},
		{"a dot last", "user.@us", "", "misplaced dot"},
		{"two dots", "us..er@us", "", "misplaced dot"},
		{"a quoted string beside a word", `"a"b@us`, "", "misplaced dot or quote"},
		{"an open quote", `"user@us`, "", "without end"},
		{"a blank", "us er@us", "", "blank inside"},
		{"a blank at the end", "user@us ", "", "blank inside"},
		{"brackets", "<user@us>", "", "misplaced special"},
		{"a route", "@a,@b:user@us", "", "misplaced special"},
		{"a comment", "user(x)@us", "", "misplaced special"},
		{"a backslash outside quotes", `\user@us`, "", "misplaced special"},
		{"a NUL", "us\x00er@us", "", "invalid character"},
		{"a NUL in quotes", "\"us\x00er\"@us", "", "invalid character"},
		{"a line end in quotes", "\"us\r\n er\"@us", "", "invalid character"},
		{"an escaped line end", "\"us\\\ner\"@us", "", "invalid character"},
		{"a tab in quotes", "\"us\ter\"@us", "", "invalid character"},
		{"a line end", "user@us\nRCPT", "", "blank inside"},
		{"a control in the domain", "user@us\x01", "", "invalid domain"},
		{"a localpart that is too long", long + "@us", "", "too long"},
		{"a bare localpart that is too long", long, "", "too long"},
		{"a domain that is too long", "u@" + strings.Repeat("a.", 130) + "us", "", "invalid domain"},
		{"an input that is too long", strings.Repeat("a", 1<<20), "", "too long"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, err := Parse(c.in)
			checkResult(t, a, err, c.want, c.err)
		})
	}
}

func TestParseUTF8(t *testing.T) {
	cases := []struct{ name, in, want, err string }{
		{"a localpart", "jürgen@example.org", "jürgen@example.org", ""},
		{"a quoted localpart", `"jürgen @"@us`, `"jürgen @"@us`, ""},
		{"a no-break space in quotes", "\"a\u00a0b\"@us", "\"a\u00a0b\"@us", ""},
		{"a no-break space without", "a\u00a0b@us", "", "invalid character"},
		{"a no-break space in the domain", "user@us\u00a0", "", "invalid domain"},
		{"a C1 control", "a\u0085b@us", "", "invalid character"},
		{"a line separator in quotes", "\"a\u2028b\"@us", "", "invalid character"},
		{"Latin-1", "j\xfcrgen@us", "", "invalid character"},
		{"half a rune in quotes", "\"j\xc3\"@us", "", "invalid character"},
		{"an overlong slash", "\xc0\xaf@us", "", "invalid character"},
		{"a surrogate", "\xed\xa0\x80@us", "", "invalid character"},
		{"an ideographic full stop", "user@us\u3002test", "", "invalid domain"},
		{"an ideographic full stop as root dot", "user@bücher\u3002", "", "invalid domain"},
		{"two root dots", "user@bücher..", "", "invalid domain"},
		{"a label that IDNA refuses", "user@\u0301x.example", "", "invalid domain"},
		{"a label too long as ASCII", "user@" + strings.Repeat("ü", 60) + ".example", "", "invalid domain"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, err := Parse(c.in)
			checkResult(t, a, err, c.want, c.err)
			if err == nil && !a.NeedsUTF8() {
				t.Errorf("NeedsUTF8(%q) = false", a)
			}
		})
	}
}

// checkResult compares an outcome with the wire form or the piece of an error that is wanted.
func checkResult(t *testing.T, a Address, err error, want, wantErr string) {
	t.Helper()
	switch {
	case wantErr == "" && err != nil:
		t.Errorf("error %q, want %q", err, want)
	case wantErr == "" && a.String() != want:
		t.Errorf("got %q, want %q", a, want)
	case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)):
		t.Errorf("got %q, error %v, want error %q", a, err, wantErr)
	case wantErr != "" && !a.IsNull():
		t.Errorf("an address %q with an error", a)
	}
}

func must(t *testing.T, s string) Address {
	t.Helper()
	a, err := Parse(s)
	if err != nil {
		t.Fatalf("Parse(%q): %v", s, err)
	}
	return a
}

func TestParts(t *testing.T) {
	cases := []struct{ in, local, unquoted, domain, literal string }{
		{"joe@example.org", "joe", "joe", "example.org", ""},
		{"joe", "joe", "joe", "", ""},
		{`"a \"b\" @c"@us`, `"a \"b\" @c"`, `a "b" @c`, "us", ""},
		{`""@us`, `""`, "", "us", ""},
		{"u@[192.0.2.1]", "u", "u", "[192.0.2.1]", "192.0.2.1"},
		{"u@[IPv6:2001:db8::1]", "u", "u", "[IPv6:2001:db8::1]", "2001:db8::1"},
		{"u@[IPv6:::ffff:192.0.2.1]", "u", "u", "[IPv6:::ffff:192.0.2.1]", "192.0.2.1"},
	}
	for _, c := range cases {
		a := must(t, c.in)
		ip, ok := a.Literal()
		if a.Local() != c.local || a.Unquoted() != c.unquoted || a.Domain() != c.domain || ok != (c.literal != "") ||
			ok && ip.String() != c.literal {
			t.Errorf("%s: %q %q %q %v", c.in, a.Local(), a.Unquoted(), a.Domain(), ip)
		}
	}
	null := Address{}
	if !null.IsNull() || null.String()+null.Local()+null.Unquoted()+null.Domain()+null.Key(true) != "" || null.NeedsUTF8() {
		t.Error("the zero value is not the null path")
	}
}

func TestKey(t *testing.T) {
	same := []struct {
		name, a, b string
		fold, want bool
	}{
		{"the case of a domain does not count", "u@US", "u@us", false, true},
		{"the case of a localpart counts", "U@us", "u@us", false, false},
		{"the case of a localpart may not count", "U@us", "u@us", true, true},
		{"a root dot does not count", "u@us.", "u@us", false, true},
		{"quotes do not count", `"u"@us`, "u@us", false, true},
		{"literals compare as numbers", "u@[IPv6:::FFFF:192.0.2.1]", "u@[192.0.2.1]", false, true},
		{"a quoted @ is no separator", `"a@b"`, "a@b", false, false},
	}
	for _, c := range same {
		t.Run(c.name, func(t *testing.T) {
			a, b := must(t, c.a).Key(c.fold), must(t, c.b).Key(c.fold)
			if (a == b) != c.want {
				t.Errorf("keys %q and %q", a, b)
			}
		})
	}
}

func TestWithDomain(t *testing.T) {
	cases := []struct{ name, a, d, want string }{
		{"a bare address is completed", "joe", "example.org", "joe@example.org"},
		{"a quoted one keeps its quotes", `"a@b"`, "us", `"a@b"@us`},
		{"a literal is a domain", "joe", "[192.0.2.1]", "joe@[192.0.2.1]"},
		{"a root dot is dropped", "joe", "us.", "joe@us"},
		{"a complete one stays", "joe@us", "example.org", "joe@us"},
		{"no domain completes nothing", "joe", "us>\r\nRCPT", "joe"},
		{"an empty one neither", "joe", "", "joe"},
		{"what gets too long stays", strings.Repeat("a", 250), strings.Repeat("b.", 60) + "us", strings.Repeat("a", 250)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			checkResult(t, must(t, c.a).WithDomain(c.d), nil, c.want, "")
		})
	}
	if (Address{}).WithDomain("us") != (Address{}) {
		t.Error("the null path got a domain")
	}
}
