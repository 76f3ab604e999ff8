package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// entries are the messages in the given states, oldest first.
func (s *Spool) entries(states State) ([]Entry, error) {
	x, err := s.Snapshot(states)
	if err != nil {
		return nil, err
	}
	var list []Entry
	for i := range x.list {
		list = append(list, x.list[i].entry())
	}
	return list, nil
}

func TestPackedEntriesComeBackAsTheyWere(t *testing.T) {
	if n := unsafe.Sizeof(packed{}); n != 32 {
		t.Errorf("an entry takes %d bytes", n)
	}
	for _, c := range []struct {
		state State
		name  string
	}{
		{New, "0000000000000ZZZZ,S=0"},
		{New, "FFFFFFFFFFFFF0000,S=9223372036854775807"},
		{Held, "00061C1EF6CA4A1Z9,S=812"},
		{Cur, "00061C1EF6CA4A1Z9,S=812:2,0"},
		{Cur, "00061C1EF6CA4A1Z9,S=812:2,1795514400"},
	} {
		e, ok := parseName(c.state, c.name)
		p := pack(e)
		if got := p.entry(); !ok || !reflect.DeepEqual(got, e) {
			t.Errorf("%s came back as %+v", c.name, got)
		}
	}
}

// crowd commits n messages to a spool and returns their entries, oldest first.
func crowd(t *testing.T, s *Spool, n int) []Entry {
	t.Helper()
	fill(t, s, n, New)
	list, err := s.entries(New)
	if err != nil || len(list) != n {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	return list
}

// outcomes are what Each calls fn with, in order.
func outcomes(t *testing.T, x *Snapshot) (ids []ID, kinds map[ID]error) {
	t.Helper()
	kinds = map[ID]error{}
	err := x.Each(func(m *Message, err error) error {
		ids = append(ids, m.ID)
		kinds[m.ID] = err
		if err == nil && len(m.Envelope.Rcpts) != 1 {
			t.Errorf("%s: %+v", m.ID, m.Envelope)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, kinds
}

func TestEachGoesThroughAllInOrder(t *testing.T) {
	for _, n := range []int{0, 1, batchSize, batchSize + 1, 5*batchSize + 3} {
		s := testSpool(t, Options{})
		var want []ID
		for _, e := range crowd(t, s, n) {
			want = append(want, e.ID)
		}
		x, err := s.Snapshot(New | Cur | Held)
		if err != nil || x.Len() != n {
			t.Fatalf("%d of %d, %v", x.Len(), n, err)
		}
		if got, _ := outcomes(t, x); !slices.Equal(got, want) {
			t.Errorf("%d messages: got %v", n, got)
		}
	}
}

func TestEachTellsWhatHappenedMeanwhile(t *testing.T) {
	s := testSpool(t, Options{})
	list := crowd(t, s, 3*batchSize)
	x, err := s.Snapshot(New | Cur | Held)
	if err != nil {
		t.Fatal(err)
	}
	gone, damaged, moved := list[1], list[batchSize], list[2*batchSize+1]
	os.Remove(s.path(newDir, gone.Name))
	os.Truncate(s.path(newDir, damaged.Name), 30)
	os.Rename(s.path(newDir, moved.Name), s.path(curDir, dueName(moved.ID, moved.Size, testTime)))
	ids, kinds := outcomes(t, x)
	if len(ids) != len(list) {
		t.Errorf("%d messages", len(ids))
	}
	for _, e := range list {
		want := map[ID]error{gone.ID: ErrGone, damaged.ID: ErrCorrupt}[e.ID]
		if kinds[e.ID] != want {
			t.Errorf("%s: %v, want %v", e.Name, kinds[e.ID], want)
		}
	}
	if _, err := os.Stat(s.path(newDir, damaged.Name)); err != nil {
		t.Errorf("the damaged file was touched: %v", err)
	}
}

// What somebody left under the name of a queue file or a journal is one message's misfortune.
func TestEachGoesOnAfterForeignFiles(t *testing.T) {
	s := testSpool(t, Options{})
	list := crowd(t, s, 8)
	for i, spoil := range []func(path string) error{
		func(p string) error { return os.Mkdir(p, 0o700) },
		func(p string) error { return syscall.Mkfifo(p, 0o600) },
		func(p string) error { return os.Symlink("/etc/passwd", p) },
		func(p string) error { return os.Symlink(p, p) },
	} {
		path := s.path(newDir, list[i].Name)
		if err := errors.Join(os.Remove(path), spoil(path)); err != nil {
			t.Fatal(err)
		}
	}
	e := list[4]
	if err := errors.Join(os.Rename(s.path(newDir, e.Name), s.path(curDir, dueName(e.ID, e.Size, testTime))),
		os.Mkdir(s.path(journalDir, string(e.ID)), 0o700)); err != nil {
		t.Fatal(err)
	}
	x, err := s.Snapshot(New | Cur)
	if err != nil {
		t.Fatal(err)
	}
	_, kinds := outcomes(t, x)
	for i, e := range list {
		if got, want := kinds[e.ID], i <= 4; errors.Is(got, ErrCorrupt) != want {
			t.Errorf("%d: %v", i, got)
		}
	}
}

func TestEachEndsWithTheErrorOfItsFunction(t *testing.T) {
	s := testSpool(t, Options{})
	crowd(t, s, 6*batchSize)
	x, _ := s.Snapshot(New)
	enough, n := errors.New("enough"), 0
	err := x.Each(func(*Message, error) error {
		if n++; n == batchSize+5 {
			return enough
		}
		return nil
	})
	if err != enough || n != batchSize+5 {
		t.Errorf("%d messages, %v", n, err)
	}
}

func TestAnEnvelopeLongerThanItsFileIsDamage(t *testing.T) {
	s := testSpool(t, Options{})
	e := testEnvelope("bob@r.test")
	text := append(appendEnvelope(nil, &e), testText...)
	for _, size := range []int64{0, 1, 100, int64(len(text)) + 1} {
		name := fileName(newID(time.Now()), size)
		if err := os.WriteFile(s.path(newDir, name), text[:min(size, 150)], 0o600); err != nil {
			t.Fatal(err)
		}
		entry, _ := parseName(New, name)
		if _, err := s.Read(entry); err != ErrCorrupt {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func TestTextIsTheMessageWhereverItIs(t *testing.T) {
	s := testSpool(t, Options{Now: func() time.Time { return testTime }})
	e := submit(t, s, testEnvelope("bob@r.test"), testText)
	m, err := s.Read(e)
	if err != nil {
		t.Fatal(err)
	}
	text := func() string {
		r, err := s.Text(m)
		if err != nil {
			return err.Error()
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		return fmt.Sprint(string(b), err)
	}
	want := testText + "<nil>"
	if got := text(); got != want {
		t.Errorf("new: %q", got)
	}
	c := claim(t, s, e.ID)
	if err := c.Hold(""); err != nil {
		t.Fatal(err)
	}
	if got := text(); got != want {
		t.Errorf("held: %q", got)
	}
	if err := claim(t, s, e.ID).Remove(); err != nil {
		t.Fatal(err)
	}
	if got := text(); got != ErrGone.Error() {
		t.Errorf("removed: %q", got)
	}
}

func TestNoCreateMakesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir+"/state/spool", Options{NoCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Count(New | Cur | Held | Corrupt); n != 0 || err != nil {
		t.Errorf("%d messages, %v", n, err)
	}
	if _, err := s.Find("00061C1EF6CA4A1Z9"); err != ErrGone {
		t.Errorf("find: %v", err)
	}
	if _, err := os.Stat(dir + "/state"); !os.IsNotExist(err) {
		t.Errorf("the spool was made: %v", err)
	}
	made := testSpool(t, Options{})
	submit(t, made, testEnvelope("bob@r.test"), testText)
	again, err := Open(made.Root(), Options{NoCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := again.Count(New | Cur | Held); n != 1 || err != nil {
		t.Errorf("%d messages, %v", n, err)
	}
}

func TestNoCreateStillTellsWhatIsWrong(t *testing.T) {
	file := t.TempDir() + "/file"
	os.WriteFile(file, nil, 0o600)
	if _, err := Open(file, Options{NoCreate: true}); err == nil {
		t.Error("a file is taken for a spool")
	}
}
