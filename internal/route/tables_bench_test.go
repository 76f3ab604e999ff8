package route

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"postrider/internal/config"
)

const million = 1_000_000

// millionUsers is a virtusertable of a million users in a thousand domains.
func millionUsers(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "virtusertable")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range million {
		fmt.Fprintf(w, "user-%d@host-%d.example.com\tmailbox-%d@example.net\n", i, i/1000, i)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	f.Close()
	return path
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

func BenchmarkAMillionVirtualUsers(b *testing.B) {
	path := millionUsers(b)
	conf := system(func(c *config.Config) { c.Tables.Virtusertable = path })
	b.Run("read", func(b *testing.B) {
		before := heap()
		var r *Router
		for b.Loop() {
			r = router(conf)
			if d := r.Route(parse("x@example.org")); d.Kind != Refuse || len(r.Tables()) != 1 {
				b.Fatal(d)
			}
		}
		b.ReportMetric(heap()-before, "MiB-kept")
		runtime.KeepAlive(r)
	})
	r := router(conf)
	for name, rcpt := range map[string]string{"known": "user-777777@host-777.example.com", "unknown": "nobody@host-777.example.com", "elsewhere": "x@example.org"} {
		a := parse(rcpt)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r.Check(a)
			}
		})
	}
	b.Run("place", func(b *testing.B) {
		for b.Loop() {
			if p, err := r.Place("host-777.example.com"); p != Virtual || err != nil {
				b.Fatal(p, err)
			}
		}
	})
}
