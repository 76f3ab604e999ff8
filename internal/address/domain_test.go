package address

import (
	"strings"
	"testing"
)

func TestASCIIDomain(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"lower case", "Example.ORG", "example.org"},
		{"a root dot is dropped", "example.org.", "example.org"},
		{"an A-label stays", "XN--bcher-kva.example", "xn--bcher-kva.example"},
		{"a literal is no domain", "[192.0.2.1]", ""},
		{"an IPv4 address is no domain", "192.0.2.1", ""},
		{"a fullwidth IPv4 address neither", "１92.0.2.1", ""},
		{"nothing is no domain", "", ""},
		{"a dot is no domain", ".", ""},
		{"an ideographic full stop is no dot", "a\u3002b", ""},
		{"an underscore beside UTF-8", "_ü.example", ""},
		{"too long", strings.Repeat("ü", 10000), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ASCIIDomain(c.in)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestValidHostname(t *testing.T) {
	cases := []struct {
		name, in string
		want     bool
	}{
		{"a name", "mail.example.org", true},
		{"one label", "localhost", true},
		{"digits first", "3com.example", true},
		{"three numbers", "1.2.3", true},
		{"five numbers", "1.2.3.4.5", true},
		{"four numbers are an address", "1.2.3.4", false},
		{"an underscore", "_dmarc.x", true},
		{"63 octets", strings.Repeat("a", 63), true},
		{"64 octets", strings.Repeat("a", 64), false},
		{"256 octets", strings.Repeat("a.", 127) + "aa", false},
		{"a root dot", "a.", false},
		{"a hole", "a..b", false},
		{"a dash at the end", "a-.b", false},
		{"UTF-8", "ü.example", false},
		{"a line end", "a\n", false},
		{"nothing", "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := ValidHostname(c.in); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
