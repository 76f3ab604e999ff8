package smtp

import (
	"bytes"
	"encoding/base64"
)

// splitEnd takes a CRLF or a bare LF off a line.
func splitEnd(line []byte) (text, end []byte) {
	text = bytes.TrimSuffix(line, crlf[1:])
	if len(text) < len(line) {
		text = bytes.TrimSuffix(text, crlf[:1])
	}
	return text, line[len(text):]
}

// quotedPrintable encodes text line by line (RFC 2045 section 6.7). Lines may come in chunks.
type quotedPrintable struct {
	col   int
	blank byte // a blank that is encoded when it ends its line
}

// maxEncodedLine is the longest line of either encoding, without its CRLF (RFC 2045 section 6.7 rule 5).
const maxEncodedLine = 76

// append encodes a chunk and appends it to dst.
func (q *quotedPrintable) append(dst, chunk []byte) []byte {
	text, end := splitEnd(chunk)
	for _, c := range text {
		dst = q.literalBlank(dst)
		switch {
		case c == ' ' || c == '\t':
			q.blank = c
		case c > ' ' && c <= '~' && c != '=':
			dst = append(q.room(dst, 1), c)
		default:
			dst = q.escape(dst, c)
		}
	}
	if len(end) > 0 {
		dst = append(q.finish(dst), crlf...)
	}
	return dst
}

// finish ends a line without writing its end.
func (q *quotedPrintable) finish(dst []byte) []byte {
	if q.blank != 0 {
		dst = q.escape(dst, q.blank)
	}
	*q = quotedPrintable{}
	return dst
}

func (q *quotedPrintable) literalBlank(dst []byte) []byte {
	if q.blank == 0 {
		return dst
	}
	dst = append(q.room(dst, 1), q.blank)
	q.blank = 0
	return dst
}

func (q *quotedPrintable) escape(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(q.room(dst, 3), '=', hex[c>>4], hex[c&15])
}

// room breaks the line softly when n more bytes and a "=" would not fit.
func (q *quotedPrintable) room(dst []byte, n int) []byte {
	if q.col+n > maxEncodedLine-1 {
		dst = append(dst, "=\r\n"...)
		q.col = 0
	}
	q.col += n
	return dst
}

// base64Lines encodes bytes into lines of 76 characters (RFC 2045 section 6.8).
type base64Lines struct {
	raw []byte // not yet a whole line
	end []byte // a line end that may turn out to belong to a boundary
}

// rawLine is how many bytes make a line.
const rawLine = maxEncodedLine / 4 * 3

func (b *base64Lines) append(dst, chunk []byte) []byte {
	b.raw = append(b.raw, b.end...)
	text, end := splitEnd(chunk)
	b.end = append(b.end[:0], end...)
	b.raw = append(b.raw, text...)
	n := 0
	for ; len(b.raw)-n >= rawLine; n += rawLine {
		dst = base64.StdEncoding.AppendEncode(dst, b.raw[n:n+rawLine])
		dst = append(dst, crlf...)
	}
	b.raw = b.raw[:copy(b.raw, b.raw[n:])]
	return dst
}

// finish encodes what is left. Before a boundary the last line end is not part of the body.
func (b *base64Lines) finish(dst []byte, atBoundary bool) []byte {
	if !atBoundary {
		b.raw = append(b.raw, b.end...)
	}
	if len(b.raw) > 0 {
		dst = base64.StdEncoding.AppendEncode(dst, b.raw)
		dst = append(dst, crlf...)
	}
	b.raw, b.end = b.raw[:0], b.end[:0]
	return dst
}
