package cdb

import "io"

// Reader finds values. It may be used by several goroutines at once.
type Reader struct {
	r    io.ReaderAt
	size int64
	head [headSize]byte
}

// NewReader makes a Reader of a file of so many bytes.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	if size < headSize || size > maxSize {
		return nil, ErrDamaged
	}
	d := &Reader{r: r, size: size}
	return d, d.read(d.head[:], 0)
}

// Get is the value of a key; false when it has none.
func (r *Reader) Get(key string) (value []byte, found bool, err error) {
	h := hash(key)
	start, n := pair(r.head[h&tableOf*slotSize:])
	if n == 0 {
		return nil, false, nil
	}
	table, slots := int64(start), int64(n)
	if table+slots*slotSize > r.size {
		return nil, false, ErrDamaged
	}
	next := int64(h>>8) % slots
	b := make([]byte, readSlots*slotSize)
	for left := min(slots, maxProbe); left > 0; {
		some := min(left, slots-next, int64(len(b)/slotSize))
		if err := r.read(b[:some*slotSize], table+next*slotSize); err != nil {
			return nil, false, err
		}
		for s := b[:some*slotSize]; len(s) > 0; s = s[slotSize:] {
			have, at := pair(s)
			if at == 0 {
				return nil, false, nil
			}
			if have != h {
				continue
			}
			if value, found, err = r.match(uint64(at), key); found || err != nil {
				return value, found, err
			}
		}
		if left -= some; len(b) < readMore*slotSize {
			b = make([]byte, readMore*slotSize)
		}
		next = (next + some) % slots
	}
	return nil, false, ErrDamaged // no slot of a table that was written is so far from where it is searched
}

// match is the value of the record at a place, if it has this key.
func (r *Reader) match(at uint64, key string) ([]byte, bool, error) {
	if want := len(key); want > maxKey {
		return nil, false, nil
	}
	have, value, err := r.record(at)
	return value, err == nil && have == key, err
}

// guess is how long most records are.
const guess = 64

// record reads the record at a place.
func (r *Reader) record(at uint64) (key string, value []byte, err error) {
	b := make([]byte, max(0, min(guess, r.size-int64(at))))
	if len(b) < pairSize {
		return "", nil, ErrDamaged
	}
	if err := r.read(b, int64(at)); err != nil {
		return "", nil, err
	}
	k, v := pair(b)
	n := pairSize + int64(k) + int64(v)
	if k > maxKey || v > maxValue || int64(at)+n > r.size {
		return "", nil, ErrDamaged
	}
	if n > int64(len(b)) {
		b = make([]byte, n)
		if err := r.read(b, int64(at)); err != nil {
			return "", nil, err
		}
	}
	b = b[pairSize:n]
	return string(b[:k]), b[k:], nil
}

// read fills b. The end of the file is where it should not be.
func (r *Reader) read(b []byte, at int64) error {
	n, err := r.r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = ErrDamaged
	}
	return err
}
