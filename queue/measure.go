package queue

import (
	"bytes"
	"encoding/binary"
	"hash"
	"hash/adler32"
)

// measure watches a message pass and finds its Traits, a block at a time.
type measure struct {
	Traits
	line   int  // bytes of the line that is not ended, with a CR that may belong to its end
	lastCR bool // the newest byte was a CR
	body   bool // the empty line has passed
	adler  hash.Hash32
}

func (m *measure) write(p []byte) {
	if m.adler == nil {
		m.adler = adler32.New()
	}
	m.adler.Write(p)
	for !m.body && len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		m.EightBitHeader = m.EightBitHeader || eightBit(p[:i])
		m.Header += int64(i + 1)
		m.endLine(p[:i])
		p = p[i+1:]
	}
	m.EightBit = m.EightBit || m.EightBitHeader
	if !m.body {
		m.Header += int64(len(p))
	}
	if !m.EightBit && eightBit(p) {
		m.EightBit = true
		m.EightBitHeader = !m.body
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			m.line += len(p)
			m.lastCR = p[len(p)-1] == '\r'
			return
		}
		m.endLine(p[:i])
		p = p[i+1:]
	}
}

// endLine takes the last piece of a line, without the LF.
func (m *measure) endLine(p []byte) {
	n := m.line + len(p)
	if len(p) > 0 && p[len(p)-1] == '\r' || len(p) == 0 && m.lastCR {
		n--
	}
	if n == 0 {
		m.body = true
	}
	m.MaxLine = max(m.MaxLine, n)
	m.line, m.lastCR = 0, false
}

// finish counts a last line without an end.
func (m *measure) finish() Traits {
	m.MaxLine = max(m.MaxLine, m.line)
	if m.sum = 1; m.adler != nil { // 1: the sum of nothing
		m.sum = m.adler.Sum32()
	}
	return m.Traits
}

func eightBit(p []byte) bool {
	for len(p) >= 8 {
		if binary.LittleEndian.Uint64(p)&0x8080808080808080 != 0 {
			return true
		}
		p = p[8:]
	}
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
