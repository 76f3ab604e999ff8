package fsys

import (
	"errors"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"slices"
	"syscall"
	"testing"
)

// both runs a test on the real file system and on the one in memory.
func both(t *testing.T, test func(t *testing.T, f FS, dir string)) {
	t.Run("OS", func(t *testing.T) { test(t, OS{}, t.TempDir()) })
	t.Run("Crash", func(t *testing.T) { test(t, NewCrash("/d"), "/d") })
	t.Run("Faulty", func(t *testing.T) { test(t, NewFaulty(OS{}), t.TempDir()) })
}

func put(t *testing.T, f FS, name, text string) {
	t.Helper()
	file, err := f.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.WriteString(file, text); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, f FS, name string) string {
	t.Helper()
	file, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFilesKeepWhatIsWritten(t *testing.T) {
	both(t, func(t *testing.T, f FS, dir string) {
		put(t, f, dir+"/a", "hello")
		file, err := f.Append(dir + "/a")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(file, " world")
		if st, err := file.Stat(); err != nil || st.Size != 11 || !st.Regular || st.Mode != 0o600 {
			t.Errorf("%+v %v", st, err)
		}
		file.Close()
		if got := get(t, f, dir+"/a"); got != "hello world" {
			t.Errorf("%q", got)
		}
		put(t, f, dir+"/b", "0123456789")
		b, err := f.Create(dir + "/c")
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		io.WriteString(b, "0123456789")
		if _, err := b.WriteAt([]byte("xy"), 3); err != nil {
			t.Fatal(err)
		}
		if err := b.Truncate(6); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 9)
		if n, err := b.ReadAt(p, 1); string(p[:n]) != "12xy5" || err != io.EOF {
			t.Errorf("%q %v", p[:n], err)
		}
	})
}

func TestNamesAreNeverReplaced(t *testing.T) {
	both(t, func(t *testing.T, f FS, dir string) {
		put(t, f, dir+"/a", "a")
		put(t, f, dir+"/b", "b")
		if _, err := f.Create(dir + "/a"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("create: %v", err)
		}
		if err := f.Rename(dir+"/a", dir+"/b"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("rename: %v", err)
		}
		if got := get(t, f, dir+"/b"); got != "b" {
			t.Errorf("b holds %q", got)
		}
		if err := f.Rename(dir+"/a", dir+"/c"); err != nil {
			t.Fatal(err)
		}
		var names []string
		f.ReadDir(dir, func(n string) error { names = append(names, n); return nil })
		slices.Sort(names)
		if !slices.Equal(names, []string{"b", "c"}) {
			t.Errorf("%v", names)
		}
	})
}

func TestRelinkDoesNotReplaceEither(t *testing.T) {
	dir := t.TempDir()
	put(t, OS{}, dir+"/a", "a")
	put(t, OS{}, dir+"/b", "b")
	if err := (OS{}).relink(dir+"/a", dir+"/b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	if err := (OS{}).relink(dir+"/a", dir+"/c"); err != nil || get(t, OS{}, dir+"/c") != "a" {
		t.Errorf("%v", err)
	}
	if _, err := (OS{}).Stat(dir + "/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old name: %v", err)
	}
}

func TestLocksBelongToTheFile(t *testing.T) {
	both(t, func(t *testing.T, f FS, dir string) {
		if _, err := f.TryLock(dir+"/a", true); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("locking nothing: %v", err)
		}
		put(t, f, dir+"/a", "a")
		l, err := f.TryLock(dir+"/a", true)
		if err != nil {
			t.Fatal(err)
		}
		f.Rename(dir+"/a", dir+"/b")
		if _, err := f.TryLock(dir+"/b", true); !errors.Is(err, ErrLocked) {
			t.Errorf("a second lock: %v", err)
		}
		if _, err := f.TryLock(dir+"/b", false); !errors.Is(err, ErrLocked) {
			t.Errorf("a shared lock beside an exclusive one: %v", err)
		}
		named, err := f.Stat(dir + "/b")
		locked, err2 := l.Stat()
		if err != nil || err2 != nil || !named.Same(locked) {
			t.Errorf("%+v %+v", named, locked)
		}
		if err := l.Release(); err != nil {
			t.Fatal(err)
		}
		one, err1 := f.TryLock(dir+"/b", false)
		two, err2 := f.TryLock(dir+"/b", false)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		one.Release()
		file, err := f.Append(dir + "/b")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := file.Lock(); !errors.Is(err, ErrLocked) {
			t.Errorf("a file's lock beside a shared one: %v", err)
		}
		if _, err := f.TryLock(dir+"/b", true); !errors.Is(err, ErrLocked) {
			t.Errorf("an exclusive lock beside a shared one: %v", err)
		}
		two.Release()
		if err := file.Lock(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.TryLock(dir+"/b", false); !errors.Is(err, ErrLocked) {
			t.Errorf("a shared lock beside a file's: %v", err)
		}
		file.Unlock()
		if l, err := f.TryLock(dir+"/b", true); err != nil {
			t.Error(err)
		} else {
			l.Release()
		}
	})
}

