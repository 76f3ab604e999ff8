package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// described are the options of the program and of each of its commands, "rm --sender", as the items of the
// manual page name them.
func described(t *testing.T) (list []string) {
	t.Helper()
	page, err := os.ReadFile("../../man/mailq.1")
	if err != nil {
		t.Fatal(err)
	}
	section, command := "", ""
	for line := range strings.Lines(string(page)) {
		words := strings.Fields(line)
		switch {
		case len(words) > 1 && (words[0] == ".Ss" || words[0] == ".Sh"):
			section, command = strings.Join(words[1:], " "), ""
		case len(words) > 2 && words[0] == ".It" && words[1] == "Cm" && section == "Commands":
			command = words[2]
			list = append(list, command)
		case len(words) > 2 && words[0] == ".It" && words[1] == "Fl":
			for i, w := range words[:len(words)-1] {
				if w == "Fl" {
					list = append(list, option(section, command, words[i+1])...)
				}
			}
		}
	}
	return list
}

// option is a flag of the page in the form of described; those of a selection are of each command that has one.
func option(section, command, flag string) []string {
	commands := []string{command}
	if section == "Selecting messages" {
		commands = []string{"hold", "release", "requeue", "rm"}
	}
	var list []string
	for _, c := range commands {
		list = append(list, strings.TrimSpace(c+" -"+flag))
	}
	return list
}

func TestTheManualHasAllCommandsAndOptionsAndNoOthers(t *testing.T) {
	want := []string{"-h", "--help"}
	add := func(command string, flags []cli.Flag) {
		for _, f := range flags {
			for _, name := range f.Names() {
				dashes := "--"[:min(2, len(name))]
				want = append(want, strings.TrimSpace(command+" "+dashes+name))
			}
		}
	}
	app := (&program{}).cli()
	add("", app.Flags)
	shared := len(settingFlags())
	for _, c := range app.Commands {
		want = append(want, c.Name)
		add(c.Name, c.Flags[:len(c.Flags)-shared]) // the others are described once
	}
	got := described(t)
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%s is not in mailq.1", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("mailq.1 has %s, which the program does not know", g)
		}
	}
}
