package queue

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postrider/internal/fsys"
)

// benchDir is where benchmarks write: a real disk, not a memory file system.
func benchDir(b *testing.B) string {
	base := os.Getenv("BENCH_DIR")
	if base == "" {
		base = "."
	}
	dir, err := os.MkdirTemp(base, "bench.")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	dir, _ = filepath.Abs(dir)
	return dir
}

var benchText = []byte("Subject: bench\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 56)) // 4 KiB

// writers runs fn b.N times from n goroutines.
func writers(b *testing.B, n int, fn func(i int64)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range n {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				fn(i)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 8, 50} {
		b.Run(fmt.Sprintf("writers=%d", n), func(b *testing.B) {
			s, err := Open(benchDir(b)+"/spool", Options{})
			if err != nil {
				b.Fatal(err)
			}
			writers(b, n, func(int64) {
				d, err := s.NewDraft(testEnvelope("bob@r.test"))
				if err != nil {
					b.Fatal(err)
				}
				d.Write(benchText)
				if _, err := d.Commit(); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkFloor is what the disk gives to anybody: create, write 4 KiB, fsync, rename.
func BenchmarkFloor(b *testing.B) {
	for _, n := range []int{1, 8, 50} {
		b.Run(fmt.Sprintf("writers=%d", n), func(b *testing.B) {
			dir, fs := benchDir(b), fsys.OS{}
			writers(b, n, func(i int64) {
				name := fmt.Sprintf("%s/%d", dir, i)
				f, err := fs.Create(name + ".tmp")
				if err != nil {
					b.Fatal(err)
				}
				f.Write(benchText)
				f.Sync()
				f.Close()
				if err := fs.Rename(name+".tmp", name); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// fill writes n queue files without making them durable. They have no checksum that fits, so in state New they
// cannot be claimed.
func fill(b testing.TB, s *Spool, n int, state State) {
	e := testEnvelope("bob@r.test")
	text := append(appendEnvelope(nil, &e), benchText[:1000]...)
	due := time.Now().Add(time.Hour)
	for range n {
		id := newID(time.Now())
		name := fileName(id, int64(len(text)))
		if state == Cur {
			name = dueName(id, int64(len(text)), due)
		}
		if err := os.WriteFile(s.path(state.dir(), name), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	for _, state := range []State{New, Cur} {
		b.Run("10000/"+state.String(), func(b *testing.B) {
			s, err := Open(benchDir(b)+"/spool", Options{})
			if err != nil {
				b.Fatal(err)
			}
			fill(b, s, 10_000, state)
			for b.Loop() {
				n := 0
				if err := s.List(New|Cur|Held, func(m *Message) error { n++; return nil }); err != nil || n != 10_000 {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkScan(b *testing.B) {
	s, err := Open(benchDir(b)+"/spool", Options{})
	if err != nil {
		b.Fatal(err)
	}
	fill(b, s, 100_000, Cur)
	now := time.Now()
	for b.Loop() {
		n := 0
		err := s.Scan(New|Cur, func(e Entry) error {
			if !e.Due.After(now) {
				n++
			}
			return nil
		})
		if err != nil || n != 0 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// plainLocks takes locks by system calls alone, to measure what a lock through os.File costs beside them.
type plainLocks struct{ fsys.OS }

type plainLock struct{ fsys.File }

func (l plainLock) Release() error { return l.Close() }

func (fs plainLocks) TryLock(name string, _ bool) (fsys.Lock, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	return plainLock{f}, f.Lock()
}

func BenchmarkClaim(b *testing.B) {
	const n = 10_000
	for _, bc := range []struct {
		name string
		fs   fsys.FS
	}{{"flock", fsys.OS{}}, {"plain", plainLocks{}}} {
		b.Run(fmt.Sprintf("%d/%s", n, bc.name), func(b *testing.B) {
			s, err := Open(benchDir(b)+"/spool", Options{FS: bc.fs})
			if err != nil {
				b.Fatal(err)
			}
			fill(b, s, n, Cur)
			for b.Loop() {
				err := s.Scan(Cur, func(e Entry) error {
					c, err := s.Claim(e)
					if err != nil {
						return err
					}
					return c.Close()
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n*b.N), "µs/claim")
		})
	}
}

func BenchmarkMeasure(b *testing.B) {
	text := bytes.Repeat(benchText, 16)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var m measure
		m.write(text)
	}
}
