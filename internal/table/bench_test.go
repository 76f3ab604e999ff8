package table

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

const million = 1_000_000

// millionFile is a table of a million users in a thousand domains.
func millionFile(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "virtusertable")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range million {
		fmt.Fprintf(w, "user-%d@host-%d.example.com\tmailbox-%d\n", i, i/1000, i)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	f.Close()
	os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)) // it would be too young
	return path
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkMillion(b *testing.B) {
	path := millionFile(b)
	spec := Spec{Group: domainOf}
	b.Run("read", func(b *testing.B) {
		var m *Map
		before := heap()
		for b.Loop() {
			m = Open(path, spec, FileOptions{})
			if n, err := m.Len(); n != million || err != nil {
				b.Fatal(n, err)
			}
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-kept")
		runtime.KeepAlive(m)
	})
	m := Open(path, spec, FileOptions{})
	keys := make([]string, 1<<16)
	for i := range keys {
		n := i * 15485863 % million
		keys[i] = fmt.Sprintf("user-%d@host-%d.example.com", n, n/1000)
	}
	b.Run("found", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, ok, err := m.Lookup(keys[i%len(keys)]); !ok || err != nil {
				b.Fatal(keys[i%len(keys)], ok, err)
			}
		}
	})
	b.Run("place", func(b *testing.B) { // with the number of the line
		for i := 0; b.Loop(); i++ {
			if e, _, _ := m.Lookup(keys[i%len(keys)]); e.Line() == 0 {
				b.Fatal(keys[i%len(keys)])
			}
		}
	})
	b.Run("missing", func(b *testing.B) {
		for b.Loop() {
			if _, ok, err := m.Lookup("nobody@host-1.example.com"); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}
