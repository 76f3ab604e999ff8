package queue

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"postrider/internal/fsys"
)

func openOrigins(t *testing.T, s *Spool) *Origins {
	t.Helper()
	o, err := s.Origins()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOriginsAreKept(t *testing.T) {
	s := testSpool(t, Options{})
	o := openOrigins(t, s)
	if err := o.Add("postfix A 1", "odd\nkey"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Origins(); !errors.Is(err, ErrBusy) {
		t.Errorf("a second has it: %v", err)
	}
	o.Close()
	o = openOrigins(t, s)
	defer o.Close()
	if !o.Has("postfix A 1") || !o.Has("odd\nkey") || o.Has("postfix A") {
		t.Errorf("%v", o.keys)
	}
}

// A line that a crash cuts anywhere is none, and does not spoil the next.
func TestTornOrigins(t *testing.T) {
	line := string(appendChecked(nil, appendWord(nil, "postfix B 2")))
	for n := range len(line) {
		s := testSpool(t, Options{})
		o := openOrigins(t, s)
		o.Add("postfix A 1")
		o.Close()
		name := s.path(originsFile)
		text, _ := os.ReadFile(name)
		os.WriteFile(name, append(text, line[:n]...), 0o600)
		o = openOrigins(t, s)
		if !o.Has("postfix A 1") || len(o.keys) != 1 && n < len(line)-1 {
			t.Fatalf("%d bytes: %v", n, o.keys)
		}
		if err := o.Add("postfix C 3"); err != nil {
			t.Fatal(err)
		}
		o.Close()
		o = openOrigins(t, s)
		if !o.Has("postfix A 1") || !o.Has("postfix C 3") {
			t.Fatalf("%d bytes: %v", n, o.keys)
		}
		o.Close()
	}
}

// What Add says is recorded survives a power cut; whatever fails, it says so.
func TestOriginsSurviveOrFail(t *testing.T) {
	for n := 1; ; n++ {
		under, s := crashSpool(t)
		f := fsys.NewFaulty(under)
		s.fs, s.syncs.fs = f, f
		f.FailAt(n, 1, syscall.EIO, nil)
		o, err := s.Origins()
		if err == nil {
			err = o.Add("key")
		}
		struck := f.Struck()
		after := under.Reboot(fsys.Strict, nil)
		s.fs, s.syncs.fs = after, after
		if o, oerr := s.Origins(); err == nil && (oerr != nil || !o.Has("key")) {
			t.Fatalf("operation %d: lost (%v)", n, oerr)
		}
		if !struck {
			return
		}
		if err == nil {
			t.Errorf("operation %d failed and nobody was told", n)
		} else if !strings.Contains(err.Error(), "origins") {
			t.Errorf("operation %d: %v", n, err)
		}
	}
}
