package dns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"postrider/internal/status"
)

const testZone = `
	$ORIGIN example.
	one          MX 10 mx.one
	one          MX 5  MX2.one
	mx.one       A 192.0.2.1
	mx.one       AAAA 2001:db8::1
	null         MX 0 .
	four         A 192.0.2.4
	text         TXT "no mail here"
	alias        CNAME one
	hostalias    CNAME mx.one
	dangling     CNAME nowhere
	a.loop       CNAME b.loop
	b.loop       CNAME a.loop
	odd          MX 10 a\032b.example.
	mixed        MX 10 bad\000name
	mixed        MX 20 mx.one
	xn--bcher-kva A 192.0.2.5
	half         A 192.0.2.6
	localhost.   A 192.0.2.66
	$SERVFAIL    broken.example.
	$SERVFAIL    half.example. AAAA
	$SERVFAIL    six.example. AAAA
	$TIMEOUT     slow.example. MX
	six          TXT "the other family is broken"
`

// outcome is the answer, or the reply and enhanced code of the error, as text.
func outcome[T any](list []T, err error) string {
	if err == nil {
		return strings.Trim(fmt.Sprint(list), "[]")
	}
	s := status.From(err)
	if errors.Is(err, ErrNotFound) != (s.Class() == status.Permanent) {
		return "ErrNotFound and permanence disagree: " + s.Diagnostic()
	}
	return s.Diagnostic()
}

func TestMX(t *testing.T) {
	r := Zone(testZone)
	chain := longChain()
	for _, c := range []struct{ name, domain, want string }{
		{"exchangers are sorted by preference and in lower case", "One.Example", "{mx2.one.example 5} {mx.one.example 10}"},
		{"a final dot is allowed", "one.example.", "{mx2.one.example 5} {mx.one.example 10}"},
		{"a null MX has no host", "null.example", "{ 0}"},
		{"an alias leads to its target's exchangers", "alias.example", "{mx2.one.example 5} {mx.one.example 10}"},
		{"no MX record is not found", "four.example", "550 5.1.2 four.example: no MX record"},
		{"an alias to nothing is not found", "dangling.example", "550 5.1.2 dangling.example: no MX record"},
		{"no domain is not found", "nowhere.example", "550 5.1.2 nowhere.example: no MX record"},
		{"localhost has no exchanger", "localhost", "550 5.1.2 localhost: no MX record"},
		{"aliases in a circle are temporary", "a.loop.example", "451 4.4.3 DNS lookup of a.loop.example failed"},
		{"a failing server is temporary", "broken.example", "451 4.4.3 DNS lookup of broken.example failed"},
		{"no answer in time is temporary", "slow.example", "451 4.4.3 DNS lookup of slow.example failed"},
		{"an exchanger that is no host name is dropped", "mixed.example", "{mx.one.example 20}"},
		{"only bad exchangers are temporary", "odd.example", "451 4.4.3 DNS lookup of odd.example failed"},
	} {
		list, err := r.MX(context.Background(), c.domain)
		if got := outcome(list, err); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.domain, got, c.want)
		}
	}
	list, err := Zone(chain).MX(context.Background(), "c8.example")
	if got := outcome(list, err); got != "{mx.example 10}" {
		t.Errorf("eight aliases in a row: %s", got)
	}
	list, err = Zone(chain).MX(context.Background(), "c9.example")
	if got := outcome(list, err); got != "451 4.4.3 DNS lookup of c9.example failed" {
		t.Errorf("nine aliases in a row: %s", got)
	}
}

// longChain is a zone where cN.example is N aliases away from c0.example.
func longChain() string {
	var b strings.Builder
	b.WriteString("c0.example. MX 10 mx.example.\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "c%d.example. CNAME c%d.example.\n", i, i-1)
	}
	return b.String()
}

func TestAddrs(t *testing.T) {
	r := Zone(testZone)
	for _, c := range []struct{ name, host, want string }{
		{"both families are returned", "mx.one.example", "192.0.2.1 2001:db8::1"},
		{"an alias is followed", "hostalias.example", "192.0.2.1 2001:db8::1"},
		{"an address is itself", "192.0.2.9", "192.0.2.9"},
		{"a mapped address is the address", "::ffff:192.0.2.9", "192.0.2.9"},
		{"Unicode is asked for in ASCII", "bücher.example", "192.0.2.5"},
		{"localhost is the loopback whatever DNS says", "localhost", "127.0.0.1 ::1"},
		{"what is below localhost too", "a.LOCALHOST.", "127.0.0.1 ::1"},
		{"one family is enough", "half.example", "192.0.2.6"},
		{"a failing family is temporary when the other has none", "six.example", "451 4.4.3 DNS lookup of six.example failed"},
		{"no address is not found", "text.example", "550 5.1.2 text.example: host not found"},
		{"no host is not found", "nowhere.example", "550 5.1.2 nowhere.example: host not found"},
		{"a failing server is temporary", "broken.example", "451 4.4.3 DNS lookup of broken.example failed"},
	} {
		list, err := r.Addrs(context.Background(), c.host)
		if got := outcome(list, err); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.host, got, c.want)
		}
	}
	for _, bad := range []string{"", ".", "a..b", "a b", "-a.example", strings.Repeat("a.", 127) + "example", "a\x00b", "a/b"} {
		list, err := r.Addrs(context.Background(), bad)
		if s := status.From(err); err == nil || s.Reply() != 550 {
			t.Errorf("%q was looked up: %v, %v", bad, list, err)
		}
	}
}

func TestASingleLabelIsCompletedFromTheSearchList(t *testing.T) {
	r := Zone("mail.corp.example. A 192.0.2.1\nmail. A 192.0.2.2\nwww. A 192.0.2.3\nsub.www. A 192.0.2.4").(*resolver)
	r.search = func() []string { return []string{"corp.example"} }
	for host, want := range map[string]string{
		"mail":  "192.0.2.1",
		"mail.": "192.0.2.2",
		"www":   "192.0.2.3", "sub.www": "192.0.2.4",
		"nope": "550 5.1.2 nope: host not found",
	} {
		list, err := r.Addrs(context.Background(), host)
		if got := outcome(list, err); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestAnswersAreCapped(t *testing.T) {
	var b strings.Builder
	for i := 0; i < 5000; i++ {
		fmt.Fprintf(&b, "big.example. MX %d h%d.example.\n", 5000-i, i)
		fmt.Fprintf(&b, "big.example. A 10.0.%d.%d\n", i/256, i%256)
		fmt.Fprintf(&b, "big.example. AAAA 2001:db8::%x\n", i)
	}
	r := Zone(b.String())
	list, err := r.MX(context.Background(), "big.example")
	if err != nil || len(list) != MaxMX || list[0] != (MX{"h4999.example", 1}) {
		t.Errorf("MX: %d, %v", len(list), err)
	}
	addrs, err := r.Addrs(context.Background(), "big.example")
	if err != nil || len(addrs) != MaxAddrs || !addrs[0].Is4() || !addrs[MaxAddrs-1].Is6() {
		t.Errorf("addresses: %d, %v", len(addrs), err)
	}
}

func TestZonePanicsOnMalformedText(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Zone("example. MX ten mx")
}
