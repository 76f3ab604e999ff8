package aliases

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/internal/fsys"
)

// rebuild makes the index of a file of ours.
func rebuild(t testing.TB, path string) Report {
	t.Helper()
	old := time.Now().Add(-time.Hour) // so that the next change has another time
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	rep, unwritten, err := testBuilder().rebuild(path)
	if err != nil || unwritten != nil {
		t.Fatal(err, unwritten)
	}
	return rep
}

// byIndex tells whether a file is read through its index now.
func byIndex(d *Database) bool {
	src, err := d.files[0].load()
	if err != nil {
		return false
	}
	defer src.release()
	_, ok := src.(*indexed)
	return ok
}

// indexText has all that an index must tell apart.
var indexText = "# top\na: b, c@x.example\nB: d,\n# inside\n  e\n\"with space\": f\nbad line\nempty:\ndup: one\nDup: two\nuser@dom: g\n" +
	"once: h\nonce:\nlong: " + strings.Repeat("member, ", 3000) + "x\nfew: i\\\n, j\nowner-a: k\nz: y"

var indexNames = []string{"a", "A", "b", "with space", "bad", "empty", "dup", "user", "user@dom", "once", "long", "few", "owner-a", "owner-b",
	"z", "none", "a+detail", "Postmaster", "", "#", "e", "inside", strings.Repeat("x", 300)}

func TestAnIndexSaysWhatTheTextSays(t *testing.T) {
	path := write(t, tempDir(t), "aliases", indexText)
	plain := Open([]string{path}, testOptions)
	want := map[string]string{}
	for _, name := range indexNames {
		want[name] = answers(plain, name)
	}
	if byIndex(plain) {
		t.Fatal("there is an index already")
	}
	rebuild(t, path)
	d := Open([]string{path}, testOptions)
	if !byIndex(d) {
		t.Fatal("the index is not used")
	}
	for _, name := range indexNames {
		if got := answers(d, name); got != want[name] {
			t.Errorf("%s: %.300q, want %.300q", name, got, want[name])
		}
	}
	if !byIndex(d) {
		t.Error("it was given up")
	}
}

// answers is all that a Database says of a name.
func answers(d *Database, name string) string {
	e, ok, err := d.Lookup(name)
	s := fmt.Sprintf("%v %v %v: %s; %v; %s", e.Where(), ok, err, spellAll(e.Members), d.Private(e), expand(d, name))
	x, ok, err := d.Probe(name)
	if ok && err == nil {
		s += fmt.Sprintf("; probe %s %d", x.Entry.Where(), len(x.Recipients))
	}
	return s + fmt.Sprint(ok, err)
}

func TestAnIndexCountsOnlyForItsText(t *testing.T) {
	dir := tempDir(t)
	path := write(t, dir, "aliases", "a: one\n")
	rebuild(t, path)
	d := Open([]string{path}, Options{})
	check := func(what, want string, index bool) {
		t.Helper()
		if got := lookup(d, "a"); got != want || byIndex(d) != index {
			t.Errorf("%s: %q, by index %v, want %q", what, got, byIndex(d), want)
		}
	}
	check("at first", "one", true)
	write(t, dir, "aliases", "a: three\n")
	check("after a change", "three", false)
	rebuild(t, path)
	check("after newaliases", "three", true)
	was, err := fsys.StatFile(path)
	for now := was; err == nil && now.Changed.Equal(was.Changed); now, err = fsys.StatFile(path) { // until the clock has moved
		write(t, dir, "aliases", "b: three\n")
		if err := os.Chtimes(path, was.ModTime, was.ModTime); err != nil {
			t.Fatal(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	check("a change that hides itself", "none", false)
	rebuild(t, path)
	check("after newaliases", "none", true)
	if err := os.Rename(write(t, dir, "new", "a: three\n"), path); err != nil {
		t.Fatal(err)
	}
	check("another file", "three", false)
	rebuild(t, path)
	check("after newaliases", "three", true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("no file", "error: the aliases cannot be read: stat "+path+": no such file or directory", false)
}

func TestWhatIsNoIndex(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(path string) error
	}{
		{"an empty file", "it is damaged", func(p string) error { return os.Truncate(p, 0) }},
		{"one that lacks its end", "it is damaged", func(p string) error { return os.Truncate(p, 2048) }},
		{"one byte of the seal", "it is damaged", func(p string) error { return flip(p, -1) }},
		{"one byte of the version", "it is damaged", func(p string) error { return flip(p, -int64(sealSize)+22) }},
		{"one byte of the database", "it is damaged", func(p string) error { return flip(p, 8*int64('a'^5381*33&255)) }},
		{"a directory", "not a regular file", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o755)) }},
		{"a link", "too many levels of symbolic links", func(p string) error { return errors.Join(os.Rename(p, p+"2"), os.Symlink(p+"2", p)) }},
		{"a file of two names", "it has more than one name", func(p string) error { return os.Link(p, p+"2") }},
		{"a file that its group may write", "its group or everybody may write it", func(p string) error { return os.Chmod(p, 0o664) }},
		{"a file that everybody may write", "its group or everybody may write it", func(p string) error { return os.Chmod(p, 0o646) }},
	} {
		path := write(t, tempDir(t), "aliases", "a: b\nc: d\n")
		rebuild(t, path)
		if err := c.spoil(path + IndexSuffix); err != nil {
			t.Fatal(err)
		}
		var said []string
		o := testOptions
		o.Report = func(err error) { said = append(said, err.Error()) }
		d := Open([]string{path}, o)
		for range 2 {
			if got := lookup(d, "a") + " " + lookup(d, "c") + " " + lookup(d, "e"); got != "b d none" && c.name != "one byte of the database" {
				t.Errorf("%s: %q", c.name, got)
			}
		}
		if len(said) != 1 || !strings.HasPrefix(said[0], path+".idx: the index is not used: ") || !strings.HasSuffix(said[0], c.want) {
			t.Errorf("%s: said %q", c.name, said)
		}
	}
}

