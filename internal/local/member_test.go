package local

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postrider/aliases"
	"postrider/internal/fsys"
	"postrider/internal/status"
)

func TestParseMember(t *testing.T) {
	for _, c := range []struct {
		in   string
		kind aliases.Kind
		text string
	}{
		{"|prog a, \"b\"", aliases.Pipe, `prog a, "b"`},
		{"/var/mail/list", aliases.File, "/var/mail/list"},
		{"/srv/list/", aliases.Maildir, "/srv/list"},
		{"/a b/c,d", aliases.File, "/a b/c,d"},
		{"", 0, ""},
		{"|", 0, ""},
		{"/", 0, ""},
		{"//", 0, ""},
		{"alice", 0, ""},
		{`\alice`, 0, ""},
		{":include:/x", 0, ""},
		{"|a\nb", 0, ""},
		{"/a\x00b", 0, ""},
		{"|" + strings.Repeat("x", 5000), 0, ""},
	} {
		m, err := ParseMember(c.in)
		if (err == nil) != (c.kind != 0) || err == nil && (m.Kind != c.kind || m.Text != c.text || Spell(m) != c.in) {
			t.Errorf("%q: %+v, %v", c.in, m, err)
		}
	}
}

func TestFilesAndMaildirs(t *testing.T) {
	for _, c := range []struct {
		name, member string
		prepare      func(dir string) error
		want         string
		file         string // what must be there afterwards, a pattern
	}{
		{"a new file", "/box", nil, "250 2.0.0 delivered to file", "box"},
		{"a file that is there", "/box", func(d string) error { return os.WriteFile(d+"/box", nil, 0o600) }, "250 2.0.0 delivered to file", "box"},
		{"a Maildir", "/dir/", nil, "250 2.0.0 delivered to maildir", "dir/new/*"},
		{"a Maildir with many slashes", "/dir///", nil, "250 2.0.0 delivered to maildir", "dir/new/*"},
		{"a link", "/box", func(d string) error { return os.Symlink(d+"/other", d+"/box") }, "450 4.2.0 mailbox is not a plain file of its owner", ""},
		{"a second name", "/box", func(d string) error {
			os.WriteFile(d+"/other", nil, 0o600)
			return os.Link(d+"/other", d+"/box")
		}, "450 4.2.0 mailbox is not a plain file of its owner", ""},
		{"a pipe", "/box", func(d string) error { return syscall.Mkfifo(d+"/box", 0o600) }, "450 4.2.0 mailbox is not a plain file of its owner", ""},
		{"a directory", "/box", func(d string) error { return os.Mkdir(d+"/box", 0o700) }, "450 4.2.0 mailbox is not a plain file of its owner", ""},
		{"no directory", "/none/box", nil, "450 4.2.0 mailbox's directory does not exist", ""},
		{"a file by way of a link to /etc", "/etc/box", func(d string) error { return os.Symlink("/etc", d+"/etc") }, "450 4.2.0 mailbox is not a plain file of its owner", ""},
	} {
		dir := t.TempDir()
		if c.prepare != nil {
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
		}
		s := Agent{}.member(t.Context(), dir+c.member, FromUser, me(dir), delivery(text))
		if s.Diagnostic() != c.want {
			t.Errorf("%s: %s, %v", c.name, s.Diagnostic(), s.Unwrap())
		}
		if c.file != "" {
			if found, _ := filepath.Glob(filepath.Join(dir, c.file)); len(found) != 1 || !strings.Contains(read(t, found[0]), "Delivered-To: alice@example.org\n") {
				t.Errorf("%s: %v", c.name, found)
			}
		} else if other, err := os.ReadFile(dir + "/other"); err == nil && len(other) > 0 {
			t.Errorf("%s: it was written to", c.name)
		}
	}
}

func TestPlacesWithoutMail(t *testing.T) {
	for _, path := range []string{"/etc/x", "/etc/", "/dev/sda", "/dev/../etc/x", "/proc/self/mem", "/sys/x/", "/dev/shm/x", "/tmp/../etc/passwd"} {
		s := Agent{}.member(t.Context(), path, FromUser, me(t.TempDir()), delivery(text))
		if s.Class() != status.Temporary || !strings.Contains(s.Text(), "mailbox") {
			t.Errorf("%s: %s", path, s.Diagnostic())
		}
	}
	if s := (Agent{}).member(t.Context(), "/dev/null", FromUser, me(t.TempDir()), delivery(text)); s.Diagnostic() != "250 2.0.0 discarded" {
		t.Errorf("%s", s.Diagnostic())
	}
}

// A Maildir knows a message that it has; the record of the delivery may have been lost.
func TestARepeatedDeliveryToAMaildirIsOne(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		if s := (Agent{}).member(t.Context(), dir+"/m/", FromUser, me(dir), delivery(text)); s.Class() != status.Success {
			t.Fatal(s.Diagnostic())
		}
	}
	other := delivery(text)
	other.N++
	Agent{}.member(t.Context(), dir+"/m/", FromUser, me(dir), other)
	if found, _ := filepath.Glob(dir + "/m/new/*"); len(found) != 2 {
		t.Errorf("%v", found)
	}
}

// A full disk leaves what was there, and nothing of the message.
func TestAFullDisk(t *testing.T) {
	for _, member := range []string{"/box", "/m/"} {
		for _, fault := range []error{syscall.ENOSPC, syscall.EDQUOT, fsys.ErrShort} {
			dir := t.TempDir()
			faulty := fsys.NewFaulty(fsys.OS{})
			a := Agent{FS: faulty}
			a.member(t.Context(), dir+member, FromUser, me(dir), delivery(text))
			before := snapshot(t, dir)
			writes := func(o fsys.Op) bool { return o.Name == "write" || o.Name == "fsync" }
			for n := 1; ; n++ {
				faulty.FailAt(n, 1, fault, writes)
				d := delivery(text)
				d.N = 100 + n
				s := a.member(t.Context(), dir+member, FromUser, me(dir), d)
				if !faulty.Struck() {
					break
				}
				if s.Reply() != 452 || snapshot(t, dir) != before {
					t.Errorf("%s, %v, operation %d: %s, left %q", member, fault, n, s.Diagnostic(), snapshot(t, dir))
				}
			}
		}
	}
}

// snapshot is all that a directory holds.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		b.WriteString(path + "\n")
		if err == nil && e.Type().IsRegular() {
			b.WriteString(read(t, path))
		}
		return nil
	})
	return b.String()
}

func TestALoopThroughACommandIsSeen(t *testing.T) {
	s := Agent{}.member(t.Context(), "|/bin/true", FromUser, me(t.TempDir()), delivery("Delivered-To: alice@example.org\r\n\r\n"))
	if s.Diagnostic() != "554 5.4.6 mail forwarding loop for alice@example.org" {
		t.Error(s.Diagnostic())
	}
}
