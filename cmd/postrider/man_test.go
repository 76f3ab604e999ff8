package main

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestManPage holds postrider(8) to the commands and options that there are.
func TestManPage(t *testing.T) {
	page, err := os.ReadFile("../../man/postrider.8")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{"help": true} // the library's own command
	for _, m := range regexp.MustCompile(`(?m)^\.(?:It|Op) Fl (?:- ?)?(\S+)|^\.Fl -(\S+)|^\.It Cm (\S+)`).FindAllStringSubmatch(string(page), -1) {
		for _, name := range m[1:] {
			if name != "" {
				described[name] = true
			}
		}
	}
	there := map[string]bool{"help": true}
	flags := func(list []cli.Flag) {
		for _, f := range list {
			for _, name := range f.Names() {
				there[name] = true
			}
		}
	}
	var walk func([]*cli.Command)
	walk = func(list []*cli.Command) {
		for _, c := range list {
			there[c.Name] = true
			flags(c.Flags)
			walk(c.Subcommands)
		}
	}
	a := testApp()
	flags(a.cli().Flags)
	walk(a.commands())
	for _, name := range sorted(there) {
		if !described[name] {
			t.Errorf("%s is not in postrider(8)", name)
		}
	}
	for _, name := range sorted(described) {
		if !there[name] {
			t.Errorf("postrider(8) has %s, which does not exist", name)
		}
	}
}

func sorted(set map[string]bool) (names []string) {
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
