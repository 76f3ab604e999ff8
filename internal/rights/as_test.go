package rights

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"postrider/internal/config"
)

// What root does as the owner of the spool is the owner's, and after it root is root.
func TestDoAsTheOwner(t *testing.T) {
	dir := t.TempDir()
	want := os.Geteuid()
	if want == 0 {
		want = 65534
		if err := os.Chown(dir, want, want); err != nil {
			t.Fatal(err)
		}
		os.Chmod(filepath.Dir(dir), 0o755)
	}
	o, err := OwnerOf(config.Config{Spool: dir})
	if err != nil {
		t.Fatal(err)
	}
	before := os.Geteuid()
	file := filepath.Join(dir, "f")
	err = o.Do(func() error {
		if got := os.Geteuid(); got != want {
			t.Errorf("user %d, want %d", got, want)
		}
		return os.WriteFile(file, nil, 0o600)
	})
	if err != nil || os.Geteuid() != before {
		t.Fatalf("%v, user %d", err, os.Geteuid())
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := int(info.Sys().(*syscall.Stat_t).Uid); got != want {
		t.Errorf("the file is user %d's", got)
	}
}
