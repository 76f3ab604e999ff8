package mailbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const uniq = "1795510800.00061E9C55D8F0AAAA_0.mail.example.org"

func names(t *testing.T, dir string) []string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Name())
	}
	return out
}

func TestMaildirName(t *testing.T) {
	at := time.Unix(1795510800, 5000)
	for _, c := range []struct{ name, id, host, want string }{
		{"time, queue ID, number, host", "00061E9C55D8F0AAAA", "mail.example.org", "1795510800.00061E9C55D8F0AAAA_3.mail.example.org"},
		{"nothing that is special in a path", "../A", "a/b:2,S=1", "1795510800..._A_3.a_b_2_S_1"},
		{"a long host is cut", "A", strings.Repeat("h", 300), "1795510800.A_3." + strings.Repeat("h", 64)},
	} {
		if got := MaildirName(c.id, 3, at, c.host); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestDeliver(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Maildir")
	d := Maildir{Dir: dir}
	if err := d.Deliver(uniq, date, message(wire)); err != nil {
		t.Fatal(err)
	}
	want := "Subject: hi\n\nFrom here\nend\n"
	path := filepath.Join(dir, "new", uniq+",S=27")
	if got := read(t, path); got != want {
		t.Errorf("%q", got)
	}
	if fi, _ := os.Stat(path); fi.Mode() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
	if fi, _ := os.Stat(dir); fi.Mode().Perm() != 0o700 {
		t.Errorf("directory mode %v", fi.Mode())
	}
	if left := names(t, filepath.Join(dir, "tmp")); len(left) != 0 {
		t.Errorf("left in tmp/: %v", left)
	}
}

func TestADirectoryMayBeALink(t *testing.T) {
	base := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(base, "real"), 0o700), os.Symlink("real", filepath.Join(base, "link"))); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := (Mbox{Path: filepath.Join(link, "mbox"), UID: -1}).Append(t.Context(), message(wire)); err != nil {
		t.Errorf("mbox: %v", err)
	}
	for _, dir := range []string{link, filepath.Join(link, "Maildir")} {
		if err := (Maildir{Dir: dir}).Deliver(uniq, date, message(wire)); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestDeliverMakesNoParents(t *testing.T) {
	d := Maildir{Dir: filepath.Join(t.TempDir(), "missing", "Maildir")}
	if err := d.Deliver(uniq, date, message(wire)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestDeliverTwiceIsOneCopy(t *testing.T) {
	for _, c := range []struct {
		name string
		move func(dir, name string) error
	}{
		{"still in new/", func(dir, name string) error { return nil }},
		{"seen by a reader", func(dir, name string) error {
			return os.Rename(filepath.Join(dir, "new", name), filepath.Join(dir, "cur", name+":2,S"))
		}},
		{"seen by a reader that drops the size", func(dir, name string) error {
			return os.Rename(filepath.Join(dir, "new", name), filepath.Join(dir, "cur", uniq+":2,"))
		}},
	} {
		d := Maildir{Dir: t.TempDir()}
		for range 2 {
			if err := d.Deliver(uniq, date, message(wire)); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if len(names(t, filepath.Join(d.Dir, "new"))) > 0 {
				if err := c.move(d.Dir, uniq+",S=27"); err != nil {
					t.Fatal(err)
				}
			}
		}
		n := len(names(t, filepath.Join(d.Dir, "new"))) + len(names(t, filepath.Join(d.Dir, "cur")))
		if left := names(t, filepath.Join(d.Dir, "tmp")); n != 1 || len(left) != 0 {
			t.Errorf("%s: %d copies, left in tmp/: %v", c.name, n, left)
		}
	}
}

func TestDeliverTellsNamesApart(t *testing.T) {
	d := Maildir{Dir: t.TempDir()}
	for _, n := range []string{uniq, uniq + "2"} {
		if err := d.Deliver(n, date, message(wire)); err != nil {
			t.Fatal(err)
		}
		full := filepath.Join(d.Dir, "new", n+",S=27")
		if err := os.Rename(full, filepath.Join(d.Dir, "cur", filepath.Base(full)+":2,")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeliverDoesNotReadAnOldCur(t *testing.T) {
	d := Maildir{Dir: t.TempDir()}
	if err := d.Deliver(uniq, date, message(wire)); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(d.Dir, "cur"), old, old); err != nil {
		t.Fatal(err)
	}
	d.FS = noReadDir{orReal(nil)}
	if err := d.Deliver(uniq, time.Now(), message(wire)); err != nil {
		t.Errorf("cur/ was read: %v", err)
	}
	if err := d.Deliver(uniq, old, message(wire)); err == nil {
		t.Error("cur/ has changed since arrival and was not read")
	}
}

func TestDeliverLeavesNothingOfWhatCannotBeRead(t *testing.T) {
	d := Maildir{Dir: t.TempDir()}
	m := message("")
	m.Content = iotest.TimeoutReader(strings.NewReader(strings.Repeat("x\r\n", 50_000)))
	if err := d.Deliver(uniq, date, m); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("%v", err)
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		if left := names(t, filepath.Join(d.Dir, sub)); len(left) != 0 {
			t.Errorf("left in %s/: %v", sub, left)
		}
	}
}
