package aliases

import "fmt"

// Summary is what newaliases says of a file.
type Summary struct {
	Aliases int // entries, also those that others replace
	Longest int // bytes of the longest value
	Total   int // bytes of all names and values
}

// Check reads one file and tells everything that is wrong with it, and with its members. The error says that it cannot
// be read, or is not there.
func Check(name string) (Summary, []Problem, error) {
	f := file{name: name}
	_, uid, err := f.stat()
	if err != nil {
		return Summary{}, nil, err
	}
	text, err := readText(name)
	if err != nil {
		return Summary{}, nil, err
	}
	c := checker{table: newTable(name, uid)}
	scan(text, c.add, c.stray)
	return c.Summary, c.problems, nil
}

// checker reads each entry as it comes, so that what is wrong is told in the order of the lines.
type checker struct {
	*table
	Summary
}

func (c *checker) add(e entryLines) {
	name, from, ok := c.table.add(e)
	if !ok {
		return
	}
	v := join(e, from)
	c.count(name, &v)
	at := cursor{v: &v}
	split(v.text, func(off int, piece string, open bool) {
		if _, err := readMember(piece, open); err != nil {
			c.problem(Problem{Line: at.line(off), Text: fmt.Sprintf("%s: %s: %v", name, shown(piece), err)})
		}
	})
	if v.slash > 0 {
		c.problem(Problem{Line: v.slash, Text: name + ": a backslash at the end joins the next line", Warning: true})
	}
}

func (c *checker) count(name string, v *value) {
	n := len(trimmed(v.text))
	c.Aliases++
	c.Longest = max(c.Longest, n)
	c.Total += len(name) + n
}
