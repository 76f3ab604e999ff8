package queue

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
)

// hooked is a file system that calls sync before each sync of a file, and dir after each of a directory.
type hooked struct {
	fsys.FS
	sync, dir func()
}

func (h hooked) Create(name string) (fsys.File, error) {
	f, err := h.FS.Create(name)
	return hookedFile{f, h.sync}, err
}

func (h hooked) SyncDir(name string) error {
	defer h.dir()
	return h.FS.SyncDir(name)
}

type hookedFile struct {
	fsys.File
	sync func()
}

func (f hookedFile) Sync() error {
	f.sync()
	return f.File.Sync()
}

// Where two commit at a time, the directory is synced while the files are.
func TestFileAndDirectoryAreSyncedAtATime(t *testing.T) {
	_, s := crashSpool(t)
	synced := make(chan struct{})
	var once sync.Once
	s.fs = hooked{s.fs, func() {
		select {
		case <-synced:
		case <-time.After(10 * time.Second):
			t.Error("a file is synced before its directory")
		}
	}, func() { once.Do(func() { close(synced) }) }}
	s.syncs.fs = s.fs
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := trySubmit(s, testEnvelope("bob@r.test"), testText); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(names(t, s, newDir)); got != 2 {
		t.Errorf("%d messages", got)
	}
}

// rush commits messages from several goroutines, which take turns wherever they can, and returns the texts that were
// accepted.
func rush(s *Spool) map[string]bool {
	turns := func() {
		for range 3 {
			runtime.Gosched()
		}
	}
	s.fs = hooked{s.fs, turns, turns}
	s.syncs.fs = s.fs
	var mu sync.Mutex
	accepted := map[string]bool{}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 2 {
				text := fmt.Sprintf("Subject: x\r\n\r\nmessage %d of writer %d\r\n", i, w)
				if _, err := trySubmit(s, testEnvelope("bob@r.test"), text); err == nil {
					mu.Lock()
					accepted[text] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return accepted
}

// found are the texts of the messages that can be claimed.
func found(t *testing.T, f fsys.FS) map[string]bool {
	t.Helper()
	s, err := Open("/spool", Options{FS: f})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := s.entries(New)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]bool{}
	for _, e := range entries {
		c, err := s.Claim(e)
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(c.Body())
		if err != nil {
			t.Fatal(err)
		}
		texts[string(text)] = true
		c.Close()
	}
	return texts
}

func TestPowerCutMeetsManyCommits(t *testing.T) {
	for n := 0; ; n++ {
		c, s := crashSpool(t)
		c.CutAfter(n)
		accepted := rush(s)
		for seed := range int64(6) {
			how := []fsys.Survival{fsys.Strict, fsys.Loose, fsys.Zeros, fsys.Random, fsys.Random, fsys.Random}[seed]
			got := found(t, c.Reboot(how, rand.New(rand.NewSource(seed))))
			for text := range accepted {
				if !got[text] {
					t.Fatalf("power cut after %d operations, survival %d: lost %q", n, how, text)
				}
			}
		}
		if len(accepted) == 8 {
			return
		}
	}
}

func TestManyCommitsAndADiskThatFails(t *testing.T) {
	for _, op := range []string{"rename", "fsync", "syncdir"} {
		for n := 1; n <= 8; n++ {
			under, s := crashSpool(t)
			f := fsys.NewFaulty(under)
			s.fs = f
			f.FailAt(n, 1, syscall.EIO, func(o fsys.Op) bool { return o.Name == op })
			accepted := rush(s)
			got := found(t, under)
			if len(got) != len(accepted) || op != "syncdir" && len(accepted) != 7 {
				t.Errorf("%s %d failed: %d accepted, %d in the spool", op, n, len(accepted), len(got))
			}
			for text := range accepted {
				if !got[text] {
					t.Errorf("%s %d failed: lost %q", op, n, text)
				}
			}
		}
	}
}
