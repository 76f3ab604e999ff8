package drop

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"postrider/internal/status"
)

// A submission is frames, each a key, the length of its value in bytes, the value, and a line end:
//
//	spool 20:/var/spool/postrider    which spool sendmail means
//	text 4096:...                    a piece of the queue file, any number of times
//	end 4:4096                       how long all pieces are; nothing is read behind it
const (
	keySpool = "spool"
	keyText  = "text"
	keyEnd   = "end"
)

const (
	maxFrame = 256 << 10 // bytes of a value
	maxHead  = 16        // bytes of a key and a length, with what ends them
)

// Writer frames a submission.
type Writer struct {
	w    io.Writer
	n    int64
	head []byte
}

// NewWriter begins a submission to the spool at a path.
func NewWriter(w io.Writer, spool string) (*Writer, error) {
	f := &Writer{w: w}
	return f, f.frame(keySpool, []byte(spool))
}

// Write adds a piece of the queue file.
func (f *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		piece := p[:min(len(p), maxFrame)]
		if err := f.frame(keyText, piece); err != nil {
			return n, err
		}
		n, p = n+len(piece), p[len(piece):]
	}
	f.n += int64(n)
	return n, nil
}

// End ends the submission: it may be accepted from here on.
func (f *Writer) End() error { return f.frame(keyEnd, strconv.AppendInt(nil, f.n, 10)) }

func (f *Writer) frame(key string, value []byte) error {
	f.head = append(append(f.head[:0], key...), ' ')
	f.head = append(strconv.AppendInt(f.head, int64(len(value)), 10), ':')
	for _, p := range [][]byte{f.head, value, {'\n'}} {
		if _, err := f.w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// reader reads frames. What text returns is good until the next call.
type reader struct {
	r   *bufio.Reader
	buf []byte
	n   int64 // bytes of text so far
}

func newReader(r io.Reader) *reader { return &reader{r: bufio.NewReaderSize(r, 64<<10)} }

// malformed is the error of an input that sendmail does not write.
func malformed(why string) error {
	return status.Fail("drop.read", status.ExitDataErr, "standard input is not a submission by sendmail", errors.New(why))
}

// cutOff is the error of an input that ended or failed.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return status.Fail("drop.read", status.ExitIOErr, "the message was cut off; nothing was queued", err)
}

// greet reads the first frame. A sendmail with another configuration than ours means another spool: it must hear of that.
func (r *reader) greet(spool string) error {
	key, value, err := r.frame()
	switch {
	case err != nil:
		return err
	case key != keySpool:
		return malformed("it does not begin with the spool")
	case filepath.Clean(string(value)) != filepath.Clean(spool):
		return status.Fail("drop.spool", status.ExitConfig, "the configuration has another spool than this program",
			fmt.Errorf("that is %s; as root run: postrider setup --system", spool))
	}
	return nil
}

// text is the next piece of the queue file; nil at its end.
func (r *reader) text() ([]byte, error) {
	key, value, err := r.frame()
	switch {
	case err != nil:
		return nil, err
	case key == keyText && len(value) > 0:
		r.n += int64(len(value))
		return value, nil
	case key != keyEnd:
		return nil, malformed("there is an unknown frame")
	case string(value) != strconv.FormatInt(r.n, 10):
		return nil, malformed("it is not as long as it says")
	}
	return nil, nil
}

func (r *reader) frame() (key string, value []byte, err error) {
	key, n, err := r.head()
	if err != nil {
		return "", nil, err
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	value = r.buf[:n]
	if _, err := io.ReadFull(r.r, value); err != nil {
		return "", nil, cutOff(err)
	}
	end, err := r.r.ReadByte()
	switch {
	case err != nil:
		return "", nil, cutOff(err)
	case end != '\n':
		return "", nil, malformed("bad framing")
	}
	return key, value, nil
}

// head reads a key and a length.
func (r *reader) head() (key string, n int, err error) {
	var b []byte
	for len(b) < maxHead {
		c, err := r.r.ReadByte()
		if err != nil {
			return "", 0, cutOff(err)
		}
		switch {
		case c == ' ' && key == "" && len(b) > 0:
			key, b = string(b), b[:0]
		case c == ':' && key != "":
			n, err := strconv.Atoi(string(b))
			if err != nil || n < 0 || n > maxFrame || strconv.Itoa(n) != string(b) {
				return "", 0, malformed("bad framing")
			}
			return key, n, nil
		default:
			b = append(b, c)
		}
	}
	return "", 0, malformed("bad framing")
}
