package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestManPage holds the man page to the options: each is described, and no other.
func TestManPage(t *testing.T) {
	page, err := os.ReadFile("../../man/local.8")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, line := range strings.Split(string(page), "\n") {
		if !strings.HasPrefix(line, ".It Fl ") {
			continue
		}
		for _, m := range regexp.MustCompile(`Fl -?([a-zA-Z-]+)`).FindAllStringSubmatch(line, -1) {
			described[m[1]] = true
		}
	}
	want := map[string]bool{"help": true, "h": true}
	for _, f := range flags {
		for _, name := range f.Names() {
			want[name] = true
		}
	}
	for name := range want {
		if !described[name] {
			t.Errorf("option %s is not described", name)
		}
	}
	for name := range described {
		if !want[name] {
			t.Errorf("there is no option %s", name)
		}
	}
}
