package cdb

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// memory is a file in memory.
type memory struct{ b []byte }

func (m *memory) Write(p []byte) (int, error) { m.b = append(m.b, p...); return len(p), nil }

func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy(m.b[off:], p), nil }

func (m *memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m.b).ReadAt(p, off) }

func later(string, []byte, []byte) bool { return true }

// build makes a database of keys and values by turns.
func build(t testing.TB, choose Choose, words ...string) *memory {
	t.Helper()
	m := &memory{}
	w, err := NewWriter(m)
	for i := 0; i < len(words) && err == nil; i += 2 {
		err = w.Add(words[i], []byte(words[i+1]))
	}
	if err != nil {
		t.Fatal(err)
	}
	if size, err := w.Close(choose); err != nil || size != int64(len(m.b)) {
		t.Fatalf("%d bytes of %d, %v", size, len(m.b), err)
	}
	return m
}

func get(t testing.TB, m *memory, key string) string {
	t.Helper()
	r, err := NewReader(m, int64(len(m.b)))
	if err != nil {
		t.Fatal(err)
	}
	value, ok, err := r.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return "none"
	}
	return string(value)
}

func TestGet(t *testing.T) {
	long := strings.Repeat("long", 1000)
	m := build(t, later, "one", "Hello", "two", "Goodbye", "", "nothing", "empty", "", long, long)
	for key, want := range map[string]string{"one": "Hello", "two": "Goodbye", "": "nothing", "empty": "", long: long, "three": "none", strings.Repeat("x", maxKey+1): "none"} {
		if got := get(t, m, key); got != want {
			t.Errorf("%.20s: %.20q", key, got)
		}
	}
	if got := get(t, build(t, later), "one"); got != "none" {
		t.Errorf("an empty database: %q", got)
	}
}

func TestMany(t *testing.T) {
	var words []string
	for i := range 20_000 {
		words = append(words, fmt.Sprint("key-", i), fmt.Sprint(i))
	}
	m := build(t, later, words...)
	for i := range 20_000 {
		if got := get(t, m, words[2*i]); got != words[2*i+1] {
			t.Fatalf("%s: %q", words[2*i], got)
		}
		if got := get(t, m, fmt.Sprint("nokey-", i)); got != "none" {
			t.Fatalf("nokey-%d: %q", i, got)
		}
	}
}

// The sum is that of the file which tinycdb's "cdb -c" makes of the same records.
func TestTheFormatIsThatOfOthers(t *testing.T) {
	m := build(t, later, "one", "Hello", "two", "Goodbye", "", "x", "postm", "")
	if got := fmt.Sprintf("%x", sha256.Sum256(m.b)); got != "ba3dee92e6601cf196c649d7638124df7ac42fe0fde51b4b29391b4f7c1a2365" {
		t.Errorf("sha256 %s", got)
	}
}

func TestOneOfEqualKeysStays(t *testing.T) {
	words := []string{"a", "1", "b", "1", "a", "3", "a", "2", "b", "2"}
	var asked []string
	m := build(t, func(key string, earlier, later []byte) bool {
		asked = append(asked, fmt.Sprintf("%s %s %s", key, earlier, later))
		return string(later) > string(earlier)
	}, words...)
	if a, b := get(t, m, "a"), get(t, m, "b"); a != "3" || b != "2" || len(asked) != 3 {
		t.Errorf("%s, %s, %q", a, b, asked)
	}
}

// collisions are n keys of one hash: each two bytes of them are one of two that lead to the same.
func collisions(n int) []string {
	keys := []string{""}
	for len(keys) < n {
		one, other := twoWays(keys[0])
		for i := range len(keys) {
			keys = append(keys, keys[i]+other)
			keys[i] += one
		}
	}
	return keys[:n]
}

// twoWays are two continuations of key of the same hash.
func twoWays(key string) (one, other string) {
	seen := map[uint32]string{}
	for c := range 1 << 14 {
		two := string([]byte{'0' + byte(c>>7), '0' + byte(c&127)})
		h := hash(key + two)
		if have, ok := seen[h]; ok {
			return have, two
		}
		seen[h] = two
	}
	panic("there are none")
}

