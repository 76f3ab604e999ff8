package route

import (
	"bufio"
	"bytes"
	"io"
	"sort"
	"strings"

	"postrider/internal/address"
)

// The caps on a header that is rewritten. What is beyond stays as it is.
const (
	maxHeader = 1 << 20
	maxField  = 64 << 10
)

// outwardFields are the fields whose addresses are rewritten: of senders, and of recipients.
var outwardFields = map[string]bool{ // whether it is a sender's
	"from": true, "sender": true, "reply-to": true, "resent-from": true, "resent-sender": true, "resent-reply-to": true,
	"errors-to": true, "return-receipt-to": true, "disposition-notification-to": true,
	"to": false, "cc": false, "resent-to": false, "resent-cc": false,
}

// Message is a message as others see it: the addresses of senders in its header as Outward has them, and those of recipients
// as domaintable has them. All other bytes are those of body, which is read and not changed. When there is nothing to
// change it is body itself. An error is temporary.
func (r *Router) Message(body *io.SectionReader) (*io.SectionReader, error) {
	rewrites, err := r.Rewrites()
	if !rewrites || err != nil {
		return body, err
	}
	s := splicer{from: body}
	in := bufio.NewReaderSize(io.NewSectionReader(body, 0, body.Size()), 4096)
	for s.at < maxHeader {
		field, size, err := readField(in)
		if err != nil && err != io.EOF {
			return nil, err
		}
		if size == 0 {
			break
		}
		if err := r.rewriteField(&s, field); err != nil {
			return nil, err
		}
		s.at += size
	}
	return s.result(), nil
}

// readField reads one field, folded or not, with its line ends, and tells how long it is; of one that is too long it gives
// nothing. The empty line that ends the header, and what is no field, has no size.
func readField(in *bufio.Reader) (field []byte, size int64, err error) {
	for whole := true; ; { // at the beginning of a line when whole
		if whole {
			next, err := in.Peek(1)
			switch {
			case err == io.EOF && size > 0:
				return field, size, nil
			case err != nil:
				return nil, 0, err
			case size == 0 && (next[0] == '\r' || next[0] == '\n' || next[0] == ' ' || next[0] == '\t'):
				return nil, 0, nil
			case size > 0 && next[0] != ' ' && next[0] != '\t':
				return field, size, nil
			}
		}
		part, err := in.ReadSlice('\n')
		size += int64(len(part))
		switch {
		case err != nil && err != bufio.ErrBufferFull && err != io.EOF:
			return nil, size, err
		case size > maxField:
			field = nil
		default:
			field = append(field, part...)
		}
		whole = err != bufio.ErrBufferFull
		if err == io.EOF {
			return field, size, nil
		}
	}
}

// rewriteField changes the addresses in a field that begins where s is.
func (r *Router) rewriteField(s *splicer, field []byte) error {
	colon := bytes.IndexByte(field, ':')
	if colon < 0 {
		return nil
	}
	sender, ok := outwardFields[strings.ToLower(string(bytes.TrimRight(field[:colon], " \t")))]
	if !ok {
		return nil
	}
	value := string(bytes.TrimRight(field[colon+1:], "\r\n"))
	list, err := address.ParseList(value, address.Lenient)
	if err != nil {
		return nil
	}
	for _, m := range list {
		if m.Err != nil || m.Address.IsNull() {
			continue
		}
		to, err := r.outwardIn(m.Address, sender)
		if err != nil {
			return err
		}
		if to != m.Address {
			at := s.at + int64(colon+1)
			s.replace(at+int64(m.Start), at+int64(m.End), to.String())
		}
	}
	return nil
}

func (r *Router) outwardIn(a address.Address, sender bool) (address.Address, error) {
	if !sender {
		return r.outwardRecipient(a)
	}
	to, _, err := r.Outward(a)
	return to, err
}

// splicer makes a text of parts of another and of new ones.
type splicer struct {
	from  *io.SectionReader
	at    int64 // of the field that is looked at
	done  int64 // how far from is used
	size  int64
	parts []part
}

// part is a piece of a text: new bytes, or those of the old text from a place on.
type part struct {
	start int64 // in the new text
	text  string
	from  int64
	size  int64
}

func (s *splicer) add(p part) {
	if p.size > 0 {
		p.start = s.size
		s.parts, s.size = append(s.parts, p), s.size+p.size
	}
}

// replace puts text in the place of the bytes from begin to end, which is behind all that was replaced before.
func (s *splicer) replace(begin, end int64, text string) {
	s.add(part{from: s.done, size: begin - s.done})
	s.add(part{text: text, from: -1, size: int64(len(text))})
	s.done = end
}

// result is the whole new text.
func (s *splicer) result() *io.SectionReader {
	if len(s.parts) == 0 {
		return s.from
	}
	s.add(part{from: s.done, size: s.from.Size() - s.done})
	return io.NewSectionReader(s, 0, s.size)
}

// ReadAt implements io.ReaderAt.
func (s *splicer) ReadAt(b []byte, at int64) (n int, err error) {
	i := sort.Search(len(s.parts), func(i int) bool { return s.parts[i].start+s.parts[i].size > at })
	for ; n < len(b) && i < len(s.parts); i++ {
		p := s.parts[i]
		skip := at + int64(n) - p.start
		room := b[n:min(int64(len(b)), int64(n)+p.size-skip)]
		if p.from < 0 {
			n += copy(room, p.text[skip:])
			continue
		}
		k, err := s.from.ReadAt(room, p.from+skip)
		if n += k; k < len(room) {
			return n, err
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
