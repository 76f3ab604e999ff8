package aliases

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/address"
)

// write makes a file that nobody but us may write, and that was written long ago, and returns its path.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	age(t, path)
	return path
}

// age makes it long ago that a file was written.
func age(t testing.TB, path string) {
	t.Helper()
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
}

// tempDir is a directory that nobody but us may write.
func tempDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open is a Database of one file with this text; us.example is local, and users have names of three letters.
func open(t *testing.T, text string) *Database {
	t.Helper()
	return Open([]string{write(t, tempDir(t), "aliases", text)}, testOptions)
}

var testOptions = Options{
	Local: func(a address.Address) bool { return strings.EqualFold(a.Domain(), "us.example") },
	User:  func(name string) (bool, error) { return len(name) == 3, nil },
}

var kindNames = map[Kind]string{Address: "", User: `\`, Pipe: "|", File: "file ", Maildir: "maildir ", Include: "include ", Error: "error "}

// spell is a member in few words.
func spell(m Member) string {
	s := kindNames[m.Kind]
	if m.Kind == Address || m.Kind == User {
		s += m.Address.String()
	} else {
		s += m.Text
	}
	if m.Name != "" {
		s += fmt.Sprintf(" (%s)", m.Name)
	}
	return s
}

func spellAll(members []Member) string {
	var list []string
	for _, m := range members {
		list = append(list, spell(m))
	}
	return strings.Join(list, "; ")
}

// lookup is what a name stands for, or the trouble with it, or "none".
func lookup(d *Database, name string) string {
	e, ok, err := d.Lookup(name)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case !ok:
		return "none"
	}
	return spellAll(e.Members)
}

// expand is who gets mail for a name.
func expand(d *Database, name string) string {
	x, ok, err := d.Expand(name)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case !ok:
		return "none"
	}
	var list []string
	for _, r := range x.Recipients {
		s := spell(r.Member)
		if r.Owner != "" {
			s += " for " + r.Owner
		}
		list = append(list, s)
	}
	return strings.Join(list, "; ")
}
