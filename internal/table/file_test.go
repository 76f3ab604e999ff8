package table

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// plain is a table that is its file's text; "broken" is no table.
func plain(name string, b []byte) (string, error) {
	if string(b) == "broken" {
		return "", errors.New("it is broken")
	}
	return string(b), nil
}

// watched is a File of a test, its clock and what it has reported.
type watched struct {
	*File[string]
	path    string
	clock   time.Time
	reports []string
}

func watch(t *testing.T, missing bool, contents string) *watched {
	t.Helper()
	w := &watched{path: filepath.Join(t.TempDir(), "table"), clock: time.Unix(1e9, 0)}
	if contents != "" {
		w.write(t, contents)
	}
	o := FileOptions{Missing: missing, Now: func() time.Time { return w.clock }, Report: func(err error) {
		w.reports = append(w.reports, strings.ReplaceAll(err.Error(), w.path, "table"))
	}}
	var err error
	if w.File, err = OpenFile(w.path, plain, o); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watched) write(t *testing.T, contents string) {
	t.Helper()
	if err := os.WriteFile(w.path+".new", []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(w.path+".new", w.path); err != nil {
		t.Fatal(err)
	}
	w.age(t, time.Hour)
}

// age makes it so long ago that the file was written.
func (w *watched) age(t *testing.T, d time.Duration) {
	t.Helper()
	if err := os.Chtimes(w.path, w.clock.Add(-d), w.clock.Add(-d)); err != nil {
		t.Fatal(err)
	}
}

// inPlace writes the file in its place, now.
func (w *watched) inPlace(t *testing.T, contents string) {
	t.Helper()
	if err := os.WriteFile(w.path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	w.age(t, 0)
}

func (w *watched) later() string {
	w.clock = w.clock.Add(time.Second)
	return w.Get()
}

func TestAChangedFileIsReadAgain(t *testing.T) {
	w := watch(t, true, "one")
	w.write(t, "two")
	if got := w.Get(); got != "one" {
		t.Errorf("within a second: %s", got)
	}
	if got := w.later(); got != "two" {
		t.Errorf("after a second: %s", got)
	}
	w.write(t, "six") // of the same size
	if got := w.later(); got != "six" {
		t.Errorf("after another change: %s", got)
	}
	if len(w.reports) > 0 {
		t.Errorf("%q", w.reports)
	}
}

func TestAClockThatIsSetBackFreezesNoTable(t *testing.T) {
	w := watch(t, true, "one")
	w.clock = w.clock.Add(-time.Hour)
	w.write(t, "two")
	if got := w.Get(); got != "two" {
		t.Error(got)
	}
	w.write(t, "six")
	if got := w.Get(); got != "two" {
		t.Errorf("at once: %s", got)
	}
	if got := w.later(); got != "six" {
		t.Errorf("a second later: %s", got)
	}
}

func TestAFileThatIsBeingWrittenDoesNotCountYet(t *testing.T) {
	w := watch(t, true, "one")
	for _, step := range []struct {
		name, write string
		want        []string // a second later, and so on
	}{
		{"half of it", "half", []string{"one"}},
		{"the rest", "half and half", []string{"one", "half and half"}},
		{"what has become empty", "", []string{"half and half", "half and half", "half and half", "half and half"}},
		{"a comment", "#", []string{"half and half", "#"}},
		{"another", "two", []string{"#", "two"}},
	} {
		w.inPlace(t, step.write)
		for i, want := range step.want {
			if got := w.later(); got != want {
				t.Errorf("%s, %d s later: %q, want %q", step.name, i+1, got, want)
			}
		}
	}
	w.inPlace(t, "future")
	w.age(t, -time.Hour)
	for i, want := range []string{"two", "two", "future"} {
		if got := w.later(); got != want {
			t.Errorf("one of the future, %d s later: %q, want %q", i+1, got, want)
		}
	}
	if got := fmt.Sprintf("%q", w.reports); got != fmt.Sprintf(`["cannot read table: %s"]`, errEmptied) {
		t.Errorf("reported: %s", got)
	}
}

func TestAYoungFileInANewProgram(t *testing.T) {
	for _, contents := range []string{"", "one"} {
		w := watch(t, true, "old")
		w.inPlace(t, contents)
		f := Watch(w.path, w.read, w.o)
		for range 2 {
			if got, err := f.Value(); got != "" || !errors.Is(err, errYoung) {
				t.Errorf("%q: %q, %v", contents, got, err)
			}
			if got, err := f.AsIs(); got != contents || err != nil {
				t.Errorf("%q as it is: %q, %v", contents, got, err)
			}
			w.clock = w.clock.Add(time.Second)
		}
		if got, err := f.Value(); got != contents || err != nil {
			t.Errorf("%q when it is settled: %q, %v", contents, got, err)
		}
		if len(w.reports) > 0 {
			t.Errorf("reported: %q", w.reports)
		}
	}
	w := watch(t, true, "old")
	w.inPlace(t, "broken")
	f := Watch(w.path, w.read, w.o)
	for range 4 {
		if _, err := f.AsIs(); err == nil || err.Error() != "it is broken" {
			t.Errorf("broken, as it is: %v", err)
		}
		w.clock = w.clock.Add(time.Second)
	}
	if len(w.reports) != 1 {
		t.Errorf("reported: %q", w.reports)
	}
	w.inPlace(t, "new")
	if f, err := OpenFile(w.path, plain, w.o); err != nil || f.Get() != "new" {
		t.Errorf("one that must be there at the start: %v", err)
	}
}

func TestAFileWhoseTimesAreSetBackIsReadAgain(t *testing.T) {
	w := watch(t, true, "one")
	info, err := os.Stat(w.path)
	if err != nil {
		t.Fatal(err)
	}
	for changeTime(info) == changeTime(w.seen) { // until the clock of the file system has gone on
		if err := os.WriteFile(w.path, []byte("two"), 0o600); err != nil { // in place, and of the same size
			t.Fatal(err)
		}
		w.age(t, time.Hour)
		if info, err = os.Stat(w.path); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.later(); got != "two" {
		t.Error(got)
	}
}

func TestAFileThatVanishesLeavesTheOldTable(t *testing.T) {
	w := watch(t, true, "")
	w.write(t, "one")
	if got := w.later(); got != "one" {
		t.Errorf("one that was missing at first: %q", got)
	}
	os.Remove(w.path)
	for range 3 {
		if got := w.later(); got != "one" {
			t.Errorf("after the file's end: %q", got)
		}
	}
	if got := fmt.Sprintf("%q", w.reports); got != `["cannot read table: stat table: no such file or directory"]` {
		t.Errorf("reported: %s", got)
	}
	w.write(t, "new")
	if got := w.later(); got != "new" || len(w.reports) != 1 {
		t.Errorf("after its return: %s, %q", got, w.reports)
	}
}

func TestHalfAFileIsNoTable(t *testing.T) {
	w := watch(t, true, "one")
	read, n := w.read, 0
	w.read = func(path string) (string, error) { // somebody writes while it is read
		b, err := read(path)
		n++
		w.write(t, fmt.Sprint("two and", n))
		return b, err
	}
	w.write(t, "two")
	for range 3 {
		if got := w.later(); got != "one" {
			t.Errorf("while it changes: %s", got)
		}
	}
	if err := w.open(atOnce); !errors.Is(err, errUnsteady) {
		t.Errorf("at the start: %v", err)
	}
	if n != 3+6 {
		t.Errorf("read %d times", n)
	}
	w.read = read
	if got := w.later(); got != "two and9" || len(w.reports) > 0 {
		t.Errorf("when it is done: %s, %q", got, w.reports)
	}
}

func TestABrokenFileLeavesTheOldTable(t *testing.T) {
	w := watch(t, true, "one")
	w.write(t, "broken")
	for range 3 {
		if got := w.later(); got != "one" {
			t.Errorf("broken: %s", got)
		}
	}
	os.Remove(w.path)
	if err := os.Mkdir(w.path, 0o700); err != nil {
		t.Fatal(err)
	}
	w.later()
	if got := w.later(); got != "one" {
		t.Errorf("a directory: %s", got)
	}
	os.Remove(w.path)
	w.write(t, "two")
	if got := w.later(); got != "two" {
		t.Errorf("repaired: %s", got)
	}
	if got := fmt.Sprintf("%q", w.reports); got != `["it is broken" "cannot read table: read table: not a regular file"]` {
		t.Errorf("reported: %s", got)
	}
}

func TestAMissingFile(t *testing.T) {
	if got := watch(t, true, "").Get(); got != "" {
		t.Error(got)
	}
	if _, err := OpenFile("/nonexistent/table", plain, FileOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that must exist: %v", err)
	}
	w := watch(t, false, "one")
	os.Remove(w.path)
	for range 3 {
		if got := w.later(); got != "one" {
			t.Errorf("one that must exist and is gone: %s", got)
		}
	}
	if len(w.reports) != 1 {
		t.Errorf("reported: %q", w.reports)
	}
	w.write(t, "one")
	if got := w.later(); got != "one" || len(w.reports) != 1 {
		t.Errorf("after its return: %s, %q", got, w.reports)
	}
}

func TestABrokenFileIsNoTableAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(path, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path, plain, FileOptions{Missing: true}); err == nil || err.Error() != "it is broken" {
		t.Errorf("%v", err)
	}
}

func TestAFileThatEverybodyMayWriteIsNotBelieved(t *testing.T) {
	w := watch(t, true, "one")
	if err := os.Chmod(w.path, 0o666); err != nil {
		t.Fatal(err)
	}
	w.write(t, "two")
	if err := os.Chmod(w.path, 0o666); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := w.later(); got != "one" {
			t.Error(got)
		}
	}
	if got := fmt.Sprintf("%q", w.reports); got != `["cannot read table: read table: everybody may write it"]` {
		t.Errorf("reported: %s", got)
	}
	if err := os.Chmod(w.path, 0o664); err != nil {
		t.Fatal(err)
	}
	if got := w.later(); got != "two" {
		t.Error(got)
	}
}

func TestAFileIsReadWhenItIsFirstNeeded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table")
	clock, reports := time.Unix(1e9, 0), 0
	read := func(path string) (string, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		return plain(path, b)
	}
	f := Watch(path, read, FileOptions{Now: func() time.Time { return clock }, Report: func(error) { reports++ }})
	for _, step := range []struct{ name, contents, want, err string }{
		{"one that must exist and does not", "", "", "no such file"},
		{"one that is broken", "broken", "", "it is broken"},
		{"one that is right", "one", "one", ""},
		{"one that has become wrong", "broken", "one", ""},
		{"one that is right again", "two", "two", ""},
	} {
		if step.contents != "" {
			if err := errors.Join(os.WriteFile(path, []byte(step.contents), 0o600), os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))); err != nil {
				t.Fatal(err)
			}
		}
		clock = clock.Add(time.Second)
		for range 2 {
			got, err := f.Value()
			if got != step.want || (err == nil) != (step.err == "") || err != nil && !strings.Contains(err.Error(), step.err) {
				t.Errorf("%s: %q, %v", step.name, got, err)
			}
		}
	}
	if reports != 3 {
		t.Errorf("%d reports", reports)
	}
}

func TestManyMayLookAtOnce(t *testing.T) {
	w := watch(t, true, "one")
	w.o.Now = time.Now
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 2000 {
				w.hurry()
				if got := w.Get(); got != "one" && got != "two" {
					t.Errorf("%q", got)
				}
			}
		})
	}
	w.write(t, "two")
	all.Wait()
}
