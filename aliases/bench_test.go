package aliases

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

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

// aliasFile is a file with n aliases, in $BENCH_DIR if that is set.
func aliasFile(b *testing.B, n int) string {
	dir := tempDir(b)
	if root := os.Getenv("BENCH_DIR"); root != "" {
		var err error
		if dir, err = os.MkdirTemp(root, "aliases"); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { os.RemoveAll(dir) })
	}
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "alias%d: labuser\n", i)
	}
	path := write(b, dir, "aliases", text.String())
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkNewaliases100k checks a file and makes its index, durably.
func BenchmarkNewaliases100k(b *testing.B) {
	path := aliasFile(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if rep, unwritten, err := Rebuild(path); err != nil || unwritten != nil || rep.Aliases != 100_000 {
			b.Fatal(rep.Summary, unwritten, err)
		}
	}
}

// BenchmarkLookup1M looks up names that are there and names that are not, by the index.
func BenchmarkLookup1M(b *testing.B) {
	const n = 1_000_000
	path := aliasFile(b, n)
	if _, unwritten, err := Rebuild(path); err != nil || unwritten != nil {
		b.Fatal(unwritten, err)
	}
	for _, c := range []struct {
		name, key string
		there     bool
	}{{"found", "alias", true}, {"none", "nobody", false}} {
		b.Run(c.name, func(b *testing.B) {
			d := Open([]string{path}, Options{})
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				if _, ok, err := d.Lookup(c.key + strconv.Itoa(i)); ok != c.there || err != nil {
					b.Fatal(ok, err)
				}
			}
			if !byIndex(d) {
				b.Fatal("the index is not used")
			}
		})
	}
}

// BenchmarkFirstLookup1M is the first lookup of a process.
func BenchmarkFirstLookup1M(b *testing.B) {
	path := aliasFile(b, 1_000_000)
	if _, unwritten, err := Rebuild(path); err != nil || unwritten != nil {
		b.Fatal(unwritten, err)
	}
	for b.Loop() {
		d := Open([]string{path}, Options{})
		if _, ok, err := d.Lookup("alias777777"); !ok || err != nil {
			b.Fatal(ok, err)
		}
		d.files[0].drop()
	}
}
