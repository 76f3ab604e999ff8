package submit

import (
	"fmt"
	"io"

	"postrider/internal/status"
)

// writer gathers a message in blocks, and refuses one that is too large. After its first error it takes nothing
// more.
type writer struct {
	to    io.Writer
	limit int64 // bytes allowed; 0: any number
	size  int64 // bytes flushed
	buf   []byte
	err   error
}

func newWriter(to io.Writer, limit int64) *writer {
	return &writer{to: to, limit: limit, buf: blocks.Get().(*[blockSize]byte)[:0]}
}

// release gives up the block.
func (w *writer) release() {
	blocks.Put((*[blockSize]byte)(w.buf[:blockSize]))
	w.buf = nil
}

func (w *writer) write(p []byte) {
	for len(p) > 0 && w.err == nil {
		n := min(len(p), cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		if p = p[n:]; len(p) > 0 {
			w.flush()
		}
	}
}

func (w *writer) writeString(s string) { w.write([]byte(s)) }

// writeLine writes p and a line end.
func (w *writer) writeLine(p []byte) {
	if w.err == nil && len(p)+2 <= cap(w.buf)-len(w.buf) {
		w.buf = append(append(w.buf, p...), '\r', '\n')
		return
	}
	w.write(p)
	w.write(crlf)
}

func (w *writer) flush() {
	if w.err != nil || len(w.buf) == 0 {
		return
	}
	w.size += int64(len(w.buf))
	if w.limit > 0 && w.size > w.limit {
		w.err = status.New("submit.size", 552, status.Code{5, 3, 4}, fmt.Sprintf("message size exceeds limit of %d bytes", w.limit), nil)
		return
	}
	_, w.err = w.to.Write(w.buf)
	w.buf = w.buf[:0]
}