// flip changes a byte of a file, counted from its end when at is negative.
func flip(path string, at int64) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if at < 0 {
		at += int64(len(b))
	}
	b[at] ^= 0x40
	return os.WriteFile(path, b, 0o644)
}

func TestWhoseIndexCounts(t *testing.T) {
	for _, c := range []struct {
		name        string
		index, text uint32
		good        bool
	}{{"the text's owner's", 1000, 1000, true}, {"root's", 0, 1000, true}, {"another user's", 1001, 1000, false}, {"a user's for root", 1000, 0, false}} {
		err := trusted(fsys.Info{Regular: true, Links: 1, Mode: 0o644, UID: c.index}, fsys.Info{UID: c.text})
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A seal that is right, over a database that is not: by somebody who could as well write the text.
func TestAnIndexThatLies(t *testing.T) {
	text := "#a: b\nb: c\n# x\nlong: " + strings.Repeat("y ,", 100) + "\nbad\n"
	for _, c := range []struct {
		name, want string
		r          record
	}{
		{"a comment", "it does not lead to an alias", record{off: 0, line: 1}},
		{"the middle of a line", "it does not lead to the start of a line", record{off: 1, line: 1}},
		{"another name", "it does not lead to the name", record{off: 6, line: 2}},
		{"what comes before a name", "it does not lead to an alias", record{off: 11, line: 2}},
		{"the end", "it leads out of the text", record{off: int64(len(text)), line: 9}},
		{"far away", "it leads out of the text", record{off: 1 << 30, line: 9}},
	} {
		path := write(t, tempDir(t), "aliases", text)
		w := testWriter(t, path)
		if err := w.add("a", c.r); err != nil {
			t.Fatal(err)
		}
		finish(t, w, path)
		var said []string
		d := Open([]string{path}, Options{Report: func(err error) { said = append(said, err.Error()) }})
		if !byIndex(d) {
			t.Fatal("it is not used")
		}
		if got := lookup(d, "a"); got != "none" || len(said) != 1 || !strings.HasSuffix(said[0], c.want) {
			t.Errorf("%s: %q, said %q", c.name, got, said)
		}
		if got := lookup(d, "b"); got != "c" || byIndex(d) {
			t.Errorf("%s: then %q", c.name, got)
		}
	}
}

// unsynced is a file system that does not wait for the disk.
type unsynced struct{ fsys.OS }

type unsyncedFile struct{ fsys.File }

func (unsynced) SyncDir(string) error { return nil }
func (unsyncedFile) Sync() error      { return nil }

func (u unsynced) Create(name string) (fsys.File, error) {
	f, err := u.OS.Create(name)
	return unsyncedFile{f}, err
}

// testBuilder makes indexes in no time, and does not mind a text that was changed a moment ago.
func testBuilder() builder {
	return builder{fs: unsynced{}, now: time.Now, sleep: func(time.Duration) {}, uid: uint32(os.Geteuid())}
}

// testWriter is a writer of the index of a file.
func testWriter(t testing.TB, path string) *writer {
	t.Helper()
	b := testBuilder()
	text, st, err := b.open(path)
	if err != nil {
		t.Fatal(err)
	}
	text.Close()
	w, err := b.create(path, st)
	if err != nil {
		t.Fatal(err)
	}
	w.watch(func(string, record, record) {})
	return w
}

func finish(t testing.TB, w *writer, path string) {
	t.Helper()
	text, _, err := openText(path)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	if err := errors.Join(w.close(), w.finish(text)); err != nil {
		t.Fatal(err)
	}
	w.discard()
}

// While a file and its index are replaced again and again, everybody sees one state of it or another.
func TestLookupsWhileTheIndexIsReplaced(t *testing.T) {
	dir := tempDir(t)
	state := func(i int) string {
		return strings.Repeat(fmt.Sprintf("# %d\n", i), i%7) + fmt.Sprintf("one: m%d\ntwo: m%d\n", i, i)
	}
	path := write(t, dir, "aliases", state(0))
	d := Open([]string{path}, testOptions)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v := d.view()
				one, ok1, err1 := v.find("one")
				two, ok2, err2 := v.find("two")
				none, ok3, err3 := v.find("three")
				v.release()
				if !ok1 || !ok2 || ok3 || errors.Join(err1, err2, err3) != nil || spellAll(one.Members) != spellAll(two.Members) {
					t.Errorf("%v %v %v, %v %v %v, %v", one, two, none, ok1, ok2, ok3, errors.Join(err1, err2, err3))
					return
				}
			}
		})
	}
	b := testBuilder()
	for i := range 30 {
		if err := os.Rename(write(t, dir, "new", state(i)), path); err != nil {
			t.Fatal(err)
		}
		if i%3 > 0 {
			if _, unwritten, err := b.rebuild(path); err != nil || unwritten != nil {
				t.Fatal(err, unwritten)
			}
		}
	}
	close(stop)
	readers.Wait()
}