func TestSpaceIsToldOfTheFileSystem(t *testing.T) {
	both(t, func(t *testing.T, f FS, dir string) {
		if s, err := f.Space(dir); err != nil || s.Bytes <= 0 || s.Files <= 0 {
			t.Errorf("%+v %v", s, err)
		}
	})
	c := NewCrash("/d")
	c.SetSpace(Space{Bytes: 5, Files: 7})
	f := NewFaulty(c)
	if s, err := f.Space("/d"); err != nil || s != (Space{Bytes: 5, Files: 7}) {
		t.Errorf("%+v %v", s, err)
	}
	f.FailAt(1, 1, syscall.EIO, nil)
	if _, err := f.Space("/d"); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	if _, err := (OS{}).Space(t.TempDir() + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	for _, p := range [][3]int64{{3, 4096, 12288}, {-1, 4096, 0}, {Unlimited / 2, 4096, Unlimited}, {5, 0, 0}} {
		if got := times(p[0], p[1]); got != p[2] {
			t.Errorf("%d blocks of %d bytes: %d", p[0], p[1], got)
		}
	}
}

func TestFaultyFailsTheChosenOperation(t *testing.T) {
	f := NewFaulty(NewCrash("/d"))
	put(t, f, "/d/a", "abc")
	if len(f.Ops()) != 4 { // create write fsync close
		t.Fatalf("%v", f.Ops())
	}
	f.FailAt(2, 1, ErrShort, nil)
	file, err := f.Create("/d/b")
	if err != nil || f.Struck() {
		t.Fatal(err)
	}
	n, err := file.Write([]byte("123456"))
	if n != 3 || !errors.Is(err, syscall.ENOSPC) || !f.Struck() {
		t.Errorf("%d %v", n, err)
	}
	if got := get(t, f, "/d/b"); got != "123" {
		t.Errorf("%q", got)
	}
	f.FailAt(1, 2, syscall.EIO, func(op Op) bool { return op.Name == "remove" })
	for i, want := range []error{syscall.EIO, syscall.EIO, nil} {
		if err := f.Remove("/d/b"); !errors.Is(err, want) {
			t.Errorf("remove %d: %v", i, err)
		}
	}
}

// what reads what a name holds after a power cut: "-" when the name is gone.
func what(t *testing.T, f FS, name string) string {
	if _, err := f.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	return get(t, f, name)
}

func TestPowerCutKeepsWhatWasSynced(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(f *Crash, file File)
		strict string // after a strict cut: what /d/a and /e/b hold
		loose  string
		zeros  string
	}{
		{"nothing synced", func(f *Crash, file File) {}, "- -", "text -", "\x00\x00\x00\x00 -"},
		{"bytes without a name", func(f *Crash, file File) { file.Sync() }, "- -", "text -", "text -"},
		{"a name without bytes", func(f *Crash, file File) { f.SyncDir("/d") }, " -", "text -", "\x00\x00\x00\x00 -"},
		{"both", func(f *Crash, file File) { file.Sync(); f.SyncDir("/d") }, "text -", "text -", "text -"},
		{"renamed and not synced", func(f *Crash, file File) {
			file.Sync()
			f.SyncDir("/d")
			f.Rename("/d/a", "/e/b")
		}, "text -", "- text", "- text"},
		{"renamed and synced on one side", func(f *Crash, file File) {
			file.Sync()
			f.Rename("/d/a", "/e/b")
			f.SyncDir("/e")
		}, "- text", "- text", "- text"},
		{"removed and not synced", func(f *Crash, file File) { file.Sync(); f.SyncDir("/d"); f.Remove("/d/a") }, "text -", "- -", "- -"},
	} {
		for how, want := range map[Survival]string{Strict: c.strict, Loose: c.loose, Zeros: c.zeros} {
			f := NewCrash("/d", "/e")
			file, _ := f.Create("/d/a")
			io.WriteString(file, "text")
			c.do(f, file)
			g := f.Reboot(how, nil)
			if got := what(t, g, "/d/a") + " " + what(t, g, "/e/b"); got != want {
				t.Errorf("%s, survival %d: %q, want %q", c.name, how, got, want)
			}
			if _, err := f.Stat("/d/a"); !errors.Is(err, ErrPowerCut) {
				t.Errorf("%s: the old system is still on: %v", c.name, err)
			}
		}
	}
}

