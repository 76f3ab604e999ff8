package local

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// maxCuts is how many separate Return-Path fields are taken out of a message; a message with more keeps the
// rest, so that memory stays bounded.
const maxCuts = 100

// header is what delivery wants to know of a message's header.
type header struct {
	looped   bool   // a Delivered-To field names the recipient
	headless bool   // the first line is neither a field nor empty
	cuts     []span // Return-Path fields, in order
}

type span struct{ start, end int64 }

// scanHeader reads up to the end of the header, in bounded memory however long its lines are.
func scanHeader(r io.ReaderAt, rcpt string) (h header, err error) {
	br := bufio.NewReaderSize(io.NewSectionReader(r, 0, 1<<62), 32<<10)
	var off int64
	piece, cutting := false, false
	for {
		line, err := br.ReadSlice('\n')
		switch {
		case err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull):
			return h, err
		case piece: // of a line longer than the buffer
		case len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && off > 0: // goes on with the field
		default:
			name, value, ok := cutField(line)
			if !ok {
				h.headless = off == 0 && len(bytes.TrimRight(line, "\r\n")) > 0 || off == 0 && err == io.EOF
				return h, nil
			}
			cutting = bytes.EqualFold(name, []byte("Return-Path"))
			h.looped = h.looped || bytes.EqualFold(name, []byte("Delivered-To")) && strings.EqualFold(string(value), rcpt)
		}
		if cutting {
			h.cut(off, off+int64(len(line)))
		}
		if err == io.EOF {
			return h, nil
		}
		off += int64(len(line))
		piece = errors.Is(err, bufio.ErrBufferFull)
	}
}

// cut marks a range as taken out, together with the one it follows.
func (h *header) cut(start, end int64) {
	if n := len(h.cuts); n > 0 && h.cuts[n-1].end == start {
		h.cuts[n-1].end = end
	} else if n < maxCuts {
		h.cuts = append(h.cuts, span{start, end})
	}
}

// kept are the message's parts between the cuts.
func (h *header) kept(body *io.SectionReader) []io.Reader {
	var parts []io.Reader
	var at int64
	for _, c := range h.cuts {
		parts = append(parts, io.NewSectionReader(body, at, c.start-at))
		at = c.end
	}
	return append(parts, io.NewSectionReader(body, at, body.Size()-at))
}

// cutField splits the first line of a field (RFC 5322 section 2.2); blanks before the colon are obsolete and
// allowed (section 4.5).
func cutField(line []byte) (name, value []byte, ok bool) {
	name, value, ok = bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 {
		return nil, nil, false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return nil, nil, false
		}
	}
	return name, bytes.TrimSpace(value), true
}
