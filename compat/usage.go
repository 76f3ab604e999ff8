package compat

import (
	"fmt"
	"strings"
)

// Usage is the text that --help prints, made from the tables that Parse goes by.
func Usage() string {
	var b strings.Builder
	b.WriteString("usage: sendmail [option ...] [--] address ...\n" +
		"       sendmail -t [option ...] [--] [address ...]\n" +
		"       sendmail -bmode [option ...]\n" +
		"       sendmail -q[what] [option ...]\n" +
		"\noptions:\n")
	for _, o := range Options {
		if o.Does != "" {
			fmt.Fprintf(&b, "  %-22s %s\n", o.form(), o.Does)
		}
	}
	b.WriteString("  --help                 print this text\n" +
		"  --version              print the version\n")
	b.WriteString("\nmodes of operation:\n")
	for _, m := range modes {
		fmt.Fprintf(&b, "  -b%-20c %s\n", m.letter, m.does)
	}
	b.WriteString("\nqueue runs:\n")
	for _, f := range runForms {
		fmt.Fprintf(&b, "  -q%-20s %s\n", f.form, f.does)
	}
	b.WriteString("\noptions by letter (-o) and by name (-O):\n")
	for _, s := range settings {
		fmt.Fprintf(&b, "  %-6s -O%-26s %s\n", s.short(), s.name+"=value", s.does)
	}
	b.WriteString("\nignored:\n")
	for _, o := range Options {
		if o.Ignored != "" {
			fmt.Fprintf(&b, "  %-22s %s\n", o.form(), o.Ignored)
		}
	}
	b.WriteString("  other -o and -O        nothing here depends on them\n")
	return b.String()
}

// form is how an option is written.
func (o *Option) form() string {
	switch o.Arg {
	case Required:
		if strings.HasPrefix(o.Value, "x") {
			return "-" + string(o.Letter) + o.Value
		}
		return "-" + string(o.Letter) + " " + o.Value
	case Optional:
		return "-" + string(o.Letter) + "[" + o.Value + "]"
	}
	return "-" + string(o.Letter)
}

func (s *setting) short() string {
	if s.letter == 0 {
		return ""
	}
	return "-o" + string(s.letter)
}
