package aliases

import "strings"

// entryLines is the text of one entry: whole lines of a file, with the comments between them.
type entryLines struct {
	text string
	line int   // where it begins, from 1
	off  int64 // and its first byte
}

// scanner cuts a file into entries.
type scanner struct {
	entry func(entryLines)
	stray func(line int) // called with the number of a line that begins with a blank and continues nothing

	lines int   // that were taken
	off   int64 // bytes that were
}

// scan takes entries from the start of text, and tells how many bytes it has taken. Unless the text is the last of the
// file it leaves the entry that may go on.
func (s *scanner) scan(text string, last bool) (taken int) {
	var cur entryLines
	open, joined := false, false
	at, end := 0, 0 // where cur begins, and what belongs to it
	flush := func() {
		if open {
			cur.text = text[at:end]
			s.entry(cur)
		}
	}
	pos, n := 0, s.lines
	for pos < len(text) {
		line, next := cutLine(text, pos)
		if !last && text[next-1] != '\n' {
			break
		}
		n++
		switch {
		case ignored(line):
			joined = false
		case !joined && !blank(line[0]):
			flush()
			cur.line, cur.off = n, s.off+int64(pos)
			at, open, end = pos, true, next
			joined = strings.HasSuffix(line, `\`)
		case open:
			end = next
			joined = strings.HasSuffix(line, `\`)
		default:
			s.stray(n)
		}
		pos = next
	}
	switch {
	case last:
		flush()
	case open:
		pos, n = at, cur.line-1
	}
	s.lines, s.off = n, s.off+int64(pos)
	return pos
}

// cutLine is the line at pos without its end, and where the next begins.
func cutLine(text string, pos int) (line string, next int) {
	line, next = text[pos:], len(text)
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line, next = line[:i], pos+i+1
	}
	return strings.TrimSuffix(line, "\r"), next
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// ignored tells whether a line is empty or a comment.
func ignored(line string) bool {
	line = strings.TrimLeft(line, " \t")
	return line == "" || line[0] == '#'
}

// value is what follows the colon of an entry, in one line.
type value struct {
	text   string
	breaks []int // where the lines after the first begin in text
	lines  []int // and their numbers
	first  int
	slash  int // a line whose last character is a backslash; 0: none
}

// join makes one line of an entry's lines from offset from on. As in Sendmail, a line end is dropped and the blanks that
// begin a line stay; a backslash that ends a line is dropped too.
func join(e entryLines, from int) value {
	v := value{first: e.line}
	line, pos := cutLine(e.text, from)
	if pos >= len(e.text) && !strings.HasSuffix(line, `\`) {
		v.text = line
		return v
	}
	var b strings.Builder
	b.Grow(len(e.text) - from)
	e.valueLines(from, func(_ int, line string, n int) {
		if n > e.line {
			v.breaks, v.lines = append(v.breaks, b.Len()), append(v.lines, n)
		}
		if cut, ok := strings.CutSuffix(line, `\`); ok {
			line, v.slash = cut, n
		}
		b.WriteString(line)
	})
	v.text = b.String()
	return v
}

// valueLines calls fn with each line that belongs to the value, from offset from on: where it begins in the text, the line
// without its end, and its number.
func (e entryLines) valueLines(from int, fn func(at int, line string, n int)) {
	for at, n := from, e.line; ; n++ {
		line, next := cutLine(e.text, at)
		if n == e.line || !ignored(line) {
			fn(at, line, n)
		}
		if next >= len(e.text) {
			return
		}
		at = next
	}
}

// cursor finds the lines of growing offsets.
type cursor struct {
	v *value
	i int
}

func (c *cursor) line(off int) int {
	for c.i < len(c.v.breaks) && c.v.breaks[c.i] <= off {
		c.i++
	}
	if c.i == 0 {
		return c.v.first
	}
	return c.v.lines[c.i-1]
}