func TestRandomSurvivalKeepsWhatWasSynced(t *testing.T) {
	outcomes := map[string]bool{}
	for seed := range int64(50) {
		f := NewCrash("/d", "/e")
		put(t, f, "/d/a", "synced")
		f.SyncDir("/d")
		put(t, f, "/d/b", "unsynced")
		g := f.Reboot(Random, rand.New(rand.NewSource(seed)))
		if got := what(t, g, "/d/a"); got != "synced" {
			t.Fatalf("%q", got)
		}
		outcomes[what(t, g, "/d/b")] = true
	}
	if len(outcomes) != 2 {
		t.Errorf("%v", outcomes)
	}
}

func TestCutAfterCountsOperations(t *testing.T) {
	f := NewCrash("/d")
	f.CutAfter(2)
	file, err := f.Create("/d/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); !errors.Is(err, ErrPowerCut) {
		t.Errorf("%v", err)
	}
}

func TestReplaceTakesTheNameOfAnother(t *testing.T) {
	both(t, func(t *testing.T, f FS, dir string) {
		put(t, f, dir+"/old", "old")
		put(t, f, dir+"/new", "new")
		for _, to := range []string{"/old", "/free"} {
			if err := f.Replace(dir+"/new", dir+to); err != nil {
				t.Fatal(err)
			}
			if got := get(t, f, dir+to); got != "new" {
				t.Errorf("%s: %q", to, got)
			}
			if _, err := f.Stat(dir + "/new"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", to, err)
			}
			put(t, f, dir+"/new", "new")
		}
		if err := f.Replace(dir+"/none", dir+"/old"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
}

// A power cut leaves the one or the other file under the name, and after SyncDir the new one.
func TestReplaceInAPowerCut(t *testing.T) {
	for _, synced := range []bool{false, true} {
		for seed := range int64(20) {
			c := NewCrash("/d")
			put(t, c, "/d/old", "old")
			if err := c.SyncDir("/d"); err != nil {
				t.Fatal(err)
			}
			put(t, c, "/d/new", "new")
			if err := c.Replace("/d/new", "/d/old"); err != nil {
				t.Fatal(err)
			}
			if synced {
				if err := c.SyncDir("/d"); err != nil {
					t.Fatal(err)
				}
			}
			got := get(t, c.Reboot(Random, rand.New(rand.NewSource(seed))), "/d/old")
			if got != "new" && (synced || got != "old") {
				t.Errorf("synced %v, seed %d: %q", synced, seed, got)
			}
		}
	}
}

func TestBecome(t *testing.T) {
	both(t, func(t *testing.T, f FS, dir string) {
		file, err := f.Create(dir + "/a")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		before, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Become(before.UID, before.GID, 0o640); err != nil {
			t.Fatal(err)
		}
		if st, err := f.Stat(dir + "/a"); err != nil || st.Mode != 0o640 || st.UID != before.UID || st.GID != before.GID {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// What a group's file system creates the group can read, and a directory that cannot be read is made durable all the same.
func TestGroup(t *testing.T) {
	dir := t.TempDir()
	f := NewGroup(OS{})
	file, err := f.Create(dir + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if st, err := file.Stat(); err != nil || st.Mode != 0o640 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := os.Chmod(dir, 0o300); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if err := f.SyncDir(dir); err != nil {
		t.Error(err)
	}
	faulty := NewFaulty(OS{})
	faulty.FailAt(1, 1, syscall.EPERM, func(op Op) bool { return op.Name == "become" })
	if _, err := NewGroup(faulty).Create(dir + "/y"); !errors.Is(err, syscall.EPERM) {
		t.Errorf("a file that cannot be given to the group: %v", err)
	}
	if _, err := f.Stat(dir + "/y"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}
