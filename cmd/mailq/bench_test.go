package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// BenchmarkList runs the program over a queue, from its start to its end: all of it is what a caller waits for.
func BenchmarkList(b *testing.B) {
	base := os.Getenv("BENCH_DIR")
	if base == "" {
		base = "."
	}
	dir, err := os.MkdirTemp(base, "bench.")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	bin := filepath.Join(dir, "mailq")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	for _, state := range []string{"new", "deferred"} {
		spool := filepath.Join(dir, state)
		crowd(b, spool, 10_000, state == "deferred")
		for _, format := range []string{"sendmail", "postfix", "json"} {
			b.Run("10000/"+state+"/"+format, func(b *testing.B) { list(b, bin, spool, format) })
		}
	}
	spool := filepath.Join(dir, "large")
	crowd(b, spool, 100_000, true)
	b.Run("100000/deferred/postfix", func(b *testing.B) { list(b, bin, spool, "postfix") })
}

func list(b *testing.B, bin, spool, format string) {
	var cpu, peak int64
	for b.Loop() {
		cmd := exec.Command(bin, "--spool", spool, "--format", format)
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
		cpu += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Microseconds()
	}
	b.ReportMetric(float64(cpu)/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(peak)/1024, "peak-MiB")
}

func TestACrowdIsListedWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	crowd(t, dir, 300, true)
	var out strings.Builder
	if st := run([]string{"mailq", "--spool", dir, "--format", "postfix"}, nil, &out, io.Discard); st != 0 {
		t.Errorf("status %d", st)
	}
	if !strings.HasSuffix(out.String(), "Kbytes in 300 Requests.\n") {
		t.Errorf("got %s", out.String())
	}
}
