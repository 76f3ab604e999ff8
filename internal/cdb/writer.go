package cdb

import (
	"bufio"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

// File is what a Writer writes to: a new file, open for reading too.
type File interface {
	io.Writer
	io.WriterAt
	io.ReaderAt
}

// Writer makes a database. After an error the file is of no use.
type Writer struct {
	f   File
	w   *bufio.Writer
	pos uint64
	at  []uint64 // the hash of each record, turned so that its table is in front, and where the record is
	buf []byte
}

// NewWriter makes a Writer of an empty file.
func NewWriter(f File) (*Writer, error) {
	w := &Writer{f: f, w: bufio.NewWriterSize(f, writeSize), pos: headSize}
	_, err := w.w.Write(make([]byte, headSize))
	return w, err
}

// Add adds a record.
func (w *Writer) Add(key string, value []byte) error {
	if len(key) > maxKey || len(value) > maxValue {
		return fmt.Errorf("cdb: a record of %d and %d bytes is too long", len(key), len(value))
	}
	w.at = append(w.at, uint64(bits.RotateLeft32(hash(key), -8))<<32|w.pos)
	w.buf = appendPair(w.buf[:0], uint32(len(key)), uint32(len(value)))
	w.buf = append(append(w.buf, key...), value...)
	return w.write(w.buf)
}

func (w *Writer) write(b []byte) error {
	w.pos += uint64(len(b))
	if w.pos > maxSize {
		return fmt.Errorf("cdb: more than %d bytes", uint64(maxSize))
	}
	_, err := w.w.Write(b)
	return err
}

// Choose tells whether the later of two records of one key takes the place of the earlier.
type Choose func(key string, earlier, later []byte) bool

// Close writes what a database needs beside its records, and tells its size. It does not close the file.
func (w *Writer) Close(choose Choose) (size int64, err error) {
	if err := w.w.Flush(); err != nil { // equal keys are read again
		return 0, err
	}
	r := &Reader{r: w.f, size: int64(w.pos)}
	slices.Sort(w.at)
	head := make([]byte, 0, headSize)
	rest := w.at
	for t := range uint64(tables) {
		n := 0
		for n < len(rest) && rest[n]>>56 == t {
			n++
		}
		var list []uint64
		if list, err = r.unique(rest[:n], choose); err != nil {
			return 0, err
		}
		rest = rest[n:]
		head = appendPair(head, uint32(w.pos), uint32(2*len(list)))
		if err = w.table(list); err != nil {
			return 0, err
		}
	}
	if err = w.w.Flush(); err == nil {
		_, err = w.f.WriteAt(head, 0)
	}
	return int64(w.pos), err
}

// table writes a hash table, half of which is empty.
func (w *Writer) table(list []uint64) error {
	slots := make([]uint64, 2*len(list))
	for _, at := range list {
		h := bits.RotateLeft32(uint32(at>>32), 8)
		i, probes := int(h>>8)%len(slots), 1
		for ; slots[i] != 0; probes++ {
			if i++; i == len(slots) {
				i = 0
			}
		}
		if probes > maxProbe {
			return ErrCrowded
		}
		slots[i] = uint64(h)<<32 | at&maxSize
	}
	w.buf = w.buf[:0]
	for _, s := range slots {
		w.buf = appendPair(w.buf, uint32(s>>32), uint32(s))
	}
	return w.write(w.buf)
}

// unique leaves of the records of one table one for each key. They are sorted by their hashes.
func (r *Reader) unique(list []uint64, choose Choose) ([]uint64, error) {
	out := list[:0]
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n]>>32 == list[0]>>32 {
			n++
		}
		same, err := list[:1], error(nil)
		if n > 1 {
			if same, err = r.distinct(list[:n], choose); err != nil {
				return nil, err
			}
		}
		out = append(out, same...)
		list = list[n:]
	}
	return out, nil
}

// distinct is unique for records of one hash.
func (r *Reader) distinct(list []uint64, choose Choose) ([]uint64, error) {
	type record struct {
		key   string
		value []byte
	}
	var have []record
	out := list[:0]
	for _, at := range list {
		key, value, err := r.record(at & maxSize)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(have, func(h record) bool { return h.key == key })
		switch {
		case i < 0 && len(have) == maxSame:
			return nil, ErrCrowded
		case i < 0:
			have, out = append(have, record{key, value}), append(out, at)
		case choose(key, have[i].value, value):
			have[i].value, out[i] = value, at
		}
	}
	return out, nil
}
