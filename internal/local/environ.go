package local

import (
	"strings"

	"postrider/internal/address"
)

// commandPath is where commands without a path are looked for.
const commandPath = "/usr/local/bin:/usr/bin:/bin"

// environment is all that a command is given: nothing of ours gets there. What strangers have chosen is filtered.
func environment(u User, d Delivery) []string {
	original := d.Original
	if original == "" {
		original = d.Rcpt
	}
	local, extension, domain := parts(d.Rcpt)
	env := []string{"PATH=" + commandPath}
	for _, v := range [][2]string{
		{"HOME", u.Home}, {"USER", u.Name}, {"LOGNAME", u.Name}, {"SHELL", u.shell()},
	} {
		env = append(env, v[0]+"="+strings.ReplaceAll(v[1], "\x00", ""))
	}
	for _, v := range [][2]string{
		{"SENDER", d.Sender}, {"RECIPIENT", d.Rcpt}, {"LOCAL", local}, {"EXTENSION", extension}, {"DOMAIN", domain},
		{"ORIGINAL_RECIPIENT", original},
	} {
		env = append(env, v[0]+"="+filter(v[1]))
	}
	return env
}

// parts takes an address apart: localpart, what follows the first + in it, domain.
func parts(s string) (local, extension, domain string) {
	a, err := address.Parse(s)
	if err != nil {
		return s, "", ""
	}
	local, domain = a.Unquoted(), a.Domain()
	if base, detail, ok := strings.Cut(local, "+"); ok && base != "" {
		extension = detail
	}
	return local, extension, domain
}

// filter replaces the characters that some program might take for more than text.
func filter(s string) string {
	if len(s) > maxAddress {
		s = s[:maxAddress]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', strings.ContainsRune("_:;@./+- ", r):
			return r
		}
		return '_'
	}, s)
}

func (u User) shell() string {
	if u.Shell == "" {
		return "/bin/sh"
	}
	return u.Shell
}
