package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLookup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	text := "root:x:0:0:root:/root:/bin/sh\n# a comment\nshort:x:7:\n\nalice:x:1000:1000:Alice A.,,,:/home/alice:/bin/sh\ntwin:x:1000:1000::/:/bin/sh\n" +
		"last:x:1001:1001::/home/last:"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("USER", "env")
	for _, c := range []struct {
		name string
		file string
		uid  int
		want account
	}{
		{"a user", file, 0, account{"root", "root", "/root"}},
		{"the first of two", file, 1000, account{"alice", "Alice A.,,,", "/home/alice"}},
		{"the last line may lack its end", file, 1001, account{"last", "", "/home/last"}},
		{"a malformed line is nobody's", file, 7, account{name: "env"}},
		{"nobody", file, 10, account{name: "env"}},
		{"no file", file + "x", 0, account{name: "env"}},
	} {
		if got := lookup(c.file, c.uid); got != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
