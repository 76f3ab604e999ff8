package fsys

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	long := bytes.Repeat([]byte("0123456789"), 1000)
	if err := errors.Join(
		os.WriteFile(dir+"/long", long, 0o600),
		os.WriteFile(dir+"/empty", nil, 0o600),
		os.Symlink("long", dir+"/link"),
		syscall.Mkfifo(dir+"/fifo", 0o600),
	); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file string
		max        int
		want       []byte
		err        error
	}{
		{"a file is read whole", "long", 1 << 20, long, nil},
		{"or as far as one wants", "long", 15, long[:15], nil},
		{"a limit that fits exactly", "long", len(long), long, nil},
		{"nothing", "empty", 10, []byte{}, nil},
		{"a link is followed", "link", 1 << 20, long, nil},
		{"a FIFO is not waited for", "fifo", 10, nil, errNotRegular},
		{"a directory", "", 10, nil, errNotRegular},
		{"no such file", "none", 10, nil, fs.ErrNotExist},
	} {
		got, err := ReadFile(dir+"/"+c.file, c.max)
		if !bytes.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
		}
	}
	if got, err := ReadFile("/proc/self/status", 1<<20); err != nil || !bytes.Contains(got, []byte("Pid:")) {
		t.Errorf("a file that does not tell its size: %q, %v", got, err)
	}
}
