package aliases

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Summary is what newaliases says of a file.
type Summary struct {
	Aliases int // entries, also those that others replace
	Longest int // bytes of the longest value
	Total   int // bytes of all names and values
}

// Report is what there is to say of a file.
type Report struct {
	Summary
	Problems []Problem // by their lines; the first of very many
	More     int       // problems that are not among them
	Bad      int       // problems that are no warnings
}

// maxProblems is how many problems are told of one file.
const maxProblems = 1000

func (r *Report) problem(p Problem) {
	if !p.Warning {
		r.Bad++
	}
	if len(r.Problems) >= maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, p)
}

// Check reads one file and tells everything that is wrong with it, and with its members. The error says that it cannot
// be read, or is not there.
func Check(name string) (Report, error) {
	text, _, err := openText(name)
	if err != nil {
		return Report{}, err
	}
	defer text.Close()
	return check(name, text, &memory{})
}

// register keeps the names of a file while it is checked. Its error says that it cannot.
type register interface {
	add(name string, r record) error
	// close calls duplicate with two records of one name of which the earlier does not count; so may add.
	close() error
	watch(duplicate func(name string, earlier, later record))
}

// record is where a line of a name is.
type record struct {
	off    int64
	line   int
	broken bool // it is malformed
}

// replaces tells whether a record counts in the place of an earlier one of its name.
func (r record) replaces(earlier record) bool { return !r.broken || earlier.broken }

// memory is a register that needs nothing but memory.
type memory struct {
	have      map[string]record
	duplicate func(string, record, record)
}

func (m *memory) watch(duplicate func(string, record, record)) {
	m.have, m.duplicate = map[string]record{}, duplicate
}

func (m *memory) add(name string, r record) error {
	if have, ok := m.have[name]; !ok || choose(name, have, r, m.duplicate) {
		m.have[name] = r
	}
	return nil
}

func (m *memory) close() error { return nil }

// choose is r.replaces, and tells of duplicates.
func choose(name string, earlier, later record, duplicate func(string, record, record)) bool {
	if !earlier.broken && !later.broken {
		duplicate(name, earlier, later)
	}
	return later.replaces(earlier)
}

// errRegister is in the chain of a check's error when it is the register's.
var errRegister = errors.New("the names cannot be kept")

// checker is one check under way.
type checker struct {
	file string
	Report
	names register
	err   error // the register's
}

// check reads a file once, a piece at a time.
func check(file string, text io.Reader, names register) (Report, error) {
	c := &checker{file: file, names: names}
	names.watch(func(name string, earlier, later record) {
		c.problem(Problem{Line: later.line, Warning: true,
			Text: fmt.Sprintf("duplicate alias name %s: line %d does not count", shown(name), earlier.line)})
	})
	s := &scanner{entry: c.entry, stray: func(line int) {
		c.problem(Problem{Line: line, Text: "a line that begins with a blank continues nothing"})
	}}
	if err := c.read(text, s); err != nil {
		return Report{}, err
	}
	if c.err == nil {
		c.err = names.close()
	}
	if c.err != nil {
		return Report{}, errors.Join(errRegister, c.err)
	}
	slices.SortStableFunc(c.Problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return c.Report, nil
}

// pieceSize is how much of a file is read at once, unless an entry is longer.
const pieceSize = 64 << 10

func (c *checker) read(r io.Reader, s *scanner) error {
	rest, total := "", 0
	buf := make([]byte, pieceSize)
	for last := false; !last && c.err == nil; {
		if len(rest) > len(buf) { // so that a long entry is not looked at again and again
			buf = make([]byte, 2*len(rest))
		}
		n, err := io.ReadFull(r, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		last = err != nil
		piece := string(buf[:n])
		if total += n; total > maxFile {
			return tooLong(c.file)
		}
		if i := strings.IndexByte(piece, 0); i >= 0 {
			return notText(c.file, 1+s.lines+strings.Count(rest, "\n")+strings.Count(piece[:i], "\n"))
		}
		rest += piece
		rest = rest[s.scan(rest, last):]
	}
	return nil
}

func (c *checker) problem(p Problem) {
	p.File = c.file
	c.Report.problem(p)
}

// entry looks at one entry.
func (c *checker) entry(e entryLines) {
	name, l, problem := e.key()
	if problem != nil {
		c.problem(*problem)
	}
	if name != "" && c.err == nil {
		c.err = c.names.add(name, record{e.off, e.line, problem != nil})
	}
	if problem != nil {
		return
	}
	v := join(e, l.value)
	c.count(name, &v)
	at := cursor{v: &v}
	split(v.text, func(off int, piece string, open bool) {
		if _, err := readMember(piece, open); err != nil {
			c.problem(Problem{Line: at.line(off), Text: fmt.Sprintf("%s: %s: %v", shown(name), shown(piece), err)})
		}
	})
	if v.slash > 0 {
		c.problem(Problem{Line: v.slash, Text: shown(name) + ": a backslash at the end joins the next line", Warning: true})
	}
}

func (c *checker) count(name string, v *value) {
	n := len(trimmed(v.text))
	c.Aliases++
	c.Longest = max(c.Longest, n)
	c.Total += len(name) + n
}
