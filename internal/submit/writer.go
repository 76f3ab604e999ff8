package submit

import (
	"io"

	"postrider/internal/status"
)

// writer gathers a message in blocks, and refuses one that is too large. After its first error it takes nothing
// more.
type writer struct {
	to   io.Writer
	left int64 // bytes still allowed; <0: any number
	buf  []byte
	err  error
}

func newWriter(to io.Writer, limit int64) *writer {
	if limit <= 0 {
		limit = -1
	}
	return &writer{to: to, left: limit, buf: make([]byte, 0, blockSize)}
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
	n := int64(len(w.buf))
	switch {
	case w.err != nil || n == 0:
		return
	case w.left >= 0 && n > w.left:
		w.err = status.New("submit.size", 552, status.Code{5, 3, 4}, "message size exceeds limit", nil)
		return
	case w.left >= 0:
		w.left -= n
	}
	_, w.err = w.to.Write(w.buf)
	w.buf = w.buf[:0]
}
