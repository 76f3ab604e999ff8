package aliases

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"postrider/internal/fsys"
)

// An index file is a database, a checksum of each of its pages, and a seal: what the index is of.
const (
	pageSize  = 1024
	sumSize   = 4
	sealMagic = "postrider aliases idx 1\n"
	sealSize  = len(sealMagic) + 5*8 + sumSize
	maxIndex  = 2 << 30 // bytes of an index file
)

// castagnoli is made when it is needed: sendmail, which starts for every message, does not.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// errSeal says that a file is no index, or not as it was written.
var errSeal = errors.New("it is damaged")

// seal says of which state of a file of aliases an index is. A text that was replaced has another inode, one that was
// changed other times; its size is what those see who have set the time.
type seal struct {
	database uint64 // bytes
	size     int64
	modified time.Time
	changed  time.Time
	inode    uint64
}

func sealOf(text fsys.Info) seal {
	return seal{size: text.Size, modified: text.ModTime, changed: text.Changed, inode: text.Ino}
}

// of tells whether the seal is that of a text.
func (s seal) of(text fsys.Info) bool {
	return s.size == text.Size && s.modified.Equal(text.ModTime) && s.changed.Equal(text.Changed) && s.inode == text.Ino
}

func (s seal) encode() []byte {
	b := []byte(sealMagic)
	for _, n := range []uint64{s.database, uint64(s.size), uint64(s.modified.UnixNano()), uint64(s.changed.UnixNano()), s.inode} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

func decodeSeal(b []byte) (seal, bool) {
	body := b[:len(b)-sumSize]
	if string(b[:len(sealMagic)]) != sealMagic || binary.LittleEndian.Uint32(b[len(body):]) != crc32.Checksum(body, castagnoli()) {
		return seal{}, false
	}
	n := func(i int) uint64 { return binary.LittleEndian.Uint64(body[len(sealMagic)+8*i:]) }
	return seal{n(0), int64(n(1)), time.Unix(0, int64(n(2))), time.Unix(0, int64(n(3))), n(4)}, true
}

// pages is how many pages a database has.
func (s seal) pages() int64 { return (int64(s.database) + pageSize - 1) / pageSize }

// pageSum is the checksum of a page. Its number is in it, so that a page at the place of another is noticed.
func pageSum(page []byte, number int64) uint32 {
	return crc32.Update(uint32(number), castagnoli(), page)
}

// writeSeal puts checksums and seal behind the database that a file has.
func writeSeal(f fsys.File, s seal) error {
	sums := make([]byte, 0, s.pages()*sumSize)
	buf := make([]byte, 64*pageSize)
	for at := int64(0); at < int64(s.database); {
		piece := buf[:min(int64(len(buf)), int64(s.database)-at)]
		if n, err := f.ReadAt(piece, at); n < len(piece) {
			return errors.Join(err, io.ErrUnexpectedEOF)
		}
		for i := 0; i < len(piece); i += pageSize {
			page := piece[i:min(i+pageSize, len(piece))]
			sums = binary.LittleEndian.AppendUint32(sums, pageSum(page, (at+int64(i))/pageSize))
		}
		at += int64(len(piece))
	}
	_, err := f.Write(append(sums, s.encode()...))
	return err
}

// readSeal finds the seal of a file of a size. Whether the pages are as they were is found out when they are read.
func readSeal(f io.ReaderAt, size int64) (seal, error) {
	b := make([]byte, sealSize)
	if size < int64(sealSize) || size > maxIndex {
		return seal{}, errSeal
	}
	if n, err := f.ReadAt(b, size-int64(sealSize)); n < len(b) {
		return seal{}, shortRead(err)
	}
	s, ok := decodeSeal(b)
	if !ok || s.database > uint64(size) || int64(s.database)+s.pages()*sumSize+int64(sealSize) != size {
		return seal{}, errSeal
	}
	return s, nil
}

func shortRead(err error) error {
	if err == nil || err == io.EOF {
		return errSeal
	}
	return err
}

// sealed reads a database and finds out whether its pages are as they were written.
type sealed struct {
	f io.ReaderAt
	seal
}

// pooled is how many pages a buffer has room for that is used again.
const pooled = 2

var buffers = sync.Pool{New: func() any { return new([pooled * (pageSize + sumSize)]byte) }}

// ReadAt implements io.ReaderAt.
func (s sealed) ReadAt(p []byte, off int64) (int, error) {
	end := min(off+int64(len(p)), int64(s.database))
	if off < 0 || off >= end {
		return 0, io.EOF
	}
	first, last := off/pageSize, (end-1)/pageSize
	start := first * pageSize
	var buf []byte
	if last-first < pooled {
		b := buffers.Get().(*[pooled * (pageSize + sumSize)]byte)
		defer buffers.Put(b)
		buf = b[:]
	} else {
		buf = make([]byte, (last-first+1)*(pageSize+sumSize))
	}
	sums, pages := buf[:(last-first+1)*sumSize], buf[(last-first+1)*sumSize:]
	pages = pages[:min((last+1)*pageSize, int64(s.database))-start]
	if n, err := s.f.ReadAt(pages, start); n < len(pages) {
		return 0, shortRead(err)
	}
	if n, err := s.f.ReadAt(sums, int64(s.database)+first*sumSize); n < len(sums) {
		return 0, shortRead(err)
	}
	for i := first; i <= last; i++ {
		at := (i - first) * pageSize
		if pageSum(pages[at:min(at+pageSize, int64(len(pages)))], i) != binary.LittleEndian.Uint32(sums[(i-first)*sumSize:]) {
			return 0, errSeal
		}
	}
	n := copy(p, pages[off-start:end-start])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
