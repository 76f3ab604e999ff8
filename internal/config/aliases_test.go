package config

import (
	"slices"
	"testing"
)

func TestAliasFiles(t *testing.T) {
	for _, c := range []struct {
		name  string
		user  bool
		files []string
		want  []string
	}{
		{"the system's", false, []string{"/etc/aliases"}, []string{"/etc/aliases"}},
		{"the system's are no user's", true, []string{"/etc/aliases"}, nil},
		{"a user's own", true, []string{"/home/a/aliases", "/etc/aliases"}, []string{"/home/a/aliases", "/etc/aliases"}},
		{"none", false, nil, nil},
	} {
		if got := (Config{User: c.user, Aliases: c.files}).AliasFiles(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
