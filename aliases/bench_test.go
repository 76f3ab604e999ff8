package aliases

import (
	"fmt"
	"strings"
	"testing"

	"postrider/internal/address"
)

// list is a file with n subscribers, and an alias for it among 100,000.
func bigList(b *testing.B, n int) *Database {
	var text, list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "subscriber-%d@host-%d.example.org\n", i, i%1000)
	}
	dir := tempDir(b)
	for i := range 100_000 {
		fmt.Fprintf(&text, "name-%d: user-%d\n", i, i)
	}
	text.WriteString("list: :include:" + write(b, dir, "list", list.String()))
	local := func(a address.Address) bool { return strings.EqualFold(a.Domain(), "us.example") }
	return Open([]string{write(b, dir, "aliases", text.String())}, Options{Local: local})
}

func BenchmarkExpand100000(b *testing.B) {
	d := bigList(b, 100_000)
	for b.Loop() {
		if x, ok, err := d.Expand("list"); !ok || err != nil || len(x.Recipients) != 100_000 {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	d := bigList(b, 1)
	for b.Loop() {
		if _, ok, err := d.Lookup("name-77777"); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkParse100000(b *testing.B) {
	name := bigList(b, 1).files[0].name
	text, err := readText(name)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		parse(name, text, 0)
	}
}
