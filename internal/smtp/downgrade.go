package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// The caps on what is taken apart; what goes beyond is opaque.
const (
	maxHeader  = 128 << 10 // bytes of an entity's header
	maxNesting = 100       // multiparts and messages within each other
	maxParts   = 64 << 10  // parts whose survey is remembered; those after it are converted by their label
)

// errOpaque: 8-bit bytes where RFC 2045 allows no encoding, or beyond the caps.
var errOpaque = errors.New("8-bit bytes in a part that cannot be encoded")

// survey tells which leaves of a message hold 8-bit bytes, in the order they come.
type survey struct{ eight []bool }

// surveyBody reads a message for what newDowngrade has to know. It returns errOpaque when there is something that
// no conversion can help.
func surveyBody(r io.Reader) (*survey, error) {
	d := newDowngrade(r, &survey{})
	d.looking = true
	_, err := io.Copy(io.Discard, d)
	return d.survey, err
}

// downgrade reads a MIME message and gives the same message in 7 bits (RFC 6152 section 3, RFC 2045): leaves with
// 8-bit bytes are encoded, text as quoted-printable and the rest in base64, whatever their label said before; the
// labels of multiparts are corrected; everything else passes. A signature over a part with 8-bit bytes breaks, which
// RFC 1847 section 2.1 told its maker. Header fields stay raw. It works on one line at a time and never recurses.
type downgrade struct {
	r       *bufio.Reader
	survey  *survey
	looking bool // first pass: fill the survey, give nothing
	err     error

	buf  []byte // given, from off
	off  int
	bol  bool // the next chunk begins a line
	mode mode
	open []frame // the entities around this place, outermost first
	leaf int     // leaves seen
	hdr  []byte  // header of the entity being read, so far
	qp   quotedPrintable
	b64  base64Lines
}

// frame is a multipart, or a message/rfc822, which has no boundary.
type frame struct {
	boundary string
	digest   bool // multipart/digest: parts are messages unless they say otherwise (RFC 2046 section 5.1.5)
}

// mode is what happens to lines.
type mode int

const (
	inHeader mode = iota
	inFiller      // preamble, epilogue: nobody reads them, 8-bit bytes become "?"
	inLeaf        // a leaf that passes
	inOpaque      // a part that cannot be encoded
	inQP
	inBase64
)

// downgradeChunk is the longest piece of a line that is looked at; boundaries are far shorter.
const downgradeChunk = 8 << 10

func newDowngrade(r io.Reader, s *survey) *downgrade {
	return &downgrade{r: bufio.NewReaderSize(r, downgradeChunk), survey: s, bol: true}
}

// Read gives the converted message.
func (d *downgrade) Read(p []byte) (int, error) {
	for d.off == len(d.buf) {
		if d.err != nil {
			return 0, d.err
		}
		d.buf, d.off = d.buf[:0], 0
		d.err = d.next()
	}
	n := copy(p, d.buf[d.off:])
	d.off += n
	return n, nil
}

// next takes one line, or a chunk of a very long one.
func (d *downgrade) next() error {
	chunk, err := d.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull && chunk[len(chunk)-1] == '\r' { // leave it with the LF that may follow
		_ = d.r.UnreadByte() // cannot fail after a read
		chunk = chunk[:len(chunk)-1]
	}
	bol := d.bol
	d.bol = err == nil
	if len(chunk) > 0 {
		if cerr := d.chunk(chunk, bol); cerr != nil {
			return cerr
		}
	}
	switch err {
	case bufio.ErrBufferFull:
		return nil
	case io.EOF:
		d.endPart(false)
	}
	return err
}

func (d *downgrade) chunk(chunk []byte, bol bool) error {
	if bol && d.boundary(chunk) {
		return nil
	}
	switch d.mode {
	case inHeader:
		d.header(chunk, bol)
	case inFiller:
		d.give(sevenBits(chunk))
	case inLeaf:
		if d.looking && !ascii7(chunk) {
			d.survey.eight[len(d.survey.eight)-1] = true
		}
		d.give(chunk)
	case inOpaque:
		if !ascii7(chunk) {
			return errOpaque
		}
		d.give(chunk)
	case inQP:
		d.buf = d.qp.append(d.buf, chunk)
	case inBase64:
		d.buf = d.b64.append(d.buf, chunk)
	}
	return nil
}

