package address

import (
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	cases := []struct{ name, in, want, rest, err string }{
		{"a mailbox", "<joe@us>", "joe@us", "", ""},
		{"parameters follow", "<joe@us> SIZE=1", "joe@us", " SIZE=1", ""},
		{"the null path", "<>", "", "", ""},
		{"the null path with parameters", "<> BODY=8BITMIME", "", " BODY=8BITMIME", ""},
		{"postmaster alone", "<Postmaster>", "Postmaster", "", ""},
		{"a route is ignored", "<@us,@victim:user@victim>", "user@victim", "", ""},
		{"a route of one", "<@us:user@victim>", "user@victim", "", ""},
		{"a quoted >", `<"a> b"@us> X`, `"a> b"@us`, " X", ""},
		{"a literal", "<u@[IPv6:::1]>", "u@[IPv6:::1]", "", ""},
		{"a root dot is dropped", "<u@us.>", "u@us", "", ""},
		{"UTF-8", "<ü@example.org>", "ü@example.org", "", ""},
		{"what follows is not read", "<joe@us>\"(<", "joe@us", "\"(<", ""},
		{"a long line after it", "<joe@us>" + strings.Repeat("x", 5000), "joe@us", strings.Repeat("x", 5000), ""},
		{"no brackets", "joe@us", "", "", "does not begin"},
		{"a blank first", " <joe@us>", "", "", "does not begin"},
		{"nothing", "", "", "", "does not begin"},
		{"no end", "<joe@us", "", "", "without >"},
		{"two beginnings", "<<joe@us>>", "", "", "without >"},
		{"a blank inside", "< >", "", "", "blank inside"},
		{"a blank before >", "<joe@us >", "", "", "blank inside"},
		{"a comment", "<joe(x)@us>", "", "", "misplaced special"},
		{"a second command", "<joe@us\r\nRCPT TO:<x@us>", "", "", "source route"},
		{"a bare CR", "<joe\r@us>", "", "", "blank inside"},
		{"a NUL", "<joe\x00@us>", "", "", "invalid character"},
		{"a route without address", "<@us:>", "", "", "missing localpart"},
		{"a route alone", "<@us>", "", "", "missing localpart"},
		{"a route without @", "<us:joe@us>", "", "", "source route"},
		{"a route with a hole", "<@a,,@b:joe@us>", "", "", "source route"},
		{"a route that ends in a comma", "<@a,:joe@us>", "", "", "source route"},
		{"a route through nonsense", "<@a%b:joe@us>", "", "", "source route"},
		{"two routes", "<@a:@b:joe@us>", "", "", "source route"},
		{"a comma", "<joe@us,x@us>", "", "", "without >"},
		{"an open quote", `<"joe@us>`, "", "", "quoted string without end"},
		{"a path that is too long", "<" + strings.Repeat("@a,", 500) + "@b:joe@us>", "", "", "too long"},
		{"a quoted path that is too long", `<"` + strings.Repeat("a", 5000), "", "", "too long"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, rest, err := ParsePath(c.in)
			checkResult(t, a, err, c.want, c.err)
			if err != nil {
				c.rest = c.in
			}
			if rest != c.rest {
				t.Errorf("rest %q, want %q", rest, c.rest)
			}
		})
	}
}