func TestKeysOfOneHash(t *testing.T) {
	keys := collisions(maxSame + 1)
	var words []string
	for i, key := range keys[:maxSame] {
		words = append(words, key, fmt.Sprint(i))
	}
	m := build(t, later, words...)
	for i, key := range keys[:maxSame] {
		if got := get(t, m, key); got != fmt.Sprint(i) {
			t.Errorf("%d: %s", i, got)
		}
	}
	if got := get(t, m, keys[maxSame]); got != "none" {
		t.Error(got)
	}
	w, err := NewWriter(&memory{})
	for _, key := range keys {
		if err == nil {
			err = w.Add(key, nil)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(later); !errors.Is(err, ErrCrowded) {
		t.Errorf("%v", err)
	}
}

func TestWhatWouldBeSearchedForTooLong(t *testing.T) {
	w, err := NewWriter(&memory{})
	if err != nil {
		t.Fatal(err)
	}
	var list []uint64
	for i := range uint64(maxProbe) {
		list = append(list, 7<<40|i+1)
	}
	if err := w.table(list); err != nil {
		t.Error(err)
	}
	if err := w.table(append(list, 7<<40|maxProbe+1)); !errors.Is(err, ErrCrowded) {
		t.Errorf("one more: %v", err)
	}
}

func TestWhatIsTooLong(t *testing.T) {
	w, err := NewWriter(&memory{})
	if err != nil {
		t.Fatal(err)
	}
	if w.Add(strings.Repeat("x", maxKey+1), nil) == nil || w.Add("x", make([]byte, maxValue+1)) == nil {
		t.Error("it was taken")
	}
	w.pos = maxSize - 5
	if w.Add("", nil) == nil {
		t.Error("more than 4 GiB")
	}
}

// failing is a file whose n-th operation fails.
type failing struct {
	memory
	left int
}

var errBroken = errors.New("broken")

func (f *failing) op() error {
	f.left--
	if f.left == 0 {
		return errBroken
	}
	return nil
}

func (f *failing) Write(p []byte) (int, error) {
	if err := f.op(); err != nil {
		return 0, err
	}
	return f.memory.Write(p)
}

func (f *failing) WriteAt(p []byte, off int64) (int, error) {
	if err := f.op(); err != nil {
		return 0, err
	}
	return f.memory.WriteAt(p, off)
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if err := f.op(); err != nil {
		return 0, err
	}
	return f.memory.ReadAt(p, off)
}

func TestFaults(t *testing.T) {
	write := func(f File) error {
		w, err := NewWriter(f)
		for i := 0; i < 400 && err == nil; i++ {
			err = w.Add(fmt.Sprint("key ", i%300), []byte("value"))
		}
		if err != nil {
			return err
		}
		_, err = w.Close(later)
		return err
	}
	n := 1
	for ; ; n++ {
		if err := write(&failing{left: n}); err == nil {
			break
		} else if !errors.Is(err, errBroken) {
			t.Fatalf("fault %d: %v", n, err)
		}
	}
	if n < 100 {
		t.Errorf("%d operations", n)
	}
	m := failing{memory: *build(t, later, "a", "b")}
	for n := 1; n <= 3; n++ {
		m.left = n
		r, err := NewReader(&m, int64(len(m.b)))
		if err == nil {
			_, _, err = r.Get("a")
		}
		if !errors.Is(err, errBroken) {
			t.Errorf("read %d: %v", n, err)
		}
	}
}

// A table whose slots are all taken, by records of other keys, and one that is not in the file.
func TestHostileTables(t *testing.T) {
	h := hash("a")
	file := func(start, n uint32, slots int, at uint32) *memory {
		b := make([]byte, headSize)
		copy(b[h&tableOf*slotSize:], appendPair(nil, start, n))
		b = appendPair(b, 1, 0)
		b = append(b, 'b', 0, 0, 0)
		for range slots {
			b = appendPair(b, h, at)
		}
		return &memory{b}
	}
	const table = headSize + 12
	for name, m := range map[string]*memory{
		"full":               file(table, 20_000, 20_000, headSize),
		"full of its own":    file(table, 3, 3, headSize),
		"outside":            file(1<<31, 3, 3, headSize),
		"larger than a file": file(table, 1<<31, 3, headSize),
		"a record outside":   file(table, 3, 3, 1<<31),
		"a record at an end": file(table, 3, 3, table+3*slotSize-4),
		"no record":          file(table, 3, 3, 3),
	} {
		r, err := NewReader(m, int64(len(m.b)))
		if err != nil {
			t.Fatal(err)
		}
		if _, found, err := r.Get("a"); found || !errors.Is(err, ErrDamaged) && name != "no record" {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	for _, size := range []int64{0, headSize - 1, maxSize + 1} {
		if _, err := NewReader(&memory{}, size); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(build(f, later, "one", "Hello", "two", "Goodbye").b, "one")
	f.Add(make([]byte, headSize), "one")
	f.Fuzz(func(t *testing.T, b []byte, key string) {
		r, err := NewReader(&memory{b}, int64(len(b)))
		if err != nil {
			return
		}
		value, found, err := r.Get(key)
		if found && err != nil || len(value) > len(b) {
			t.Fatalf("%v, %v, %d bytes", found, err, len(value))
		}
	})
}

func FuzzWriter(f *testing.F) {
	f.Add("one\ntwo\none\n", "two")
	f.Fuzz(func(t *testing.T, text, other string) {
		words, want := []string{}, map[string]string{}
		for i, key := range strings.Split(text, "\n") {
			words, want[key] = append(words, key, fmt.Sprint(i)), fmt.Sprint(i)
		}
		m := build(t, later, words...)
		for key, value := range want {
			if got := get(t, m, key); got != value {
				t.Fatalf("%q: %s, want %s", key, got, value)
			}
		}
		if got, ok := want[other]; get(t, m, other) != got && ok {
			t.Fatalf("%q is %s", other, get(t, m, other))
		}
	})
}

func BenchmarkGet1M(b *testing.B) {
	f, err := os.CreateTemp(os.Getenv("BENCH_DIR"), "cdb")
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(f.Name())
	w, err := NewWriter(f)
	for i := 0; i < 1_000_000 && err == nil; i++ {
		err = w.Add(fmt.Sprint("name-", i), []byte("12345678"))
	}
	if err != nil {
		b.Fatal(err)
	}
	size, err := w.Close(later)
	if err != nil {
		b.Fatal(err)
	}
	r, err := NewReader(f, size)
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i = (i + 7919) % 1_000_000
		if _, ok, err := r.Get(fmt.Sprint("name-", i)); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
