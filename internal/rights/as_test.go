package rights

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// The group changes while the user is root, on the way there and back, and nothing is done with half of the rights.
func TestTheGroupChangesAsRoot(t *testing.T) {
	oldUID, oldGID := setresuid, setresgid
	t.Cleanup(func() { setresuid, setresgid = oldUID, oldGID })
	for _, tt := range []struct{ name, fails, want string }{
		{"all goes well", "", "gid -1,7,-1; uid -1,5,-1; f; uid -1,0,-1; gid -1,0,-1"},
		{"the group cannot be changed", "gid -1,7,-1", "gid -1,7,-1; uid -1,5,-1; uid -1,0,-1; gid -1,0,-1"},
		{"the user cannot be changed", "uid -1,5,-1", "gid -1,7,-1; uid -1,5,-1; uid -1,0,-1; gid -1,0,-1"},
		{"root's user does not come back", "uid -1,0,-1", "gid -1,7,-1; uid -1,5,-1; f; uid -1,0,-1; gid -1,0,-1"},
		{"root's group does not come back", "gid -1,0,-1", "gid -1,7,-1; uid -1,5,-1; f; uid -1,0,-1; gid -1,0,-1"},
	} {
		var calls []string
		call := func(kind string) func(r, e, s int) error {
			return func(r, e, s int) error {
				calls = append(calls, fmt.Sprintf("%s %d,%d,%d", kind, r, e, s))
				if calls[len(calls)-1] == tt.fails {
					return syscall.EPERM
				}
				return nil
			}
		}
		setresuid, setresgid = call("uid"), call("gid")
		err := Owner{5, 7}.Do(func() error { calls = append(calls, "f"); return nil })
		if got := strings.Join(calls, "; "); got != tt.want || (err != nil) != (tt.fails != "") {
			t.Errorf("%s: %s, %v", tt.name, got, err)
		}
	}
}
