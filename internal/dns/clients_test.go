package dns

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"postrider/internal/status"
)

const clientZone = `
	1.2.0.192.in-addr.arpa.    PTR Mail.Example.
	2.2.0.192.in-addr.arpa.    PTR a.example.
	2.2.0.192.in-addr.arpa.    PTR b.example.
	3.2.0.192.in-addr.arpa.    PTR bad\000name.example.
	4.2.0.192.in-addr.arpa.    CNAME 4.0/29.2.0.192.in-addr.arpa.
	4.0/29.2.0.192.in-addr.arpa. PTR net.example.
	5.2.0.192.in-addr.arpa.    TXT "no name"
	1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR six.example.
	$SERVFAIL 9.2.0.192.in-addr.arpa.
	2.0.0.127.bl.example.      A 127.0.0.2
	2.0.0.127.bl.example.      A 127.0.0.4
	2.0.0.127.bl.example.      TXT "listed, " "see https://bl.example/"
	odd.example.               TXT "a\010b\200\"q\" back\\slash"
	localhost.example.         A 192.0.2.7
	$TIMEOUT slow.example.
`

func TestNames(t *testing.T) {
	r := Zone(clientZone)
	for _, c := range []struct{ name, addr, want string }{
		{"a name in lower case without its dot", "192.0.2.1", "mail.example"},
		{"all names", "192.0.2.2", "a.example b.example"},
		{"a mapped address is the address", "::ffff:192.0.2.1", "mail.example"},
		{"IPv6 by its nibbles", "2001:db8::1", "six.example"},
		{"a zone of the address is no part of it", "2001:db8::1%eth0", "six.example"},
		{"a delegated network's alias is followed (RFC 2317)", "192.0.2.4", "net.example"},
		{"what is no host name is none", "192.0.2.3", "550 5.1.2 192.0.2.3: no PTR record holds a host name"},
		{"no such record is not found", "192.0.2.5", "550 5.1.2 192.0.2.5: no name in DNS"},
		{"no such name is not found", "192.0.2.6", "550 5.1.2 192.0.2.6: no name in DNS"},
		{"a failing server is temporary", "192.0.2.9", "451 4.4.3 DNS lookup of 192.0.2.9 failed"},
	} {
		list, err := r.Names(context.Background(), netip.MustParseAddr(c.addr))
		if got := outcome(list, err); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.addr, got, c.want)
		}
	}
	if _, err := r.Names(context.Background(), netip.Addr{}); err == nil {
		t.Error("no address has names")
	}
}

func TestNamesAreThoseOfTheHostsFileFirst(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hosts"), "192.0.2.1 mail.example mail\n")
	write(t, filepath.Join(dir, "resolv.conf"), "nameserver [::1]:1\noptions timeout:1 attempts:1") // nobody is there
	r, err := system(filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.Names(context.Background(), netip.MustParseAddr("::ffff:192.0.2.1"))
	if got := outcome(list, err); got != "mail.example mail" {
		t.Error(got)
	}
	if list := r.KnownNames(netip.MustParseAddr("192.0.2.2")); len(list) > 0 {
		t.Errorf("known: %v", list)
	}
	if list, err := r.Names(context.Background(), netip.MustParseAddr("192.0.2.2")); err == nil {
		t.Errorf("nobody could be asked: %v", list)
	}
	if list := Zone("").KnownNames(netip.MustParseAddr("127.0.0.1")); list != nil {
		t.Errorf("a zone has a hosts file: %v", list)
	}
}

func TestA(t *testing.T) {
	r := Zone(clientZone)
	for _, c := range []struct{ name, host, want string }{
		{"what a list says", "2.0.0.127.bl.example", "127.0.0.2 127.0.0.4"},
		{"nothing said is not found", "3.0.0.127.bl.example", "550 5.1.2 3.0.0.127.bl.example: no A record"},
		{"no answer is temporary", "slow.example", "451 4.4.3 DNS lookup of slow.example failed"},
	} {
		list, err := r.A(context.Background(), c.host)
		if got := outcome(list, err); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	for _, bad := range []string{"", "127.0.0.1", "a..b", "a\x00b", strings.Repeat("a.", 127) + "example"} {
		if list, err := r.A(context.Background(), bad); err == nil || status.From(err).Reply() != 550 {
			t.Errorf("%q was looked up: %v, %v", bad, list, err)
		}
	}
}

func TestTXT(t *testing.T) {
	r := Zone(clientZone)
	for _, c := range []struct{ name, host, want string }{
		{"the strings of a record are one text", "2.0.0.127.bl.example", `["listed, see https://bl.example/"]`},
		{"bytes are what they are", "odd.example", `["a\nb\xc8\"q\" back\\slash"]`},
		{"none is not found", "none.example", "550 5.1.2 none.example: no TXT record"},
	} {
		list, err := r.TXT(context.Background(), c.host)
		got := fmt.Sprintf("%q", list)
		if err != nil {
			got = outcome(list, err)
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestWhatIsSaidOfClientsIsCapped(t *testing.T) {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, "1.2.0.192.in-addr.arpa. PTR h%d.example.\n", i)
		fmt.Fprintf(&b, "big.example. TXT \"%d\"", i)
		for range 40 {
			fmt.Fprintf(&b, " %q", strings.Repeat("x", 250))
		}
		b.WriteString("\n")
	}
	r := Zone(b.String())
	if list, err := r.Names(context.Background(), netip.MustParseAddr("192.0.2.1")); err != nil || len(list) != maxNames {
		t.Errorf("%d names, %v", len(list), err)
	}
	list, err := r.TXT(context.Background(), "big.example")
	if err != nil || len(list) != maxTexts || len(list[0]) != maxText {
		t.Errorf("%d texts, %v", len(list), err)
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\\010b")
	f.Add("\\")
	f.Add("\\25")
	f.Fuzz(func(t *testing.T, s string) {
		if got := text([]string{s, s}); len(got) > 2*len(s) || len(got) > maxText {
			t.Fatalf("%d bytes of %d", len(got), len(s))
		}
	})
}
