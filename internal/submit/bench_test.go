package submit

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"postrider/queue"
)

// bigMessage is a header with n recipients and a body of size bytes.
func bigMessage(rcpts int, size int64) io.Reader {
	var b strings.Builder
	for i := range rcpts {
		fmt.Fprintf(&b, "%s recipient-number-%06d@a-host.example.org", map[bool]string{true: "To:", false: ",\n"}[i == 0], i)
	}
	b.WriteString("\nSubject: big\n\n")
	return io.MultiReader(strings.NewReader(b.String()), &bodyReader{size})
}

// bodyReader is size bytes of lines of 72.
type bodyReader struct{ left int64 }

var bodyLine = append(bytes.Repeat([]byte{'x'}, 71), '\n')
var bodyLines = bytes.Repeat(bodyLine, 1024)

func (r *bodyReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.left)], bodyLines)
	r.left -= int64(n)
	return n, nil
}

func diskSpool(t testing.TB) *queue.Spool {
	s, err := queue.Open(t.TempDir()+"/spool", queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A large message to many recipients takes memory for its header and envelope and for a few blocks. What is
// measured is all that was allocated, as if there were no garbage collector: no peak can be higher.
func TestMemoryIsBounded(t *testing.T) {
	const bound = 24 << 20
	o := testOptions()
	o.Extract = true
	in, s := bigMessage(10_000, 64<<20), diskSpool(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := Submit(in, s, o)
	runtime.ReadMemStats(&after)
	if err != nil || len(res.Envelope.Rcpts) != 10_000 || res.Size < 64<<20 {
		t.Fatalf("%d recipients, %d bytes, %v", len(res.Envelope.Rcpts), res.Size, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > bound {
		t.Errorf("%d KiB were allocated", n>>10)
	} else {
		t.Logf("%d KiB were allocated", n>>10)
	}
}

// BenchmarkSubmit is one message at a time, committed to the disk below the temporary directory.
func BenchmarkSubmit(b *testing.B) {
	for _, c := range []struct {
		name  string
		rcpts int
		size  int64
	}{{"4KiB", 1, 4 << 10}, {"64MiB", 1, 64 << 20}, {"10000rcpts", 10_000, 4 << 10}, {"1GiB+10000rcpts", 10_000, 1 << 30}} {
		b.Run(c.name, func(b *testing.B) {
			s := diskSpool(b)
			o := testOptions()
			o.Extract, o.IsLocal = true, nil
			b.SetBytes(c.size)
			for b.Loop() {
				res, err := Submit(bigMessage(c.rcpts, c.size), s, o)
				if err != nil {
					b.Fatal(err)
				}
				remove(b, s, res.Entry)
			}
			b.ReportMetric(peakRSS(), "peak-MiB")
		})
	}
}

// BenchmarkBody is the body's way alone, without a spool.
func BenchmarkBody(b *testing.B) {
	for _, line := range []string{"\n", "x\r\n", string(bodyLine)} {
		text := strings.Repeat(line, 1<<20/len(line))
		b.Run(fmt.Sprintf("%dbytes", len(line)), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			in, w := newInput(nil, true), newWriter(io.Discard, 0)
			for b.Loop() {
				in.src, in.err = strings.NewReader(text), nil
				in.copyBody(w)
			}
		})
	}
}

func remove(b *testing.B, s *queue.Spool, e queue.Entry) {
	b.StopTimer()
	c, err := s.Claim(e)
	if err == nil {
		err = c.Remove()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}

// peakRSS is the most memory that the process has had, where the system tells.
func peakRSS() float64 {
	text, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kib float64
	fmt.Sscan(rest, &kib)
	return kib / 1024
}
