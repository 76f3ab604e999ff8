package main

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"postrider/internal/config"
)

// A key that cannot be read any more stays as it was, and only for the same files.
func TestKeyThatOnlyRootCouldRead(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "one.pem"), filepath.Join(dir, "one.key")
	if err := writePair(filepath.Join(dir, "one"), time.Hour); err != nil {
		t.Fatal(err)
	}
	p := &program{}
	table := config.TLS{Certificate: cert, Key: key}
	first, err := p.keyPair(table)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // for whom no mode matters: become somebody else for a moment
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Seteuid(65534); err != nil {
			t.Fatal(err)
		}
		defer syscall.Seteuid(0)
	} else if err := os.Chmod(key, 0); err != nil {
		t.Fatal(err)
	}
	again, err := p.keyPair(table)
	if err != nil || !bytes.Equal(again.Certificate[0], first.Certificate[0]) {
		t.Errorf("%v", err)
	}
	if _, err := (&program{}).keyPair(table); err == nil {
		t.Error("it can be read, so this shows nothing")
	}
}
