package dsn

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"postrider/internal/status"
)

const (
	// maxFull is the size above which a failed message is not returned whole unless its sender asked for that,
	// and maxAsked the size above which it is not even then: a report must have a chance to arrive.
	maxFull  = 1 << 20
	maxAsked = 10 << 20
	// maxHeader is how much of a header is returned, and read.
	maxHeader = 256 << 10
	// maxWireLine is the longest line on the wire, without CRLF (RFC 5321 section 4.5.3.1.6).
	maxWireLine = 998
)

// original is what the report says and returns of the message.
type original struct {
	text      *io.SectionReader // what is returned of it
	whole     bool
	eightBit  bool
	messageID string // "" unless it is fit for a header
	subject   string // decoded and cleaned
}

// examine reads the message as far as it is returned.
func examine(r *Report) (*original, error) {
	o := &original{whole: r.returnsWhole()}
	size, err := o.readHeader(r.Original)
	if err != nil {
		return nil, err
	}
	if o.whole {
		size = r.Original.Size()
	}
	o.text = io.NewSectionReader(r.Original, 0, size)
	o.eightBit, err = has8bit(io.NewSectionReader(o.text, 0, size))
	return o, err
}

// returnsWhole decides what is returned. Only failures return the message itself (RFC 3461 section 4.3), and
// where the sender said nothing, that is up to us.
func (r *Report) returnsWhole() bool {
	if r.Kind() != "failure" || strings.EqualFold(r.Ret, "HDRS") {
		return false
	}
	limit := int64(maxFull)
	if strings.EqualFold(r.Ret, "FULL") {
		limit = maxAsked
	}
	return r.Original.Size() <= limit
}

// readHeader takes note of the fields that matter and returns the header's size, without the empty line; what
// is longer than maxHeader ends at the last line before.
func (o *original) readHeader(r *io.SectionReader) (size int64, err error) {
	limit := min(r.Size(), maxHeader)
	br := bufio.NewReaderSize(io.NewSectionReader(r, 0, limit), int(limit))
	var name string
	var value []byte
	for {
		line, err := br.ReadSlice('\n')
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, err
		}
		text := bytes.TrimRight(line, "\r\n")
		if len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
			value = append(value, text...)
		} else {
			o.field(name, value)
			n, v, ok := bytes.Cut(text, []byte(":"))
			if !ok {
				return size, nil
			}
			name, value = string(bytes.TrimSpace(n)), append([]byte(nil), v...)
		}
		if err != nil {
			o.field(name, value)
			if r.Size() > maxHeader && size > 0 {
				return size, nil
			}
			return size + int64(len(line)), nil
		}
		size += int64(len(line))
	}
}

func (o *original) field(name string, value []byte) {
	v := string(bytes.TrimSpace(value))
	switch {
	case strings.EqualFold(name, "Message-ID") && o.messageID == "" && isMessageID(v):
		o.messageID = v
	case strings.EqualFold(name, "Subject") && o.subject == "":
		if text, err := new(mime.WordDecoder).DecodeHeader(v); err == nil {
			v = text
		}
		o.subject = status.Clean(v, 120)
	}
}

// isMessageID tells whether v can stand in In-Reply-To: one <...> of visible ASCII.
func isMessageID(v string) bool {
	if len(v) < 3 || len(v) > 250 || v[0] != '<' || v[len(v)-1] != '>' {
		return false
	}
	for i := 1; i < len(v)-1; i++ {
		if v[i] <= ' ' || v[i] >= 0x7f || v[i] == '<' || v[i] == '>' {
			return false
		}
	}
	return true
}

// part is the third part: the message or its header (RFC 6522 section 3, RFC 6533 section 5).
func (o *original) part(global bool) part {
	p := part{description: "Undelivered message", encoding: "7bit", write: o.write}
	switch {
	case o.whole && global:
		p.contentType = "message/global"
	case o.whole:
		p.contentType = "message/rfc822"
	case global:
		p.contentType, p.description = "message/global-headers", "Message header"
	default:
		p.contentType, p.description = "text/rfc822-headers", "Message header"
	}
	if o.eightBit {
		p.encoding = "8bit"
	}
	return p
}

func (o *original) write(w io.Writer) error {
	wire := &wireWriter{w: bufio.NewWriterSize(w, 32<<10)}
	if _, err := io.Copy(wire, io.NewSectionReader(o.text, 0, o.text.Size())); err != nil {
		return err
	}
	return wire.flush()
}

func has8bit(r io.Reader) (bool, error) {
	var s asciiSniffer
	_, err := io.Copy(&s, r)
	return s.found, err
}

// asciiSniffer notes whether anything beyond ASCII is written to it.
type asciiSniffer struct{ found bool }

func (s *asciiSniffer) Write(p []byte) (int, error) {
	for _, c := range p {
		if c >= 0x80 {
			s.found = true
			break
		}
	}
	return len(p), nil
}

// writesASCII tells whether write writes nothing beyond ASCII.
func writesASCII(write func(io.Writer) error) bool {
	var s asciiSniffer
	return write(&s) == nil && !s.found
}

// wireWriter keeps what it is given within what may go over the wire: every CR and LF is part of a CRLF (a CR
// alone becomes a blank, an LF alone a line end), and no line is too long (the rest of one goes on in the next,
// after a blank, which also keeps it from starting a field).
type wireWriter struct {
	w   *bufio.Writer
	cr  bool // a CR is held back
	col int
}

// Write implements io.Writer. Errors are told by flush at the latest.
func (x *wireWriter) Write(p []byte) (int, error) {
	for _, c := range p {
		if x.cr && c != '\n' {
			x.put(' ')
		}
		switch x.cr = c == '\r'; {
		case x.cr:
		case c == '\n':
			x.w.WriteString("\r\n")
			x.col = 0
		default:
			x.put(c)
		}
	}
	_, err := x.w.Write(nil)
	return len(p), err
}

func (x *wireWriter) put(c byte) {
	// Rather a few bytes early than inside a character.
	if x.col >= maxWireLine || x.col >= maxWireLine-utf8.UTFMax && utf8.RuneStart(c) {
		x.w.WriteString("\r\n ")
		x.col = 1
	}
	x.w.WriteByte(c)
	x.col++
}

func (x *wireWriter) flush() error {
	if x.cr {
		x.put(' ')
		x.cr = false
	}
	return x.w.Flush()
}
