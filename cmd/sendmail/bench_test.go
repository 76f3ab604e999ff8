package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"postrider/queue"
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
	if dir, err = filepath.Abs(dir); err != nil {
		b.Fatal(err)
	}
	return dir
}

// BenchmarkSubmit is what a caller waits for: from the start of the program to its end, a message of 4 KiB being in
// the queue then. BenchmarkStart is the part of it that any program costs; the queue package has the bare cost of
// the disk.
func BenchmarkSubmit(b *testing.B) {
	dir := benchDir(b)
	conf := write(b, dir, "postrider.toml", fmt.Sprintf("hostname = \"mail.example.org\"\nspool = %q\nlog = %q\n", dir+"/spool", dir+"/log"))
	submitAll(b, dir, conf)
}

// BenchmarkServer is the same where the spool is another user's and a server, here in this process, puts the message
// into the queue.
func BenchmarkServer(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("only root can give a directory to another user")
	}
	dir := benchDir(b)
	conf := write(b, dir, "postrider.toml", fmt.Sprintf("hostname = \"mail.example.org\"\nspool = %q\nlog = %q\n[[listen]]\naddress = %q\nmode = \"local\"\n",
		dir+"/theirs", dir+"/log", dir+"/submit"))
	if err := errors.Join(os.Mkdir(dir+"/theirs", 0o700), os.Chown(dir+"/theirs", 65533, 65533)); err != nil {
		b.Fatal(err)
	}
	spool, err := queue.Open(dir+"/spool", queue.Options{})
	if err != nil {
		b.Fatal(err)
	}
	stop, err := serveAt(dir+"/submit", spool)
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	submitAll(b, dir, conf)
}

func submitAll(b *testing.B, dir, conf string) {
	bin := build(b)
	message := write(b, dir, "message", "From: alice@example.org\nTo: bob@remote.example\nSubject: bench\n\n"+strings.Repeat(strings.Repeat("x", 70)+"\n", 57))
	for _, callers := range []int{1, 8, 50} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			each(b, callers, "msg/s", func() error {
				in, err := os.Open(message)
				if err != nil {
					return err
				}
				defer in.Close()
				cmd := exec.Command(bin, "-odq", "-i", "-f", "alice@example.org", "bob@remote.example")
				cmd.Env = []string{"POSTRIDER_CONFIG=" + conf, "HOME=" + dir}
				cmd.Stdin = in
				return cmd.Run()
			})
		})
	}
}

func BenchmarkStart(b *testing.B) {
	bin := build(b)
	for _, callers := range []int{1, 8, 50} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			each(b, callers, "starts/s", func() error { return exec.Command(bin, "--version").Run() })
		})
	}
}

// build builds the program as the Makefile does.
func build(b *testing.B) string {
	bin := filepath.Join(benchDir(b), "sendmail")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return bin
}

func write(b *testing.B, dir, name, text string) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// each runs fn b.N times from a number of callers at once, and reports the rate.
func each(b *testing.B, callers int, unit string, fn func() error) {
	var done atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for done.Add(1) <= int64(b.N) {
				if err := fn(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), unit)
}
