package sibling

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestPath(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Dir(self)
	Libexec = t.TempDir()
	defer func() { Libexec = "" }()
	for _, path := range []string{beside + "/postrider-beside", Libexec + "/postrider-beside", Libexec + "/postrider-apart"} {
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
	}
	if err := os.Symlink(self, beside+"/postrider-self"); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(beside + "/postrider-self")
	for name, want := range map[string]string{
		"postrider-beside": beside + "/postrider-beside",
		"postrider-apart":  Libexec + "/postrider-apart",
		"postrider-none":   "",
		"postrider-self":   "", // this program by another name
	} {
		got, err := Path(name)
		if got != want || (want == "") != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestCloseOnExec(t *testing.T) {
	for name, act := range map[string]func(){"at once": CloseOnExec, "one by one": eachCloseOnExec} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		fd := w.Fd()
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFD, 0); errno != 0 {
			t.Fatal(errno)
		}
		act()
		if flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFD, 0); errno != 0 || flags != syscall.FD_CLOEXEC {
			t.Errorf("%s: flags %d, %v", name, flags, errno)
		}
		r.Close()
		w.Close()
	}
}
