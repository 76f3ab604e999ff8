package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// optionNames are all options.
func optionNames() map[string]bool {
	names := map[string]bool{"help": true, "h": true}
	for _, f := range flags {
		for _, name := range f.Names() {
			names[name] = true
		}
	}
	return names
}

// TestManPage holds the man page to the options: each is described, and no other.
func TestManPage(t *testing.T) {
	page, err := os.ReadFile("../../man/smtpd.8")
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
	want := optionNames()
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

// TestExamplesOfUnits holds the units and the lines of inetd to the options.
func TestExamplesOfUnits(t *testing.T) {
	files, err := filepath.Glob("../../etc/systemd/*smtpd*.service")
	if err != nil || len(files) == 0 {
		t.Fatal("no units", err)
	}
	want := optionNames()
	for _, name := range append(files, "../../etc/inetd.conf.example", "../../etc/xinetd/postrider") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		calls := regexp.MustCompile(`(?m)^(?:ExecStart=.*/smtpd|smtp\s.*\ssmtpd|\s*server_args\s*=)((?: --[a-z-]+(?:=\S*)?)+)$`).FindAllStringSubmatch(string(text), -1)
		if len(calls) == 0 {
			t.Errorf("%s calls nothing", name)
		}
		for _, call := range calls {
			for _, m := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(call[1], -1) {
				if !want[m[1]] {
					t.Errorf("%s: there is no option %s", name, m[1])
				}
			}
		}
	}
}
