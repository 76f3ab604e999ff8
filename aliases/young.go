package aliases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// Half of a text does not say which aliases there are. Nothing tells that a file is whole that somebody writes in its
// place, but that he has ceased to.
const (
	quiet    = 2 * time.Second  // after the last writing the text is whole
	patience = 10 * time.Second // after the first sight of a writing that does not end the text counts as it is
)

// changing is a text that may be half of one. What it lacks is as it was before, and unknown if nobody knows that.
type changing struct {
	*table
	before source // nil: not known
}

// find is source.find. The error is a *status.Status when there is no knowing.
func (c *changing) find(name string, limit int) (located, bool, error) {
	now, here, err := c.table.find(name, limit)
	if here && (now.off != c.end || closed(now.text)) {
		return now, true, nil
	}
	if c.before == nil {
		if err == nil {
			err = unsettled(c.file)
		}
		return located{}, false, err
	}
	was, ok, errBefore := c.before.find(name, limit)
	var bad *badIndex
	switch {
	case errors.As(errBefore, &bad): // the text that its index leads to is no more
		return located{}, false, unsettled(c.file)
	case ok || errBefore != nil:
		return was, ok, errBefore
	case here:
		return located{}, false, unsettled(c.file)
	}
	return located{}, false, err
}

func (c *changing) release() {
	if c.before != nil {
		c.before.release()
	}
}

// closed tells whether an entry that is the last of a text is not about to go on.
func closed(entry string) bool {
	line, ok := strings.CutSuffix(entry, "\n")
	line = strings.TrimRight(line, " \t\r")
	return ok && !strings.HasSuffix(line, ",") && !strings.HasSuffix(line, `\`)
}

// unsettled is the outcome of a lookup that needs a text which is being written.
func unsettled(name string) error {
	return status.New("aliases", 451, status.Code{4, 3, 0}, "the aliases are being changed", fmt.Errorf("%s: it was written a moment ago, or emptied", name))
}

// settled tells whether a text that looks so is whole. One that has become empty is what a writing begins with, and what is
// left of one on a full disk, however old it is. The first text that is seen, with no index of another, changes nothing.
func (f *file) settled(st fsys.Info) bool {
	if f.before == nil && !f.stale {
		return true
	}
	if st.Size == 0 && (f.before == nil || filled(f.before)) {
		return false
	}
	now := f.clock()
	if now.Sub(st.ModTime) >= quiet {
		f.since = time.Time{}
		return true
	}
	if f.since.IsZero() {
		f.since = now
	}
	return now.Sub(f.since) >= patience
}

// filled tells whether there was anything in a text.
func filled(s source) bool {
	switch s := s.(type) {
	case *indexed:
		return s.stamp.Size > 0
	case *table:
		return len(s.entries)+len(s.broken) > 0
	}
	return false
}

// settle lets a text count that has not changed since it was seen changing.
func (f *file) settle(st fsys.Info) {
	if c, ok := f.src.(*changing); ok && f.settled(st) {
		f.forget()
		f.src = c.table
	}
}

// outdate is drop, but keeps what a whole text has said until the next one is whole.
func (f *file) outdate() {
	switch f.src.(type) {
	case *table, *indexed:
		if f.err == nil {
			if f.before != nil {
				f.before.release()
			}
			f.before, f.src = f.src, nil
		}
	}
	f.drop()
}

// forget is drop, and forgets what was before.
func (f *file) forget() {
	if f.src != nil {
		f.src.release()
	}
	if f.before != nil {
		f.before.release()
	}
	f.src, f.before = nil, nil
}

// missing tells whether a file that is not there should be: it was there, or its index is, or a link to it.
func (f *file) missing() bool {
	for _, trace := range []string{f.name, f.name + IndexSuffix} {
		if _, err := os.Lstat(trace); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return f.existed
}
