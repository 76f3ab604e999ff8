// Package sibling finds the other programs of the project. They lie beside the one that runs, where they were
// built; make install also puts links to them all into a directory of their own, since mailq is installed apart.
package sibling

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Libexec is the directory with links to all programs; set when a program is built, "" for none.
var Libexec = ""

// Path is where the program name is. It is never the one that runs, however that was called: sendmail is its own
// mailq by another name. The error wraps fs.ErrNotExist when there is none.
func Path(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	own, err := os.Stat(self)
	if err != nil {
		return "", err
	}
	dirs := []string{filepath.Dir(self)}
	if Libexec != "" {
		dirs = append(dirs, Libexec)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && !os.SameFile(st, own) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", filepath.Join(dirs[0], name), fs.ErrNotExist)
}
