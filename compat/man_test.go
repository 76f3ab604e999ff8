package compat

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// manual is what sendmail.8 says of the grammar.
type manual struct {
	flags []string // the words of all Fl macros
	items []string // the .It lines, without the macro
	names []string // the words of all Nm macros
}

func readManual(t *testing.T) manual {
	t.Helper()
	page, err := os.ReadFile("../man/sendmail.8")
	if err != nil {
		t.Fatal(err)
	}
	var m manual
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, ".") || strings.HasPrefix(line, ".\\\"") {
			continue
		}
		words := strings.Fields(line[1:])
		m.flags = append(m.flags, operands(words, "Fl")...)
		m.names = append(m.names, operands(words, "Nm")...)
		if words[0] == "It" {
			m.items = append(m.items, strings.Join(words[1:], " "))
		}
	}
	return m
}

// operands are the words that follow a macro up to the next one, without punctuation.
func operands(words []string, macro string) []string {
	var out []string
	on := false
	for _, w := range words {
		switch {
		case w == macro:
			on = true
		case len(w) == 2 && strings.Contains("Ar Cm Ev Fl Nm No Ns Op Pa Sq Xr", w):
			on = false
		case on && w != "," && w != "." && w != ";" && w != ":":
			out = append(out, w)
		}
	}
	return out
}

// item is the .It line that describes a flag.
func (m manual) item(flag string) (string, bool) {
	for _, it := range m.items {
		if slices.Contains(operands(strings.Fields(it), "Fl"), flag) {
			return it, true
		}
	}
	return "", false
}

func TestTheManualHasEveryOption(t *testing.T) {
	m := readManual(t)
	for _, o := range Options {
		it, ok := m.item(string(o.Letter))
		if !ok {
			t.Errorf("-%c is not in sendmail.8", o.Letter)
		} else if (o.Arg != NoArg) != strings.Contains(it, " Ar ") {
			t.Errorf("-%c: %q is not its form", o.Letter, it)
		}
	}
	for _, b := range modes {
		if _, ok := m.item("b" + string(b.letter)); !ok {
			t.Errorf("-b%c is not in sendmail.8", b.letter)
		}
	}
	for _, s := range settings {
		flag := "O"
		if s.letter != 0 {
			flag = "o" + string(s.letter)
		}
		if !slices.ContainsFunc(m.items, func(it string) bool {
			words := strings.Fields(it)
			return slices.Contains(words, s.name) && slices.Contains(operands(words, "Fl"), flag)
		}) {
			t.Errorf("-%s, -O%s is not in sendmail.8", flag, s.name)
		}
	}
	for _, p := range personalities {
		if !slices.Contains(m.names, p.name) {
			t.Errorf("the name %s is not in sendmail.8", p.name)
		}
	}
}

func TestTheManualHasNothingElse(t *testing.T) {
	known := []string{"-", "-help", "-version", "XV"}
	for _, o := range Options {
		known = append(known, string(o.Letter))
	}
	for _, b := range modes {
		known = append(known, "b"+string(b.letter))
	}
	for _, s := range settings {
		known = append(known, "o"+string(s.letter))
	}
	for _, c := range "fpIRSQLG" {
		known = append(known, "q"+string(c))
	}
	for _, c := range "pqmwe" {
		known = append(known, "oe"+string(c))
	}
	for _, c := range "bifqd" {
		known = append(known, "od"+string(c))
	}
	for _, f := range readManual(t).flags {
		if !slices.Contains(known, f) && !bundle(f) {
			t.Errorf("sendmail.8 has -%s, which Parse does not know", f)
		}
	}
}

// bundle tells whether f is letters without values.
func bundle(f string) bool {
	for i := range len(f) {
		if !slices.ContainsFunc(Options, func(o Option) bool { return o.Letter == f[i] && o.Arg == NoArg }) {
			return false
		}
	}
	return true
}
