//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// packages tells for each program that a caller is made of, where to get it.
var packages = [][2]string{{"s-nail", "s-nail"}, {"mutt", "mutt"}, {"git", "git"}, {"php", "php-cli"}, {"python3", "python3"}, {"cron", "cron"}}

func init() {
	missing = func() (lack []string) {
		for _, p := range packages {
			if find(p[0]) == "" {
				lack = append(lack, fmt.Sprintf("%s (package %s)", p[0], p[1]))
			}
		}
		if exec.Command("git", "send-email", "--dump-aliases").Run() != nil {
			lack = append(lack, "git send-email (packages git-email, libmailtools-perl)")
		}
		return lack
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// mail is what a caller wrote, and what has to come of it at the next hop.
type mail struct {
	argv  []string // of sendmail
	wrote string   // to its standard input

	from  string
	to    []string
	edits []string              // pairs of old and new: what sendmail may change in the header
	added []string              // the fields that sendmail adds, in order, as regular expressions
	terms func(m receipt) error // what else must hold of the transaction
}

const (
	dateField = `Date: \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}`
	idField   = `Message-ID: <\d{14}\.[0-9A-Z]{17}@interop\.example>`
)

// recorder is a program that calls our sendmail, and records how it was called.
func (in *installation) recorder() string {
	return in.write("recorder", fmt.Sprintf("#!/bin/sh\nfor arg; do printf '%%s\\0' \"$arg\"; done >%[1]s/argv\ntee %[1]s/stdin | %[2]s/sendmail \"$@\"\n", in.dir, bin))
}

// recorded is what the last caller did.
func (in *installation) recorded(m mail) mail {
	in.Helper()
	argv, err := os.ReadFile(in.path("argv"))
	if err != nil {
		in.Fatal(err)
	}
	wrote, err := os.ReadFile(in.path("stdin"))
	if err != nil {
		in.Fatal(err)
	}
	m.argv, m.wrote = strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00"), string(wrote)
	return m
}

// arrives checks that the next hop gets the message: what the caller wrote, byte for byte, and nothing else than
// what sendmail has to add.
func (in *installation) arrives(want mail) {
	in.Helper()
	got := in.next.wait(in.T)
	defer in.settled()
	in.Logf("sendmail %q", want.argv)
	if got.From != want.from {
		in.Errorf("envelope sender is %q, want %q", got.From, want.from)
	}
	if !slices.Equal(got.To, want.to) {
		in.Errorf("recipients are %q, want %q", got.To, want.to)
	}
	if want.terms != nil {
		if err := want.terms(got); err != nil {
			in.Error(err)
		}
	}
	if err := compare(got.Text, want.wrote, want.edits, want.added); err != nil {
		in.Errorf("%v\ngot:\n%q\nthe caller wrote:\n%q", err, got.Text, want.wrote)
	}
}

// hardBody has what goes wrong: dots, From_ lines, 8-bit, trailing blanks. longLine is the longest that SMTP carries.
const hardBody = "First line\n.\n..\n.dot\n..two\nFrom here\n>From there\nGr\u00fc\u00dfe, \u4f60\u597d \n\n\ttab\n"

var longLine = strings.Repeat("x", 998) + "\n"
