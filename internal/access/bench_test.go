package access

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"postrider/internal/address"
)

// large is a table of n lines of all kinds.
func large(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "Connect:10.%d.%d.%d REJECT\n", i>>16&255, i>>8&255, i&255)
		case 1:
			fmt.Fprintf(&b, "host%d.example.com\tERROR:5.7.1:550 not from there\n", i)
		case 2:
			fmt.Fprintf(&b, "From:user%d@example.org DISCARD\n", i)
		case 3:
			fmt.Fprintf(&b, "Connect:2001:db8:%x:%x::/64 OK\n", i>>8, i&255)
		}
	}
	return b.Bytes()
}

func BenchmarkParse100000(b *testing.B) {
	text := large(100_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse("access", text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	table := parse(b, string(large(100_000)))
	four, six := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("2001:db8:77:1::1")
	a, _ := address.Parse("somebody@mail.host.example.net")
	b.Run("client4", func(b *testing.B) {
		for b.Loop() {
			table.Client("mail.host.example.net", four)
		}
	})
	b.Run("client6", func(b *testing.B) {
		for b.Loop() {
			table.Client("", six)
		}
	})
	b.Run("sender", func(b *testing.B) {
		for b.Loop() {
			table.Sender(a)
		}
	})
}
