package aliases

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
)

func TestRebuildSaysWhatCheckSays(t *testing.T) {
	path := write(t, tempDir(t), "aliases", indexText)
	want, err := Check(path)
	if err != nil {
		t.Fatal(err)
	}
	got := rebuild(t, path)
	if len(got.Problems) != len(want.Problems) || got.Summary != want.Summary || got.Bad != want.Bad || got.Bad != 3 || len(got.Problems) != 6 {
		t.Errorf("%+v, want %+v", got, want)
	}
	for i := range got.Problems {
		if got.Problems[i] != want.Problems[i] || i > 0 && got.Problems[i].Line < got.Problems[i-1].Line {
			t.Errorf("%v, want %v", got.Problems[i], want.Problems[i])
		}
	}
}

func TestTheIndexIsForWhoMayReadTheText(t *testing.T) {
	for _, c := range []struct{ text, index os.FileMode }{{0o644, 0o644}, {0o600, 0o600}, {0o640, 0o640}, {0o664, 0o644}, {0o444, 0o644}, {0o755, 0o644}} {
		path := write(t, tempDir(t), "aliases", "a: b\n")
		if err := os.Chmod(path, c.text); err != nil {
			t.Fatal(err)
		}
		rebuild(t, path)
		info, err := os.Stat(path + IndexSuffix)
		if err != nil || info.Mode().Perm() != c.index {
			t.Errorf("%o: %v, %v", c.text, info.Mode(), err)
		}
		if d := Open([]string{path}, Options{}); !byIndex(d) {
			t.Errorf("%o: it is not used", c.text)
		}
	}
}

func TestManyProblems(t *testing.T) {
	path := write(t, tempDir(t), "aliases", strings.Repeat("a: b\n", maxProblems+10)+strings.Repeat("bad\n", 20)+"c: d")
	for _, rep := range []Report{rebuild(t, path), func() Report { r, _ := Check(path); return r }()} {
		if len(rep.Problems) != maxProblems || rep.More != 29 || rep.Bad != 20 || rep.Aliases != maxProblems+11 {
			t.Errorf("%d problems and %d, %d bad, %d aliases", len(rep.Problems), rep.More, rep.Bad, rep.Aliases)
		}
	}
	if got := lookup(Open([]string{path}, Options{}), "c"); got != "d" {
		t.Error(got)
	}
}

// An entry that is longer than what is read at once is read whole, and what is behind it has the right lines.
func TestLongEntries(t *testing.T) {
	long := "long:\n" + strings.Repeat(" member,\n# comment\n", 40_000) + " x y\n"
	path := write(t, tempDir(t), "aliases", "a: b\n"+long+"\nbad\nz: y z\n")
	rep := rebuild(t, path)
	var lines []int
	for _, p := range rep.Problems {
		lines = append(lines, p.Line)
	}
	if len(lines) != 3 || lines[0] != 80_003 || lines[1] != 80_005 || lines[2] != 80_006 || rep.Aliases != 3 {
		t.Errorf("%v, %+v", lines, rep.Summary)
	}
	d := Open([]string{path}, Options{})
	if e, ok, err := d.Lookup("long"); !ok || err != nil || len(e.Members) != 40_001 || e.Line != 2 {
		t.Errorf("%d members, line %d, %v, %v", len(e.Members), e.Line, ok, err)
	}
	if x, ok, err := d.Probe("long"); !ok || err != nil || x.Recipients != nil {
		t.Errorf("%+v, %v, %v", x, ok, err)
	}
}

func TestWhatCannotBeRebuilt(t *testing.T) {
	for _, c := range []struct {
		name, want string
		make       func(path string) error
	}{
		{"no file", "no such file or directory", func(string) error { return nil }},
		{"a directory", "not a regular file", func(p string) error { return os.Mkdir(p, 0o755) }},
		{"a FIFO", "not a regular file", func(p string) error { return syscall.Mkfifo(p, 0o644) }},
		{"a file that everybody may write", "everybody may write it",
			func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o644), os.Chmod(p, 0o646)) }},
		{"a file that is no text", "not text: line 3 has a zero byte", func(p string) error { return os.WriteFile(p, []byte("a: b\n c\nx\x00y"), 0o644) }},
		{"a file that is too long", "longer than 67108864 bytes", func(p string) error {
			return errors.Join(os.WriteFile(p, []byte(strings.Repeat("#"+strings.Repeat("x", 1023)+"\n", maxFile/1024)), 0o644))
		}},
	} {
		path := filepath.Join(tempDir(t), "aliases")
		if err := c.make(path); err != nil {
			t.Fatal(err)
		}
		_, unwritten, err := testBuilder().rebuild(path)
		if err == nil || unwritten != nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", c.name, unwritten, err)
		}
		if _, checked := Check(path); checked == nil || checked.Error() != err.Error() {
			t.Errorf("%s: %v, but Check says %v", c.name, err, checked)
		}
		nothingLeft(t, path)
	}
}

