package table

import (
	"bytes"
	"fmt"
	"io"
	"sort"
	"strings"
)

// indexed is a table that was read.
type indexed struct {
	path   string
	spec   Spec
	text   text
	keys   index
	groups set
	notes  []string
	marks  []int64 // where every lineStep-th line begins
}

// lineStep is how far apart the lines are of which it is known where they begin.
const lineStep = 64

// read reads the table at path; "" is an empty one.
func read(path string, spec Spec) (*indexed, error) {
	x, err := openText(path)
	if err != nil {
		return nil, err
	}
	t, err := newIndexed(path, spec, x)
	if err != nil {
		x.close()
		return nil, err
	}
	return t, nil
}

func newIndexed(path string, spec Spec, x text) (*indexed, error) {
	n, err := x.count(spec.Words)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	t := &indexed{path: path, spec: spec, text: x, keys: newIndex(n)}
	s := scanner{name: path}
	s.begin = func() {
		if (s.line-1)%lineStep == 0 {
			t.marks = append(t.marks, s.at)
		}
	}
	err = s.scan(x.reader(), func(line string) error { return t.add(&s, line) })
	t.groups.last = ""
	return t, err
}

// add takes in a line.
func (t *indexed) add(s *scanner, line string) error {
	if t.spec.Words {
		return words(line, func(at int, word string) error { return t.addKey(s, s.at+int64(at), word) })
	}
	key, value, err := split(line)
	if err != nil {
		return err
	}
	if t.spec.Value != nil {
		if err := t.spec.Value(key, value); err != nil {
			return fmt.Errorf("%s: %w", shown(key), err)
		}
	}
	return t.addKey(s, s.at, key)
}

func (t *indexed) addKey(s *scanner, at int64, written string) error {
	key, err := t.spec.key(written)
	if err != nil {
		return fmt.Errorf("%s: %w", shown(written), err)
	}
	first, found, slot, err := t.keys.find(key, func(at int64) (bool, error) {
		e, err := t.entry(at)
		return err == nil && t.is(e, key), err
	})
	switch {
	case err != nil:
		return err
	case found && t.spec.Words:
		return nil
	case found:
		t.note(s, "%s is in line %d already, which counts", shown(written), t.lineAt(first))
		return nil
	}
	t.keys.put(slot, key, at)
	if t.spec.Group != nil {
		if g := t.spec.Group(key); g != "" {
			t.groups.add(g)
		}
	}
	return nil
}

func (t *indexed) note(s *scanner, format string, args ...any) {
	if len(t.notes) < maxNotes {
		t.notes = append(t.notes, place(s.name, s.line)+": "+fmt.Sprintf(format, args...))
	}
}

// lookup finds the line of a key.
func (t *indexed) lookup(key string) (e Entry, ok bool, err error) {
	if t.keys.n == 0 {
		return Entry{}, false, nil
	}
	_, ok, _, err = t.keys.find(key, func(at int64) (bool, error) {
		var err error
		e, err = t.entry(at)
		return err == nil && t.is(e, key), err
	})
	if err == nil {
		err = t.text.steady() // no key is missing because somebody has just taken the text away
	}
	if !ok || err != nil {
		return Entry{}, false, err
	}
	return e, true, nil
}

// entry is the line at a place.
func (t *indexed) entry(at int64) (Entry, error) {
	line, err := t.text.line(at)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{table: t, at: at}
	if t.spec.Words {
		e.Key = line
		if i := strings.IndexAny(line, " \t#"); i >= 0 {
			e.Key = line[:i]
		}
		return e, nil
	}
	if line == "" {
		return Entry{}, errChanged
	}
	if e.Key, e.Value, err = split(line); err != nil {
		return Entry{}, errChanged
	}
	return e, nil
}

// is tells whether a line has a key.
func (t *indexed) is(e Entry, key string) bool {
	have, err := t.spec.key(e.Key)
	return err == nil && have == key
}

// lineAt is the number of the line that holds a place; 0 when the text is gone.
func (t *indexed) lineAt(at int64) int {
	i := sort.Search(len(t.marks), func(i int) bool { return t.marks[i] > at }) - 1
	if i < 0 {
		return 0
	}
	n := i*lineStep + 1
	buf := make([]byte, 4096)
	for from := t.marks[i]; from < at; {
		part := buf[:min(int64(len(buf)), at-from)]
		k, err := t.text.ReadAt(part, from)
		if k == 0 && (err == io.EOF || err != nil) {
			return 0
		}
		n += bytes.Count(part[:k], []byte("\n"))
		from += int64(k)
	}
	return n
}
