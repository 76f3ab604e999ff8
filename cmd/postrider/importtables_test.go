package main

import (
	"fmt"
	"testing"
)

// What the reader of a table would refuse is found, line by line, and the rest is good.
func TestWrongLines(t *testing.T) {
	for _, tt := range []struct {
		kind, good, bad string
	}{
		{"virtusertable", "a@b.example  c", "a@b@c.example  c"},
		{"virtusertable", "@b.example  %1%3@c.example", "nobody  c"},
		{"virtusertable", "x@b.example  y@c.example", "x@b.example  y, z"},
		{"mailertable", "b.example  smtp:[c.example]:25", "b.example  uucp:c"},
		{"mailertable", ".  smtp:[c.example]", "..  smtp:[c.example]"},
		{"mailertable", "b.example  lmtp+unix:/run/lmtp", "b.example  smtp:"},
		{"genericstable", "alice  a@b.example", "alice  a@"},
		{"smarthosts", "a@b.example  submission://u@c.example /etc/x.secret", "a@b.example  submission://u@c.example"},
		{"generics_domains", "b.example", "b@c"},
		{"aliases", "virtual-1: alice, bob@b.example", ": alice"},
		{"aliases", "root: a@b.example", "x:"},
		{"virtusertable", "c@b.example  d", "# c@b.example  d"},
		{"virtusertable", "d@b.example  e", "d@b.example  e\nf@b.example g"},
	} {
		got := wrongLines(tt.kind, []string{tt.good, tt.bad, tt.good})
		if _, found := got[1]; !found || len(got) != 1 {
			t.Errorf("%s: %q and %q: %v", tt.kind, tt.good, tt.bad, got)
		}
	}
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprintf("bad%d@  x", i))
	}
	if got := wrongLines("virtusertable", append(many, "a@b.example  c")); len(got) != 50 {
		t.Errorf("%d of 50 lines", len(got))
	}
}
