package access

import (
	"net/netip"
	"strings"
	"testing"

	"postrider/internal/address"
)

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("ClientRate: 1\nClientConn:IPv6:2001:db8 2\n")
	f.Add("a.example \"550 5.7.1 x\"\r\nIPv6:::1/128 OK\n[IPv6:::1] OK\n1 ERROR:5.7.1:\"450\"")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := Parse("f", []byte(text))
		if err != nil {
			if strings.ContainsAny(strings.ReplaceAll(err.Error(), "\n", ""), "\r\x00\x1b") {
				t.Fatalf("unclean: %q", err)
			}
			return
		}
		if table.Len() > strings.Count(text, "\n")+1 {
			t.Fatalf("%d lines", table.Len())
		}
		check := func(r Rule) {
			if r.Action < None || r.Action > Quarantine || r.Action != None && r.Key == "" || strings.ContainsAny(r.Text+r.Key, "\r\n\x00") {
				t.Fatalf("%+v", r)
			}
			if r.Status != nil && (r.Status.Reply() < 400 || r.Status.Reply() > 599 || strings.ContainsAny(r.Status.Text(), "\r\n\x00")) {
				t.Fatalf("%s", r.Status.Diagnostic())
			}
		}
		for _, ip := range []string{"192.168.7.9", "2001:db8:bad::1"} {
			check(table.Client("host.example.com", netip.MustParseAddr(ip)))
		}
		for _, s := range []string{"a+b@example.org", "a", "user@[192.0.2.1]"} {
			a, _ := address.Parse(s)
			check(table.Sender(a))
			check(table.Recipient(a, true))
		}
	})
}
