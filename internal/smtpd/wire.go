package smtpd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Sizes of what a client may send.
const (
	maxLine    = 12288 + 2 // a line of AUTH with its end (RFC 4954 section 4)
	maxCommand = 2048      // any other command
	smallBlock = 4 << 10   // what a session reads into between messages
	largeBlock = 64 << 10  // and while a message passes
)

// minRate is how many bytes a second a client must send, on the whole, of a message.
const minRate = 500

// What ends a line, and what a line that ended otherwise is.
var (
	errBareLF  = errors.New("a line ended in LF alone")
	errLong    = errors.New("line too long") // the rest of it has not been read
	errDrained = errors.New("the server is going down")
)

// reader reads the lines, texts and chunks that a client sends. It never reads a byte of one kind as another: each is
// taken from the front of one buffer.
type reader struct {
	conn  net.Conn
	buf   []byte // of smallBlock, or of largeBlock while a message passes
	r, w  int    // buf[r:w] is unread
	loose bool   // LF alone may end a line
	flush func() error
	limit func() time.Time // until when the next read has to have succeeded
	saw   int64            // bytes read so far

	mu       sync.Mutex // guards the deadline and what follows
	idle     bool       // a command is waited for, and none has begun
	draining bool
}

var blocks = sync.Pool{New: func() any { return new([largeBlock]byte) }}

// grow makes room for a message.
func (in *reader) grow() {
	if len(in.buf) == largeBlock {
		return
	}
	large := blocks.Get().(*[largeBlock]byte)
	in.w = copy(large[:], in.buf[in.r:in.w])
	in.r = 0
	in.buf = large[:]
}

// shrink gives the room back, once what is left fits into little.
func (in *reader) shrink() {
	if len(in.buf) != largeBlock || in.w-in.r > smallBlock {
		return
	}
	large := (*[largeBlock]byte)(in.buf)
	in.buf = make([]byte, smallBlock)
	in.w = copy(in.buf, large[in.r:in.w])
	in.r = 0
	blocks.Put(large)
}

// release gives the buffer up.
func (in *reader) release() {
	if len(in.buf) == largeBlock {
		blocks.Put((*[largeBlock]byte)(in.buf))
	}
	in.buf, in.r, in.w = nil, 0, 0
}

// fill reads more, after everything that is to be said has been said. It does not return without a byte or an error.
func (in *reader) fill() error {
	if err := in.flush(); err != nil {
		return err
	}
	if in.r == in.w {
		in.r, in.w = 0, 0
	} else if in.w == len(in.buf) && in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if in.w == len(in.buf) { // a line longer than a small block
		bigger := make([]byte, min(4*len(in.buf), largeBlock))
		copy(bigger, in.buf)
		in.buf = bigger
	}
	if err := in.arm(); err != nil {
		return err
	}
	n, err := in.conn.Read(in.buf[in.w:])
	in.w += n
	in.saw += int64(n)
	if n > 0 {
		return nil
	}
	if in.drained() && errors.Is(err, os.ErrDeadlineExceeded) {
		return errDrained
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// poll reads what has come already, as far as it is not in the kernel: TLS may have more than one record. It is called
// when nothing is pending, and tells whether something is now.
func (in *reader) poll() bool {
	in.mu.Lock()
	in.conn.SetReadDeadline(longAgo)
	in.mu.Unlock()
	n, _ := in.conn.Read(in.buf)
	in.r, in.w = 0, n
	in.saw += int64(n)
	return n > 0
}

// arm sets the deadline of the next read.
func (in *reader) arm() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.draining && in.idle {
		return errDrained
	}
	in.conn.SetReadDeadline(in.limit()) // a pipe may have none
	return nil
}

// drain ends a wait for a command, now or when the next begins.
func (in *reader) drain() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.draining = true
	if in.idle {
		in.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (in *reader) drained() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.draining && in.idle
}

// setIdle says whether a session that is drained may end here.
func (in *reader) setIdle(idle bool) {
	in.mu.Lock()
	in.idle = idle
	in.mu.Unlock()
}

// pending tells whether the client has sent more than we have read.
func (in *reader) pending() bool { return in.r < in.w }

// line reads one line of at most maxLine bytes and returns it without its end. It is valid until the next read.
func (in *reader) line() ([]byte, error) {
	for seen := 0; ; {
		p := in.buf[in.r:in.w]
		if i := bytes.IndexByte(p[seen:], '\n'); i >= 0 {
			return in.cut(p[:seen+i+1])
		}
		if seen = len(p); seen >= maxLine {
			return nil, errLong
		}
		if err := in.fill(); err != nil {
			if err == io.EOF && seen > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// cut consumes a line with its end.
func (in *reader) cut(line []byte) ([]byte, error) {
	in.r += len(line)
	text, ok := bytes.CutSuffix(line, crlf)
	switch {
	case !ok && !in.loose:
		return nil, errBareLF
	case len(line) > maxLine:
		return nil, errLong
	case !ok:
		text = line[:len(line)-1]
	}
	return text, nil
}

// chunk hands the next n bytes to take, in pieces that are valid during the call. Bytes are consumed whatever take does.
func (in *reader) chunk(n int64, take func([]byte)) error {
	for n > 0 {
		if !in.pending() {
			if err := in.fill(); err != nil {
				return unexpected(err)
			}
		}
		p := in.buf[in.r:in.w]
		if int64(len(p)) > n {
			p = p[:n]
		}
		take(p)
		in.r += len(p)
		n -= int64(len(p))
	}
	return nil
}

// text hands the text of DATA to take, to the end that d sees.
func (in *reader) text(d *dots, take func([]byte)) error {
	for {
		if !in.pending() {
			if err := in.fill(); err != nil {
				return unexpected(err)
			}
		}
		n, end := d.feed(in.buf[in.r:in.w], take)
		in.r += n
		if end {
			return nil
		}
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

var crlf = []byte("\r\n")
