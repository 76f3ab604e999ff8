package submit

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"postrider/internal/status"
)

// blockSize is the unit in which standard input is read and a message is written.
const blockSize = 64 << 10

// input is standard input, a block at a time. After an error or the end it is not read again: a terminal would
// wait for a second end of file.
type input struct {
	src  io.Reader
	buf  []byte
	r, w int   // buf[r:w] is unread
	err  error // what ended src
	dots bool  // a line of one dot is the end
	done bool  // it was seen
}

// blocks are those that no submission uses. A server has thousands a second.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

func newInput(src io.Reader, dots bool) *input {
	return &input{src: src, buf: blocks.Get().(*[blockSize]byte)[:], dots: dots}
}

// release gives up the block. Nothing that was read in it may be used any more.
func (in *input) release() {
	blocks.Put((*[blockSize]byte)(in.buf))
	in.buf = nil
}

// failure is why the input ended, when it was not its end.
func (in *input) failure() error {
	if in.err == nil || in.err == io.EOF {
		return nil
	}
	if st := (*status.Status)(nil); errors.As(in.err, &st) {
		return st
	}
	return status.Fail("submit.read", status.ExitIOErr, "cannot read the message", in.err)
}

// fill reads more; false when there is no more, or no room for it.
func (in *input) fill() bool {
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if in.err != nil || in.w == len(in.buf) {
		return false
	}
	for range 100 { // as many empty reads as bufio takes
		n, err := in.src.Read(in.buf[in.w:])
		in.w, in.err = in.w+n, err
		if n > 0 || err != nil {
			return n > 0
		}
	}
	in.err = io.ErrNoProgress
	return false
}

// peekLine is the next line with its LF, or as much of it as a block holds, or what is left without an LF. It is
// not consumed.
func (in *input) peekLine() []byte {
	for seen := 0; ; {
		p := in.buf[in.r:in.w]
		if i := bytes.IndexByte(p[seen:], '\n'); i >= 0 {
			return p[:seen+i+1]
		}
		seen = len(p)
		if !in.fill() {
			return in.buf[in.r:in.w]
		}
	}
}

func (in *input) consume(n int) { in.r += n }

// skipLine consumes the next line, however long.
func (in *input) skipLine() {
	for more := true; more; {
		p := in.peekLine()
		in.consume(len(p))
		more = len(p) > 0 && p[len(p)-1] != '\n'
	}
}

// isEnd tells whether a line ends the input, and remembers it.
func (in *input) isEnd(line []byte) bool {
	in.done = in.done || len(line) == 0 || in.dots && line[0] == '.' && len(trimEnd(line)) == 1
	return in.done
}

// trimEnd is a line without its end: LF and all CRs before it.
func trimEnd(line []byte) []byte {
	return bytes.TrimRight(bytes.TrimSuffix(line, []byte{'\n'}), "\r")
}

var crlf = []byte("\r\n")

// copyBody writes the rest of the input with its line ends made CRLF, and an end for a last line that has none.
func (in *input) copyBody(w *writer) {
	b := body{w: w, dots: in.dots, start: true}
	for !in.done && w.err == nil && (in.r < in.w || in.fill()) {
		in.done = b.block(in.buf[in.r:in.w])
		in.r = in.w
	}
	if !in.done {
		b.finish()
	}
}

// body is a line of the body that may stretch over several blocks.
type body struct {
	w     *writer
	dots  bool
	start bool // nothing of the line has been seen
	dot   bool // the line is one dot so far, not yet written
	crs   int  // CRs seen last, not yet written: they belong to the line's end or stand inside it
}

// block takes one block; true when the line that ends the message was in it.
func (b *body) block(p []byte) bool {
	for len(p) > 0 && b.w.err == nil {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			b.piece(p)
			return false
		}
		if b.start { // nearly every line: it lies in one block
			text := bytes.TrimRight(p[:i], "\r")
			if b.dots && len(text) == 1 && text[0] == '.' {
				return true
			}
			b.w.writeLine(text)
		} else {
			b.piece(p[:i])
			if b.dot {
				return true
			}
			b.end()
		}
		p = p[i+1:]
	}
	return false
}

// piece takes bytes of the line, none of them its LF.
func (b *body) piece(p []byte) {
	text := bytes.TrimRight(p, "\r")
	crs := len(p) - len(text)
	switch {
	case len(p) == 0:
		return
	case len(text) == 0:
		b.crs += crs
	case b.start && b.dots && len(text) == 1 && text[0] == '.':
		b.dot, b.crs = true, crs
	default:
		b.release()
		b.w.write(text)
		b.crs = crs
	}
	b.start = false
}

// release writes what was held back, now that more of the line follows.
func (b *body) release() {
	if b.dot {
		b.w.write([]byte{'.'})
		b.dot = false
	}
	for b.crs > 0 && b.w.err == nil {
		n := min(b.crs, len(manyCRs))
		b.w.write(manyCRs[:n])
		b.crs -= n
	}
}

var manyCRs = bytes.Repeat([]byte{'\r'}, 64)

func (b *body) end() {
	b.w.writeLine(nil)
	b.start, b.crs = true, 0
}

// finish ends the last line. One that is a dot needs no LF to end the message.
func (b *body) finish() {
	if !b.start && !b.dot {
		b.end()
	}
}
