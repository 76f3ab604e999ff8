package smtp

import (
	"bytes"
	"io"
	"sync"
)

// A message leaves as lines of at most 998 bytes that end in CRLF, and in no other form:
//
//	bare CR                  a blank (an end of line for some, for others not: the seed of SMTP smuggling)
//	bare LF                  CRLF
//	NUL                      left out
//	body line too long       cut at 998 bytes, the rest goes on in a new line after a blank
//	header line too long     folded at a blank; cut like a body line when it has none
//	last line without CRLF   gets one
//	line that starts with .  the dot is doubled, after all this (RFC 5321 section 4.5.2)
//
// A message that is clean already passes unchanged but for the dots, in whole runs of lines.

// maxLine is the longest line without its CRLF (RFC 5321 section 4.5.3.1.6).
const maxLine = 998

// bodyBuffers holds what encodeBody reads into.
var bodyBuffers = sync.Pool{New: func() any { b := make([]byte, blockSize); return &b }}

// encodeBody copies the message from r to w in wire form, without the final dot.
func encodeBody(w io.Writer, r io.Reader) error {
	pooled := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(pooled)
	buf, have := *pooled, 0
	e := bodyEncoder{w: w, header: true}
	for {
		n, err := io.ReadFull(r, buf[have:])
		have += n - dropNUL(buf[have:have+n])
		done := e.lines(buf[:have])
		if err == nil && done == 0 && have > len(buf)/2 {
			done = e.part(buf[:have])
		}
		have = copy(buf, buf[done:have])
		switch {
		case e.err != nil:
			return e.err
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			e.last(buf[:have])
			return e.err
		case err != nil:
			return err
		}
	}
}

// dropNUL moves what is not NUL to the front of b and tells how many NULs there were.
func dropNUL(b []byte) int {
	kept := bytes.IndexByte(b, 0)
	if kept < 0 {
		return 0
	}
	for _, c := range b[kept:] {
		if c != 0 {
			b[kept] = c
			kept++
		}
	}
	return len(b) - kept
}

// bodyEncoder is the state between blocks.
type bodyEncoder struct {
	w      io.Writer
	err    error
	header bool // the empty line has not come yet
	within bool // some of the line that comes next has been written
	col    int  // bytes written of the output line
}

// lines writes the whole lines at the start of b and returns how many bytes that was. Lines that need nothing are
// written together, up to the next that does.
func (e *bodyEncoder) lines(b []byte) int {
	run, pos := 0, 0
	for {
		n := bytes.IndexByte(b[pos:], '\n')
		if n < 0 {
			break
		}
		line := b[pos : pos+n+1]
		switch {
		case e.within || n == 0 || n-1 > maxLine || bytes.IndexByte(line, '\r') != n-1:
			e.write(b[run:pos])
			e.odd(bytes.TrimSuffix(line[:n], []byte{'\r'}))
			e.endLine()
			run = pos + n + 1
		case line[0] == '.':
			e.write(b[run:pos])
			e.write(dot)
			run = pos
		case n == 1:
			e.header = false
		}
		pos += n + 1
	}
	e.write(b[run:pos])
	return pos
}

// part writes most of a line whose end is not in sight. What it keeps back is enough to see a CR before the LF and to
// fold what follows.
func (e *bodyEncoder) part(b []byte) int {
	n := len(b) - 2*maxLine
	e.odd(b[:n])
	e.within = true
	return n
}

// last writes what follows the last LF, as a line.
func (e *bodyEncoder) last(b []byte) {
	if len(b) > 0 || e.within {
		e.odd(b)
		e.endLine()
	}
}

func (e *bodyEncoder) endLine() {
	e.write(crlf)
	if !e.within && e.col == 0 {
		e.header = false
	}
	e.within, e.col = false, 0
}

// odd writes text, a line or a part of one, that may hold CRs and be too long. It changes text.
func (e *bodyEncoder) odd(text []byte) {
	for i := bytes.IndexByte(text, '\r'); i >= 0; i = bytes.IndexByte(text, '\r') {
		text[i] = ' '
	}
	if e.col == 0 && !e.within && len(text) > 0 && text[0] == '.' {
		e.write(dot)
	}
	for e.col+len(text) > maxLine {
		n, blank := e.cut(text)
		e.write(text[:n])
		e.write(crlf)
		e.write(blank)
		text, e.col = text[n:], len(blank)
	}
	e.write(text)
	e.col += len(text)
}

// cut finds where to end an output line: in the header before a blank that follows a word, else at the limit but not
// within a UTF-8 sequence, and then a blank of ours begins the next line.
func (e *bodyEncoder) cut(text []byte) (n int, blank []byte) {
	room := maxLine - e.col
	if e.header {
		n = bytes.LastIndexAny(text[:room+1], " \t")
		if n > 0 && (e.col > 1 || len(bytes.TrimLeft(text[:n], " \t")) > 0) {
			return n, nil
		}
	}
	n = room
	for back := 0; back < 3 && n > 1 && text[n]&0xc0 == 0x80; back++ {
		n--
	}
	return n, space
}

func (e *bodyEncoder) write(p []byte) {
	if len(p) > 0 && e.err == nil {
		_, e.err = e.w.Write(p)
	}
}

var (
	dot   = []byte{'.'}
	crlf  = []byte("\r\n")
	space = []byte{' '}
)
