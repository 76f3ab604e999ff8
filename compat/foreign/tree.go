package foreign

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// The sizes that files may have.
const (
	maxConfig = 1 << 20  // a configuration
	maxMap    = 32 << 20 // a table
)

// Tree is the file system of the other mail system's machine. Its names are absolute, as configurations have them.
type Tree struct{ fs.FS }

// read is a regular file's text, of at most max bytes. What is no regular file is not waited for.
func (t Tree) read(name string, max int64) (string, error) {
	name = inside(name)
	info, err := fs.Stat(t.FS, name)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("not a regular file")
	}
	f, err := t.FS.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(text)) > max {
		err = fmt.Errorf("larger than %d bytes", max)
	}
	return string(text), err
}

// exists tells whether there is a file or directory.
func (t Tree) exists(name string) bool {
	_, err := fs.Stat(t.FS, inside(name))
	return err == nil
}

func (t Tree) isDir(name string) bool {
	info, err := fs.Stat(t.FS, inside(name))
	return err == nil && info.IsDir()
}

// firstLine is the first line of a file that holds one word, "" when there is none.
func (t Tree) firstLine(name string) string {
	text, _ := t.read(name, maxConfig)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line
		}
	}
	return ""
}

// hostname is the name that the machine has, "" when it is not known.
func (t Tree) hostname() string { return t.firstLine("/etc/hostname") }

// inside is a name as a fs.FS takes it. The root's own name is ".".
func inside(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "."
	}
	return name
}

// cause is an error without the path, which its reader knows.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// line is one line of a file, or several that are continued.
type line struct {
	text string
	at   Place
}

// lines are those of a text that are neither empty nor a comment, without the blanks around them. With folded, a line
// that begins with a blank continues the one before, also over comments.
func lines(file, text string, folded bool) (list []line) {
	n := 0
	var parts []string // of the last line: joined once, or long continuations would take quadratic time
	flush := func() {
		if len(parts) > 1 {
			list[len(list)-1].text = strings.Join(parts, " ")
		}
	}
	for raw := range strings.Lines(text) {
		n++
		trimmed := strings.TrimSpace(raw)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if folded && len(list) > 0 && (raw[0] == ' ' || raw[0] == '\t') {
			parts = append(parts, trimmed)
			continue
		}
		flush()
		list, parts = append(list, line{trimmed, Place{file, n}}), append(parts[:0], trimmed)
	}
	flush()
	return list
}

// cutBlank cuts a line at its first blank.
func cutBlank(s string) (before, after string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i:])
	}
	return s, ""
}

// sortedKeys are the names of values in the order of their places.
func sortedKeys(values map[string]line) []string {
	return slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		if d := values[a].at.Line - values[b].at.Line; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}
