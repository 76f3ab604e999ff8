package aliases

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"postrider/internal/cdb"
	"postrider/internal/fsys"
)

// IndexSuffix is what the name of an index has behind that of its file.
const IndexSuffix = ".idx"

// indexed is a file that is read through its index: a database in which each name has the place of its line in the text.
// The text is what counts. A line that does not begin with the name says that the index is wrong.
type indexed struct {
	origin
	text, index fsys.File
	stamp       fsys.Info // of text
	seen        fsys.Info // of index
	names       *cdb.Reader
	users       atomic.Int32 // of the files: the last one closes them
}

// Why a text is read that has no index now.
var (
	ErrNoIndex = errors.New("there is no index")
	ErrStale   = errors.New("the index is older than the file")
)

// badIndex says why the text must be read instead.
type badIndex struct {
	file string
	err  error
}

func (b *badIndex) Error() string {
	return fmt.Sprintf("%s: the index is not used: %v", b.file+IndexSuffix, b.err)
}

func (b *badIndex) Unwrap() error { return b.err }

// openIndex opens a file that has an index which can be used.
func openIndex(name string) (*indexed, error) {
	index, err := fsys.OS{}.Open(name + IndexSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoIndex
	}
	if err != nil {
		return nil, &badIndex{name, err}
	}
	x := &indexed{index: index, origin: origin{file: name}}
	x.users.Store(1)
	if err := x.open(name); err != nil {
		x.release()
		return nil, err
	}
	return x, nil
}

func (x *indexed) open(name string) (err error) {
	if x.text, x.stamp, err = openText(name); err != nil {
		return x.bad(err)
	}
	x.owner, x.secret = x.stamp.UID, secret(x.stamp)
	if x.seen, err = x.index.Stat(); err == nil {
		err = trusted(x.seen, x.stamp)
	}
	if err != nil {
		return x.bad(err)
	}
	s, err := readSeal(x.index, x.seen.Size)
	if err != nil {
		return x.bad(err)
	}
	if !s.of(x.stamp) {
		return ErrStale
	}
	if x.names, err = cdb.NewReader(sealed{x.index, s}, int64(s.database)); err != nil {
		return x.bad(err)
	}
	return nil
}

func (x *indexed) bad(err error) error { return &badIndex{x.file, err} }

// trusted tells why an index is not to be trusted: only those who could as well write the text may have written it.
func trusted(index, text fsys.Info) error {
	switch {
	case !index.Regular:
		return errors.New("not a regular file")
	case index.Links != 1:
		return errors.New("it has more than one name")
	case index.UID != 0 && index.UID != text.UID:
		return errors.New("it belongs neither to root nor to the owner of the aliases")
	case index.Mode&0o022 != 0:
		return errors.New("its group or everybody may write it")
	}
	return nil
}

// unchanged tells whether an index is as it was when it was opened.
func unchanged(s source) bool {
	x, ok := s.(*indexed)
	if !ok {
		return true
	}
	now, err := x.index.Stat()
	return err == nil && now == x.seen
}

// retained is a source that has one more user.
func retained(s source) source {
	switch s := s.(type) {
	case *indexed:
		s.users.Add(1)
	case *changing:
		if s.before != nil {
			retained(s.before)
		}
	}
	return s
}

func (x *indexed) release() {
	if x.users.Add(-1) > 0 {
		return
	}
	x.index.Close()
	if x.text != nil {
		x.text.Close()
	}
}

func (x *indexed) about() *origin { return &x.origin }

// find looks a name up. What it reads of the text counts only if the text is still the one that the index is of.
func (x *indexed) find(name string, limit int) (located, bool, error) {
	if len(name) > maxName {
		return located{}, false, nil
	}
	b, ok, err := x.names.Get(name)
	if err != nil {
		return located{}, false, x.bad(err)
	}
	if !ok {
		return located{}, false, nil
	}
	r, err := decodeRecord(b)
	if err != nil {
		return located{}, false, x.bad(err)
	}
	e, cut, err := x.entryAt(r, limit)
	if err != nil {
		return located{}, false, x.bad(err)
	}
	// When another file has got its name it is still what it was, though not in all that stat tells.
	if now, err := x.text.Stat(); err != nil || now.Size != x.stamp.Size || !now.ModTime.Equal(x.stamp.ModTime) {
		return located{}, false, x.bad(errors.Join(ErrStale, err))
	}
	have, l, problem := e.key()
	switch {
	case cut && problem != nil && !r.broken: // what is missing may be where it was not read
		have, l, problem = name, located{e, 0}, nil
	case have != name:
		return located{}, false, x.bad(errors.New("it does not lead to the name"))
	case problem != nil:
		problem.File = x.file
		return located{}, false, *problem
	}
	return l, true, nil
}

// recordSize is the bytes of a record in the database.
const recordSize = 8

func (r record) encode() []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(r.off)<<1|map[bool]uint32{true: 1}[r.broken])
	return binary.LittleEndian.AppendUint32(b, uint32(r.line))
}

func decodeRecord(b []byte) (record, error) {
	if len(b) != recordSize {
		return record{}, errSeal
	}
	at, line := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	return record{off: int64(at >> 1), line: int(line), broken: at&1 == 1}, nil
}

// firstRead is how much of the text is read for an entry at first.
const firstRead = 256

// entryAt reads the entry at a place in the text; cut tells that there is more of it than limit.
func (x *indexed) entryAt(r record, limit int) (e entryLines, cut bool, err error) {
	for size := firstRead; ; size *= 4 {
		text, last, err := x.piece(r.off, size)
		if err != nil {
			return e, false, err
		}
		found := false
		s := scanner{lines: r.line - 1, off: r.off, stray: func(int) {}, entry: func(have entryLines) {
			if !found {
				e, found = have, true
			}
		}}
		s.scan(text, last)
		switch {
		case found && e.off != r.off, last && !found:
			return e, false, errors.New("it does not lead to an alias")
		case found:
			return e, false, nil
		case limit > 0 && len(text) > limit:
			return entryLines{text: text, line: r.line, off: r.off}, true, nil
		}
	}
}

// piece reads so much of the text at a place, where a line must begin.
func (x *indexed) piece(off int64, size int) (text string, last bool, err error) {
	if off >= x.stamp.Size {
		return "", false, errors.New("it leads out of the text")
	}
	before := min(off, 1)
	b := make([]byte, min(before+int64(size), before+x.stamp.Size-off))
	if n, err := x.text.ReadAt(b, off-before); n < len(b) {
		return "", false, errors.Join(errors.New("the text is shorter than it was"), err)
	}
	if before == 1 && b[0] != '\n' {
		return "", false, errors.New("it does not lead to the start of a line")
	}
	return string(b[before:]), off-before+int64(len(b)) == x.stamp.Size, nil
}
