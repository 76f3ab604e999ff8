package queue

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

	"postrider/internal/fsys"
)

// countingFS counts directory syncs.
type countingFS struct {
	fsys.FS
	syncs atomic.Int64
}

func (c *countingFS) SyncDir(name string) error {
	c.syncs.Add(1)
	return c.FS.SyncDir(name)
}

func TestConcurrentCommitsShareDirectorySyncs(t *testing.T) {
	c := &countingFS{FS: fsys.OS{}}
	s := testSpool(t, Options{FS: c})
	c.syncs.Store(0)
	const n = 400
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range n / 50 {
				if _, err := trySubmit(s, testEnvelope("bob@r.test"), testText); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(names(t, s, newDir)); got != n {
		t.Errorf("%d of %d messages", got, n)
	}
	t.Logf("%d commits took %d directory syncs", n, c.syncs.Load())
	if c.syncs.Load() > n {
		t.Errorf("%d commits took %d directory syncs", n, c.syncs.Load())
	}
}

func TestSyncGroupReportsTheSyncThatCoversTheCaller(t *testing.T) {
	f := fsys.NewFaulty(fsys.NewCrash("/d"))
	g := syncGroup{fs: f}
	bad := errors.New("bad")
	f.FailAt(1, 1, bad, nil)
	if err := g.sync("/d"); !errors.Is(err, bad) {
		t.Errorf("the failing sync: %v", err)
	}
	if err := g.sync("/d"); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// drainEnv makes the test binary a process that drains the named spool and prints what it took.
const drainEnv = "POSTRIDER_TEST_DRAIN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(drainEnv); dir != "" {
		if err := drain(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func drain(dir string) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	return s.Scan(New|Cur, func(e Entry) error {
		c, err := s.Claim(e)
		if errors.Is(err, ErrBusy) || errors.Is(err, ErrGone) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Println(e.ID)
		return c.Remove()
	})
}

func TestEightProcessesTakeEachMessageOnce(t *testing.T) {
	s := testSpool(t, Options{})
	const n = 2000
	fill(t, s, n, Cur)
	var outs [8]strings.Builder
	var cmds []*exec.Cmd
	for i := range outs {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), drainEnv+"="+s.Root())
		cmd.Stdout, cmd.Stderr = &outs[i], os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	seen := map[string]int{}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		for _, id := range strings.Fields(outs[i].String()) {
			seen[id]++
		}
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s was taken %d times", id, times)
		}
	}
	if len(seen) != n {
		t.Errorf("%d of %d messages were taken", len(seen), n)
	}
}

func TestSeveralSpoolsSideBySide(t *testing.T) {
	root := t.TempDir()
	for i := range 3 {
		s, err := Open(filepath.Join(root, fmt.Sprint(i)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range i {
			submit(t, s, testEnvelope("bob@r.test"), testText)
		}
		if n, err := s.Count(New); n != i || err != nil {
			t.Errorf("spool %d holds %d, %v", i, n, err)
		}
	}
}