// A text that is changed in place while an index of it is open.
func TestATextThatChangesUnderItsIndex(t *testing.T) {
	dir := tempDir(t)
	path := write(t, dir, "aliases", "# 1\na: one\n")
	rebuild(t, path)
	d := Open([]string{path}, Options{})
	v := d.view()
	write(t, dir, "aliases", "a: two\n# 22\n")
	if e, ok, err := v.find("a"); !ok || err != nil || spellAll(e.Members) != "two" {
		t.Errorf("%+v, %v, %v", e, ok, err)
	}
	v.release()
}

func TestATextThatChangesBehindTheNamesOfItsIndex(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		sameTime         bool
	}{{"another size at the same time", "a: one, two\n", "one; two", true}, {"the same size at another time", "a: one\na: two\n", "two", false}} {
		dir := tempDir(t)
		path := write(t, dir, "aliases", "a: one\n#: two\n")
		rebuild(t, path)
		v := Open([]string{path}, Options{}).view()
		was, err := fsys.StatFile(path)
		write(t, dir, "aliases", c.text)
		if c.sameTime {
			err = errors.Join(err, os.Chtimes(path, was.ModTime, was.ModTime))
		}
		if e, ok, findErr := v.find("a"); !ok || errors.Join(err, findErr) != nil || spellAll(e.Members) != c.want {
			t.Errorf("%s: %+v, %v, %v", c.name, e, ok, errors.Join(err, findErr))
		}
		v.release()
	}
}

