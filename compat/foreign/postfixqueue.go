package foreign

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A queue file of Postfix is a row of records: a letter for what it is, its length in groups of 7 bits, the lowest first,
// the top bit set in all but the last, and that many bytes. First come those about the message (until M), then its lines
// (until X), then what was found in its header (until E). Files are edited in place: a record 'p' leads to the place where
// the row goes on, and back.
const (
	recSize     = 'C' // data size, data offset, recipients, flags, content length, SMTPUTF8 flags
	recTime     = 'T'
	recFrom     = 'S'
	recRcpt     = 'R'
	recDone     = 'D' // a recipient who has got it
	recCanceled = '/'
	recOrigRcpt = 'O' // before its aliases: ours are expanded later
	recRedirect = '>'
	recWarn     = 'W' // when the sender is to be warned; 0: has been
	recVERP     = 'V'
	recAttr     = 'A'
	recMessage  = 'M'
	recCont     = 'L' // a part of a line
	recNorm     = 'N' // a line, or its last part
	recExtra    = 'X'
	recEnd      = 'E'
	recPointer  = 'p'
	recRet      = '<'
	recEnvID    = 'i'
	recORcpt    = 'o'
	recNotify   = 'n'
)

// recReader reads records, and goes where pointers lead.
type recReader struct {
	src   io.ReaderAt
	size  int64
	buf   *bufio.Reader
	read  int64 // bytes so far; more than a file has twice is a loop
	jumps int
	data  []byte
}

// maxJumps is more pointers than an edited file has: two for each field that was changed or added.
const maxJumps = 20_000

func newRecReader(src io.ReaderAt, size int64) *recReader {
	r := &recReader{src: src, size: size, buf: bufio.NewReader(nil)}
	r.seek(0)
	return r
}

func (r *recReader) seek(to int64) { r.buf.Reset(io.NewSectionReader(r.src, to, r.size-to)) }

// next is the next record. Its data is valid until the one after it is read. The end of the file is ErrUnfinished.
func (r *recReader) next() (kind byte, data []byte, err error) {
	for {
		if kind, data, err = r.record(); err != nil || kind != recPointer {
			return kind, data, err
		}
		to, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		switch {
		case err != nil || to < 0 || to > r.size:
			return 0, nil, malformed("a pointer leads nowhere")
		case to > 0: // 0 is room for a pointer
			if r.jumps++; r.jumps > maxJumps {
				return 0, nil, malformed("it has more than %d pointers", maxJumps)
			}
			r.seek(to)
		}
	}
}

// record reads one record.
func (r *recReader) record() (kind byte, data []byte, err error) {
	if kind, err = r.buf.ReadByte(); err != nil {
		return 0, nil, unfinished(err)
	}
	n, err := r.length()
	if err != nil {
		return 0, nil, err
	}
	if r.read += int64(n) + 2; r.read > 2*r.size+1024 {
		return 0, nil, malformed("its pointers lead in a circle")
	}
	if cap(r.data) < n {
		r.data = make([]byte, n)
	}
	r.data = r.data[:n]
	if _, err = io.ReadFull(r.buf, r.data); err != nil {
		return 0, nil, unfinished(err)
	}
	return kind, r.data, nil
}

func (r *recReader) length() (n int, err error) {
	for shift := 0; ; shift += 7 {
		c, err := r.buf.ReadByte()
		if err != nil {
			return 0, unfinished(err)
		}
		n |= int(c&0x7f) << shift
		if n > maxRecord || shift > 21 {
			return 0, malformed("a record is too long")
		}
		if c < 0x80 {
			return n, nil
		}
	}
}

// unfinished is the error of a file that ends too early.
func unfinished(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrUnfinished
	}
	return err
}

// postfixFile gathers what records say of a message.
type postfixFile struct {
	*Message
	next       Rcpt // what belongs to the recipient that comes next
	redirect   string
	sender     bool
	name, addr string // of the client
	about      int    // bytes
}

// ReadPostfix reads a queue file of Postfix, of any of its queues. src is read again by Copy.
func ReadPostfix(src io.ReaderAt, size int64) (*Message, error) {
	f := &postfixFile{Message: &Message{}}
	r := newRecReader(src, size)
	inMessage, known, text := false, false, false
	for {
		kind, data, err := r.next()
		if err != nil {
			if errors.Is(err, ErrUnfinished) && !known {
				err = malformed("it has no records")
			}
			return nil, err
		}
		switch {
		case kind == recEnd && !text:
			return nil, malformed("it has no text")
		case kind == recEnd:
			return f.finish(src, size)
		case inMessage:
			inMessage = kind != recExtra
			continue
		case kind == recMessage:
			inMessage, text = true, true
			continue
		}
		if f.about += len(data); f.about > maxEnvelope {
			return nil, malformed("more than %d bytes about the message", maxEnvelope)
		}
		if err := f.record(kind, string(data)); err != nil {
			return nil, err
		}
		known = true
	}
}