func nothingLeft(t *testing.T, path string) {
	t.Helper()
	for _, suffix := range []string{IndexSuffix, IndexSuffix + ".new"} {
		if _, err := os.Lstat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path+suffix, err)
		}
	}
}

func TestWithoutAnIndexTheFileIsCheckedAllTheSame(t *testing.T) {
	readOnly := func(path string) error { return os.Chmod(filepath.Dir(path), 0o555) }
	for _, c := range []struct {
		name, want string
		uid        uint32
		spoil      func(path string) error
	}{
		{"another user's file", "only root and the owner of the aliases may", 4_000_001, func(string) error { return nil }},
		{"somebody who is writing", ErrBusy.Error(), uint32(os.Geteuid()), func(p string) error {
			f, err := claim(fsys.OS{}, p+IndexSuffix+".new")
			if err == nil {
				t.Cleanup(func() { f.Close() })
			}
			return err
		}},
		{"a directory in the way", "directory", uint32(os.Geteuid()), func(p string) error { return os.Mkdir(p+IndexSuffix, 0o755) }},
		{"a directory that cannot be written", "permission denied", uint32(os.Geteuid()), readOnly},
		{"too many names of one hash", "too many keys have the same hash", uint32(os.Geteuid()), func(p string) error {
			return os.WriteFile(p, []byte(strings.Join(collisions(100), ": x\n")+": x\n"), 0o644)
		}},
	} {
		if c.name == "a directory that cannot be written" && os.Geteuid() == 0 {
			continue // nothing is forbidden to root
		}
		path := write(t, tempDir(t), "aliases", "a: b\nbad\na: c\n")
		if err := c.spoil(path); err != nil {
			t.Fatal(err)
		}
		b := testBuilder()
		b.uid = c.uid
		rep, unwritten, err := b.rebuild(path)
		if err != nil || unwritten == nil || !strings.Contains(unwritten.Error(), c.want) || rep.Aliases == 0 {
			t.Errorf("%s: %v, %v, %+v", c.name, unwritten, err, rep)
		}
	}
}

