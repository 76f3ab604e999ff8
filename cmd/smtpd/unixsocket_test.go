package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"postrider/internal/config"
)

// another is somebody who is not root, when the test is.
func another() *identity {
	if os.Getuid() != 0 {
		return nil
	}
	return &identity{name: "another", uid: 54321, gid: 54321}
}

// secret is a file that nobody but us may read.
func secret(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// swap puts a link to a file in the place of path and takes it away again, until the test ends.
func swap(t *testing.T, path, file string) (stop func()) {
	link := path + ".link"
	end := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				os.Symlink(file, link) // it may have been removed in the place of the other
				unix.Renameat2(unix.AT_FDCWD, link, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
			}
		}
	})
	return func() { close(end); ended.Wait() }
}

func unchanged(t *testing.T, file string, want os.FileMode) {
	t.Helper()
	st, err := os.Stat(file)
	if err != nil || st.Mode().Perm() != want || int(st.Sys().(*syscall.Stat_t).Uid) != os.Getuid() {
		t.Errorf("%s has become %v of %+v, %v", file, st.Mode(), st.Sys(), err)
	}
}

func TestSocketThatIsSwappedForALink(t *testing.T) {
	file, path := secret(t), filepath.Join(t.TempDir(), "submit")
	defer swap(t, path, file)()
	s := &sockets{owner: another()}
	for range 300 {
		if l, err := s.bindUnix(path, 0o666, nil); err == nil {
			l.Close()
		}
		os.Remove(path)
	}
	unchanged(t, file, 0o600)
}

func TestDirectoryThatIsSwappedForALink(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.Mkdir(victim, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	defer swap(t, dir, victim)()
	for range 300 {
		makeDirs(dir, another())
		os.Remove(dir)
	}
	unchanged(t, victim, 0o700)
}

// TestNothingIsChangedByPath holds the program to what the two tests before find out by luck: mode and owner are given by
// descriptor only.
func TestNothingIsChangedByPath(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	byPath := regexp.MustCompile(`\b(os|syscall|unix)\.(Chmod|Chown|Lchown|Fchmodat|Fchownat)\(`)
	for _, name := range files {
		if found := byPath.FindString(readIf(name)); found != "" && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s: %s", name, found)
		}
	}
}

func TestModesOfSockets(t *testing.T) {
	owner := another()
	for mode, want := range map[string]os.FileMode{"smtp": 0o660, "local": 0o666} {
		s := &sockets{owner: owner}
		path := filepath.Join(t.TempDir(), "a", "b", "socket")
		l, err := s.unixPlace(config.Listen{Address: path, Mode: mode}).bind()
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Lstat(path)
		if err != nil || st.Mode().Perm() != want || owner != nil && int(st.Sys().(*syscall.Stat_t).Gid) != owner.gid {
			t.Errorf("mode %s: %v, %v", mode, st.Mode(), err)
		}
		for dir, uid := range map[string]int{filepath.Dir(path): 54321, filepath.Dir(filepath.Dir(path)): 0} {
			st, err := os.Stat(dir)
			if err != nil || st.Mode().Perm() != 0o755 || owner != nil && int(st.Sys().(*syscall.Stat_t).Uid) != uid {
				t.Errorf("%s: %v, %v", dir, st.Mode(), err)
			}
		}
		l.Close()
		s.unmake()
		if _, err := os.Lstat(filepath.Dir(filepath.Dir(path))); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a directory was left: %v", err)
		}
	}
}

// TestOtherFilesAreNotOpen sees that the mode of a socket is nobody else's umask.
func TestOtherFilesAreNotOpen(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	l, err := (&sockets{}).bindUnix(filepath.Join(t.TempDir(), "socket"), 0o666, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if mask := syscall.Umask(0o077); mask != 0o077 {
		t.Errorf("umask %o", mask)
	}
}

// use takes the table into use, as a new configuration does, and fails the test if that does not work.
func use(t *testing.T, s *sockets, l config.Listen) net.Listener {
	t.Helper()
	open, err := s.use(config.Config{User: true, Listen: []config.Listen{l}})
	if err != nil {
		t.Fatal(err)
	}
	return open[0].listener
}

func TestSocketsOfANewConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	s := new(sockets)
	smtp, local := config.Listen{Address: path, Mode: "smtp"}, config.Listen{Address: path, Mode: "local"}
	perm := func(want os.FileMode) {
		t.Helper()
		if st, err := os.Lstat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%v, %v, want %v", st, err, want)
		}
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Error(err)
		} else {
			conn.Close()
		}
	}
	first := use(t, s, smtp)
	if use(t, s, smtp) != first {
		t.Error("a socket that stays is another")
	}
	second := use(t, s, local)
	first.Close() // as the daemon does
	perm(0o666)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	third := use(t, s, local)
	second.Close()
	perm(0o666)

	before := s.open
	use(t, s, smtp)
	perm(0o660)
	s.restore(before)
	perm(0o666)
	third.Close()
	if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
