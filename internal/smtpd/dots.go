package smtpd

import "bytes"

// ends says which line ends a text may have.
type ends int

const (
	strictEnds ends = iota // CRLF; others are noted
	mendedEnds             // LF alone as well, and it becomes CRLF; but the text ends with CRLF.CRLF only
	looseEnds              // and LF.LF ends the text, too: pipes of this machine
)

// dots reads the text of DATA: it takes the dots away that stand for dots and finds the end (RFC 5321 section 4.5.2). The
// result does not depend on how the text is cut into pieces.
type dots struct {
	ends   ends
	plain  bool // dots mean nothing and nothing is an end: the text comes in chunks
	state  dotState
	bareCR bool // a CR was seen that is not before an LF
	bareLF bool // an LF was seen that is not behind a CR
}

// dotState is what came last.
type dotState int

const (
	atStart dotState = iota // the end of a line, or nothing
	atSoft                  // the end of a line by LF alone, after which a dot cannot be the end of the text
	atDot                   // a dot at the start of a line, which was taken away
	atDotCR                 // and a CR behind it, which is held back
	inLine                  // something else
	atCR                    // something else that ends in a CR
)

// feed takes the next piece. It hands on what belongs to the text and tells how many bytes it has used: all, unless the
// end was among them.
func (d *dots) feed(p []byte, take func([]byte)) (n int, end bool) {
	from, i := 0, 0 // p[from:i] is to be handed on
	give := func() {
		if i > from {
			take(p[from:i])
		}
	}
	for i < len(p) {
		switch d.state {
		case atStart:
			if d.state = inLine; p[i] == '.' && !d.plain {
				give()
				i++
				from, d.state = i, atDot
			}
		case atSoft:
			if d.state = inLine; p[i] == '.' && !d.plain {
				give()
				i++
				from = i
			}
		case atDot:
			switch {
			case p[i] == '\r':
				i++
				from, d.state = i, atDotCR
			case p[i] == '\n' && d.ends == looseEnds:
				return i + 1, true
			default:
				d.state = inLine
			}
		case atDotCR:
			if p[i] == '\n' {
				return i + 1, true
			}
			take(crlf[:1])
			d.state = atCR
		default:
			i, from = d.line(p, i, from, take)
		}
	}
	give()
	return len(p), false
}

// line takes the rest of a line, or what there is of it.
func (d *dots) line(p []byte, i, from int, take func([]byte)) (int, int) {
	if d.state == atCR && p[i] != '\n' {
		d.bareCR = true
	}
	j := bytes.IndexByte(p[i:], '\n')
	if j < 0 {
		rest := p[i:]
		d.state = inLine
		if rest[len(rest)-1] == '\r' {
			d.state, rest = atCR, rest[:len(rest)-1]
		}
		d.bareCR = d.bareCR || bytes.IndexByte(rest, '\r') >= 0
		return len(p), from
	}
	text := p[i : i+j]
	whole := j == 0 && d.state == atCR
	if j > 0 && text[j-1] == '\r' {
		whole, text = true, text[:j-1]
	}
	d.bareCR = d.bareCR || bytes.IndexByte(text, '\r') >= 0
	i += j
	switch {
	case whole:
		d.state = atStart
	case d.ends == strictEnds:
		d.bareLF, d.state = true, inLine
	default:
		if d.bareLF, d.state = true, atStart; d.ends == mendedEnds {
			d.state = atSoft
		}
		if i > from {
			take(p[from:i])
		}
		take(crlf[:1]) // the LF follows
		from = i
	}
	return i + 1, from
}