// give passes bytes on.
func (d *downgrade) give(p []byte) {
	if !d.looking {
		d.buf = append(d.buf, p...)
	}
}

// boundary handles a line that ends a part: its own boundary or one further out (RFC 2046 section 5.1.2).
func (d *downgrade) boundary(line []byte) bool {
	if len(d.open) == 0 || !bytes.HasPrefix(line, []byte("--")) {
		return false
	}
	text := string(bytes.TrimRight(line[2:], " \t\r\n"))
	for i := len(d.open) - 1; i >= 0; i-- {
		b := d.open[i].boundary
		if b == "" || !strings.HasPrefix(text, b) || text != b && text != b+"--" {
			continue
		}
		d.endPart(true)
		d.mode, d.open = inHeader, d.open[:i+1]
		if text != b {
			d.mode, d.open = inFiller, d.open[:i]
		}
		d.give(line)
		return true
	}
	return false
}

// endPart finishes what is under way. The line end before a boundary belongs to the boundary.
func (d *downgrade) endPart(atBoundary bool) {
	switch d.mode {
	case inHeader:
		d.give(d.hdr)
		d.hdr = d.hdr[:0]
	case inQP:
		d.buf = d.qp.finish(d.buf)
	case inBase64:
		d.buf = d.b64.finish(d.buf, atBoundary)
	}
}

// header gathers the header of an entity, and decides about the entity at its end.
func (d *downgrade) header(chunk []byte, bol bool) {
	if bol && len(bytes.TrimRight(chunk, "\r\n")) == 0 {
		d.entity()
		d.give(chunk)
		d.hdr = d.hdr[:0]
		return
	}
	d.hdr = append(d.hdr, chunk...)
	if len(d.hdr) > maxHeader {
		d.give(d.hdr)
		d.hdr, d.mode = d.hdr[:0], inOpaque
	}
}

// entity gives the header with the label that will be true, and chooses the mode for the body.
func (d *downgrade) entity() {
	e := parseEntity(d.hdr, len(d.open) > 0 && d.open[len(d.open)-1].digest)
	label := ""
	switch {
	case e.encoded():
		d.mode = inLeaf
		d.count(false)
		d.give(d.hdr)
		return
	case !e.identity() || e.composite() && len(d.open) >= maxNesting:
		d.mode = inOpaque
	case e.multipart() && e.boundary != "":
		d.mode, d.open = inFiller, append(d.open, frame{e.boundary, e.kind == "multipart/digest"})
		label = "7bit"
	case e.message():
		d.mode, d.open = inHeader, append(d.open, frame{})
		label = "7bit"
	case e.composite():
		d.mode = inOpaque
	default:
		d.mode, label = d.leafMode(e)
	}
	if label == "7bit" && e.encoding == "" {
		label = "" // that is the default
	}
	d.relabel(label)
}

// leafMode counts a leaf and tells what to do with it.
func (d *downgrade) leafMode(e entity) (mode, string) {
	switch {
	case !d.count(e.encoding == "8bit" || e.encoding == "binary"):
		return inLeaf, "7bit"
	case strings.HasPrefix(e.kind, "text/"):
		return inQP, "quoted-printable"
	}
	return inBase64, "base64"
}

// count counts a leaf and tells whether it is to be encoded: the survey knows, or else unsurveyed says.
func (d *downgrade) count(unsurveyed bool) bool {
	n := d.leaf
	d.leaf++
	switch {
	case d.looking && n < maxParts:
		d.survey.eight = append(d.survey.eight, false)
		return false
	case d.looking:
		return false
	case n < len(d.survey.eight):
		return d.survey.eight[n]
	}
	return unsurveyed
}

// relabel gives the header, with another Content-Transfer-Encoding when label is not "".
func (d *downgrade) relabel(label string) {
	if label == "" {
		d.give(d.hdr)
		return
	}
	for field := range headerFields(d.hdr) {
		if !hasName(field, "content-transfer-encoding") {
			d.give(field)
		}
	}
	d.give([]byte("Content-Transfer-Encoding: " + label + "\r\n"))
}

// sevenBits is p with "?" for every 8-bit byte.
func sevenBits(p []byte) []byte {
	if ascii7(p) {
		return p
	}
	return bytes.Map(func(r rune) rune {
		if r >= 0x80 {
			return '?'
		}
		return r
	}, p)
}

func ascii7(p []byte) bool {
	for _, c := range p {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