// record takes a record about the message.
func (f *postfixFile) record(kind byte, s string) error {
	switch kind {
	case recSize:
		if fields := strings.Fields(s); len(fields) >= 6 {
			flags, _ := strconv.Atoi(fields[5])
			f.UTF8 = f.UTF8 || flags&^1 != 0 // more than that the client has asked for it
		}
	case recTime:
		f.Arrival = parseStamp(s)
	case recFrom:
		f.sender = true
		return f.setSender(s)
	case recRcpt:
		r := f.next
		f.next = Rcpt{}
		return f.addRcpt(s, r)
	case recDone, recCanceled:
		f.next = Rcpt{}
	case recORcpt:
		f.next.ORcpt = decodedORcpt(s)
	case recNotify:
		f.next.Notify = notifyWords(s)
	case recRet:
		f.Ret = map[string]string{"1": "FULL", "2": "HDRS"}[s]
	case recEnvID:
		f.EnvID = xtext(s)
	case recWarn:
		f.Warned = strings.TrimSpace(s) == "0"
	case recRedirect:
		f.redirect = s
	case recVERP:
		f.Notes = append(f.Notes, "its sender is no longer made for each recipient (VERP)")
	case recAttr:
		f.attribute(s)
	}
	return nil
}

// attribute takes "name=value". The records about DSN may be written so, too.
func (f *postfixFile) attribute(s string) {
	name, value, _ := strings.Cut(s, "=")
	switch name {
	case "encoding":
		f.Body = map[string]string{"8bit": "8BITMIME", "7bit": "7BIT"}[value]
	case "sasl_username":
		f.Login = value
	case "log_client_name":
		f.name = value
	case "log_client_address":
		f.addr = value
	case "dsn_orig_rcpt", "dsn_original_recipient":
		f.next.ORcpt = decodedORcpt(value)
	case "notify_flags":
		f.next.Notify = notifyWords(value)
	case "ret_flags":
		f.Ret = map[string]string{"1": "FULL", "2": "HDRS"}[value]
	case "envelope_id":
		f.EnvID = xtext(value)
	}
}

// finish checks what was read, at the end of the file.
func (f *postfixFile) finish(src io.ReaderAt, size int64) (*Message, error) {
	if f.redirect != "" && len(f.Rcpts) > 0 {
		f.Rcpts = nil
		if err := f.addRcpt(f.redirect, Rcpt{}); err != nil {
			return nil, err
		}
	}
	switch {
	case !f.sender:
		return nil, malformed("it has no sender")
	case len(f.Rcpts) == 0:
		return nil, ErrDone
	}
	if f.addr != "" {
		f.Client = fmt.Sprintf("%s[%s]", f.name, f.addr)
	}
	f.copy = func(w io.Writer) error { return copyPostfix(w, src, size) }
	return f.Message, nil
}

// copyPostfix writes the lines of a message.
func copyPostfix(w io.Writer, src io.ReaderAt, size int64) error {
	r := newRecReader(src, size)
	inMessage := false
	for {
		kind, data, err := r.next()
		if err != nil {
			return err
		}
		switch {
		case kind == recMessage:
			inMessage = true
		case !inMessage:
		case kind == recExtra, kind == recEnd:
			return nil
		case kind == recNorm, kind == recCont:
			if kind == recNorm {
				data = append(data, '\n')
			}
			if _, err := w.Write(data); err != nil {
				return err
			}
		}
	}
}

// parseStamp reads seconds and microseconds.
func parseStamp(s string) time.Time {
	sec, micro, _ := strings.Cut(strings.TrimSpace(s), " ")
	a, err1 := strconv.ParseInt(sec, 10, 64)
	b, err2 := strconv.ParseInt(strings.TrimSpace(micro), 10, 64)
	if err1 != nil || a <= 0 || a > 1<<40 {
		return time.Time{}
	}
	if err2 != nil || b < 0 || b >= 1e6 {
		b = 0
	}
	return time.Unix(a, b*1000)
}

// decodedORcpt makes an ORCPT of one whose address has been decoded.
func decodedORcpt(s string) string {
	kind, address, ok := strings.Cut(s, ";")
	if !ok || !isXtext(kind) || address == "" {
		return ""
	}
	return kind + ";" + xtext(address)
}

// notifyWords makes NOTIFY of its bits: never, success, failure, delay.
func notifyWords(s string) string {
	bits, err := strconv.Atoi(s)
	if err != nil || bits <= 0 || bits > 15 {
		return ""
	}
	if bits&1 != 0 {
		return "NEVER"
	}
	var list []string
	for i, word := range []string{"SUCCESS", "FAILURE", "DELAY"} {
		if bits&(2<<i) != 0 {
			list = append(list, word)
		}
	}
	return strings.Join(list, ",")
}