func TestASealIsOfOneText(t *testing.T) {
	now := time.Now()
	text := fsys.Info{Size: 1, ModTime: now, Changed: now, Ino: 7}
	for _, c := range []struct {
		name string
		fn   func(*fsys.Info)
		want bool
	}{
		{"this", func(*fsys.Info) {}, true},
		{"its size", func(i *fsys.Info) { i.Size++ }, false},
		{"its time", func(i *fsys.Info) { i.ModTime = now.Add(1) }, false},
		{"its change", func(i *fsys.Info) { i.Changed = now.Add(1) }, false},
		{"another file", func(i *fsys.Info) { i.Ino++ }, false},
	} {
		other := text
		if c.fn(&other); sealOf(text).of(other) != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
}

// open files of a process, of which there are no more afterwards.
func TestFilesAreClosed(t *testing.T) {
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	dir := tempDir(t)
	path := filepath.Join(dir, "aliases")
	d := Open([]string{path}, testOptions)
	before := count()
	for i := range 50 {
		write(t, dir, "aliases", fmt.Sprintf("a: m%d\n", i))
		rebuild(t, path)
		if got := expand(d, "a"); got != fmt.Sprint("m", i) {
			t.Fatal(got)
		}
		if i%10 == 5 {
			if err := flip(path+IndexSuffix, 2050); err != nil {
				t.Fatal(err)
			}
			expand(d, "a")
			expand(Open([]string{path}, testOptions), "a") // it keeps the index until it is collected
		}
	}
	if after := count(); after > before+2+2*5 {
		t.Errorf("%d files are open, %d were", after, before)
	}
}

func FuzzIndex(f *testing.F) {
	dir := tempDir(f)
	path := write(f, dir, "aliases", indexText)
	rebuild(f, path)
	good, err := os.ReadFile(path + IndexSuffix)
	if err != nil {
		f.Fatal(err)
	}
	want := map[string]string{}
	plain := Open([]string{write(f, dir, "plain", indexText)}, testOptions)
	for _, name := range indexNames {
		want[name] = lookup(plain, name)
	}
	f.Add(good)
	f.Add(good[:2048])
	f.Add(good[len(good)-sealSize:])
	f.Add([]byte(sealMagic))
	for _, at := range []int{0, 1500, 2048, 2060, len(good) - 80, len(good) - 20} {
		b := append([]byte(nil), good...)
		b[at] ^= 1
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path+IndexSuffix, b, 0o644); err != nil {
			t.Fatal(err)
		}
		d := Open([]string{path}, testOptions)
		for _, name := range indexNames {
			if got := strings.ReplaceAll(lookup(d, name), path, filepath.Join(dir, "plain")); got != want[name] {
				t.Fatalf("%s: %q, want %q", name, got, want[name])
			}
		}
		if src := d.files[0].src; src != nil {
			src.release()
		}
	})
}

// FuzzSealedIndex puts seals that are right on databases that need not be.
func FuzzSealedIndex(f *testing.F) {
	dir := tempDir(f)
	path := write(f, dir, "aliases", indexText)
	rebuild(f, path)
	good, err := os.ReadFile(path + IndexSuffix)
	if err != nil {
		f.Fatal(err)
	}
	text, st, err := openText(path)
	if err != nil {
		f.Fatal(err)
	}
	text.Close()
	s, err := readSeal(strings.NewReader(string(good)), int64(len(good)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:s.database])
	f.Add(good[:s.database/2])
	f.Add(append(good[:2048:2048], make([]byte, 4000)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		os.Remove(path + IndexSuffix)
		file, err := fsys.OS{}.Create(path + IndexSuffix)
		if err != nil {
			t.Fatal(err)
		}
		s := sealOf(st)
		s.database = uint64(len(b))
		_, err = file.Write(b)
		if err = errors.Join(err, writeSeal(file, s), file.Close()); err != nil {
			t.Fatal(err)
		}
		d := Open([]string{path}, testOptions)
		for _, name := range indexNames {
			e, ok, _ := d.Lookup(name)
			if ok && (e.Line < 0 || len(e.Members) == 0) {
				t.Fatalf("%s: %+v", name, e)
			}
		}
		if src := d.files[0].src; src != nil {
			src.release()
		}
	})
}

// A process that has read the text goes on by the index when there is one, and is told once when it cannot.
func TestAnIndexThatComesLater(t *testing.T) {
	dir := tempDir(t)
	path := write(t, dir, "aliases", "a: b\n")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	said := 0
	d := Open([]string{path}, Options{Report: func(error) { said++ }})
	step := func(what string, index bool, reports int) {
		t.Helper()
		for range 3 {
			if got := lookup(d, "a"); got != "b" || byIndex(d) != index || said != reports {
				t.Errorf("%s: %q, by index %v, %d reports", what, got, byIndex(d), said)
			}
		}
	}
	step("none", false, 0)
	if err := os.WriteFile(path+IndexSuffix, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	step("nonsense", false, 1)
	rebuild(t, path)
	step("an index", true, 1)
	if err := os.WriteFile(path+IndexSuffix, []byte("more nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	step("nonsense in the place of an open one", false, 2)
	rebuild(t, path)
	step("an index again", true, 2)
	if err := os.Remove(path + IndexSuffix); err != nil {
		t.Fatal(err)
	}
	step("one that is gone", false, 2)
}
