package route

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"postrider/internal/config"
)

func BenchmarkListOf100000(b *testing.B) {
	var text strings.Builder
	text.WriteString("owner-list: alice\nlist: alice")
	for i := range 100_000 {
		fmt.Fprintf(&text, ",\n subscriber-%d@host-%d.example.com", i, i%1000)
	}
	path := filepath.Join(b.TempDir(), "aliases")
	writeOld(b, path, text.String())
	r := router(system(func(c *config.Config) { c.Aliases = []string{path} }))
	list := parse("list")
	b.Run("expand", func(b *testing.B) {
		for b.Loop() {
			if d := r.Route(list); len(d.Members) != 100_001 {
				b.Fatal(d)
			}
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if d := r.Check(list); d.Kind != Expand {
				b.Fatal(d)
			}
		}
	})
	member := Member{Address: "subscriber-5@host-5.example.com"}
	b.Run("member", func(b *testing.B) {
		for b.Loop() {
			r.Final(member)
		}
	})
}
