package queuerun

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"postrider/internal/local/server"
	"postrider/queue"
)

// workerEnv makes the test binary a process that drains a spool: its value is the sink's address, a blank, and the
// spool.
const workerEnv = "POSTRIDER_TEST_DRAIN"

// TestMain also makes it a child of the delivery agent.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == server.ChildArg {
		os.Exit(server.Child())
	}
	if job := os.Getenv(workerEnv); job != "" {
		os.Exit(drainProcess(job))
	}
	os.Exit(m.Run())
}

func drainProcess(job string) int {
	var addr, dir string
	fmt.Sscan(job, &addr, &dir)
	spool, err := queue.Open(dir, queue.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	r := &Runner{Spool: spool, Config: settings(), Router: toSink{addr}}
	r.Config.Queue.Concurrency = 4
	res, err := r.Run(context.Background(), Selection{})
	fmt.Println(res.Sent)
	if err != nil || res.Deferred > 0 {
		fmt.Fprintf(os.Stderr, "%+v %v\n", res, err)
		return 1
	}
	return 0
}

func TestEightProcessesDrainOneSpool(t *testing.T) {
	const messages, processes = 2000, 8
	dir := t.TempDir()
	clk := newClock()
	spool, err := queue.Open(dir, queue.Options{Now: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, spool, clk, messages, 256)
	var mu sync.Mutex
	times := make([]int, messages)
	sink := newSink(t, func(text []byte) {
		_, rest, _ := bytes.Cut(text, []byte("\r\nnumber "))
		num, _, _ := bytes.Cut(rest, []byte("\r\n"))
		n, err := strconv.Atoi(string(num))
		if err != nil {
			t.Errorf("foreign message: %q", text)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		times[n]++
	})
	var all sync.WaitGroup
	shares := make([]string, processes)
	for i := range processes {
		all.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), workerEnv+"="+sink.Addr().String()+" "+dir)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("process %d: %v", i, err)
			}
			shares[i] = string(bytes.TrimSpace(out))
		})
	}
	all.Wait()
	t.Logf("the processes delivered %v", shares)
	for n, got := range times {
		if got != 1 {
			t.Errorf("message %d arrived %d times", n, got)
		}
	}
	if left, err := spool.Count(queue.New | queue.Cur | queue.Corrupt); err != nil || left != 0 {
		t.Errorf("%d messages left: %v", left, err)
	}
}