func TestWhatACrashLeavesIsNotInTheWay(t *testing.T) {
	path := write(t, tempDir(t), "aliases", "a: b\n")
	write(t, filepath.Dir(path), "aliases.idx.new", "half of an index")
	rebuild(t, path)
	if d := Open([]string{path}, Options{}); !byIndex(d) {
		t.Error("there is no index")
	}
	if _, err := os.Lstat(path + IndexSuffix + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Whatever operation fails, the file is checked, nothing half is left, and lookups are right.
func TestRebuildFaults(t *testing.T) {
	path := write(t, tempDir(t), "aliases", "a: b\nc: d\na: e\n")
	for _, old := range []bool{false, true} {
		for _, cause := range []error{syscall.EIO, syscall.ENOSPC, fsys.ErrShort} {
			for n := 1; ; n++ {
				os.Remove(path + IndexSuffix)
				if old {
					rebuild(t, path)
				}
				faulty := fsys.NewFaulty(unsynced{})
				faulty.FailAt(n, 1, cause, nil)
				b := testBuilder()
				b.fs = faulty
				rep, unwritten, err := b.rebuild(path)
				if err != nil || rep.Aliases != 3 || len(rep.Problems) != 1 {
					t.Fatalf("fault %d: %+v, %v", n, rep, err)
				}
				if !faulty.Struck() {
					if unwritten != nil || n < 10 {
						t.Errorf("after %d faults: %v", n-1, unwritten)
					}
					break
				}
				failed := faulty.Ops()[n-1].Name
				if unwritten == nil && failed != "close" && failed != "remove" {
					t.Errorf("fault %d, %s: nothing is said", n, failed)
				}
				if _, err := os.Lstat(path + IndexSuffix + ".new"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("fault %d, %s: %v", n, failed, err)
				}
				d := Open([]string{path}, testOptions)
				if got := lookup(d, "a") + lookup(d, "c") + lookup(d, "e"); got != "ednone" || old && !byIndex(d) {
					t.Errorf("fault %d, %s: %q, index %v", n, failed, got, byIndex(d))
				}
			}
		}
	}
}

// A power cut leaves the old index, the new one, or one that is found to be damaged.
func TestAnIndexIsDurableBeforeItHasItsName(t *testing.T) {
	path := write(t, tempDir(t), "aliases", "a: b\n")
	faulty := fsys.NewFaulty(fsys.OS{})
	b := testBuilder()
	b.fs = faulty
	if _, unwritten, err := b.rebuild(path); err != nil || unwritten != nil {
		t.Fatal(err, unwritten)
	}
	var order []string
	for _, op := range faulty.Ops() {
		if op.Name == "fsync" || op.Name == "replace" || op.Name == "syncdir" || op.Name == "become" {
			order = append(order, op.Name)
		}
	}
	if got := strings.Join(order, " "); got != "become fsync replace syncdir" {
		t.Error(got)
	}
}

// An index of a text that was changed a moment ago could be that of the state before: the times are the same.
func TestAYoungTextIsWaitedFor(t *testing.T) {
	path := write(t, tempDir(t), "aliases", "a: b\n")
	st, err := fsys.StatFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		age, want time.Duration
	}{
		{"young", tick / 4, tick - tick/4}, {"new", 0, tick}, {"old", tick, 0}, {"of a time to come", -time.Hour, 0},
	} {
		var slept time.Duration
		b := testBuilder()
		b.now = func() time.Time { return st.Changed.Add(c.age) }
		b.sleep = func(d time.Duration) { slept += d }
		if _, unwritten, err := b.rebuild(path); err != nil || unwritten != nil || slept != c.want {
			t.Errorf("%s: slept %v, %v, %v", c.name, slept, err, unwritten)
		}
	}
}

func TestATextThatChangesWhileItIsIndexed(t *testing.T) {
	path := write(t, tempDir(t), "aliases", "a: b\n")
	w := testWriter(t, path)
	text, _, err := openText(path)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	write(t, filepath.Dir(path), "aliases", "a: longer\n")
	if err := errors.Join(w.close(), w.finish(text)); !errors.Is(err, errChanged) {
		t.Error(err)
	}
	w.discard()
	nothingLeft(t, path)
}

func TestOnlyOneWrites(t *testing.T) {
	tmp := filepath.Join(tempDir(t), "new")
	first, err := claim(fsys.OS{}, tmp)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim(fsys.OS{}, tmp); !errors.Is(err, ErrBusy) {
		t.Errorf("a second: %v", err)
	}
	first.Close()
	second, err := claim(fsys.OS{}, tmp)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	if err := os.Remove(tmp); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", tmp); err != nil {
		t.Fatal(err)
	}
	if _, err := claim(fsys.OS{}, tmp); err == nil {
		t.Error("a link was followed")
	}
}

func TestClaimFaults(t *testing.T) {
	for _, left := range []bool{false, true} {
		for n := 1; ; n++ {
			tmp := filepath.Join(tempDir(t), "new")
			if left {
				write(t, filepath.Dir(tmp), "new", "left")
			}
			faulty := fsys.NewFaulty(fsys.OS{})
			faulty.FailAt(n, 1, syscall.EIO, nil)
			f, err := claim(faulty, tmp)
			if !faulty.Struck() {
				if err != nil || n < 4 {
					t.Errorf("after %d faults: %v", n-1, err)
				}
				break
			}
			if err == nil {
				f.Close()
			}
			if err == nil && faulty.Ops()[n-1].Name != "stat" { // of what is left: then it is tried again
				t.Errorf("fault %d: %v", n, faulty.Ops()[n-1])
			}
		}
	}
}

// collisions are n names of one hash: each three bytes of them are one of two that lead to the same.
func collisions(n int) []string {
	names, state := []string{""}, uint32(5381)
	for len(names) < n {
		seen := map[uint32]string{}
		for i := 0; ; i++ {
			word := "aaa" + strconv.FormatInt(int64(i), 36)
			word = word[len(word)-3:]
			h := state
			for _, c := range []byte(word) {
				h = h*33 ^ uint32(c)
			}
			if other, ok := seen[h]; ok {
				for i := range len(names) {
					names = append(names, names[i]+other)
					names[i] += word
				}
				state = h
				break
			}
			seen[h] = word
		}
	}
	return names[:n]
}
