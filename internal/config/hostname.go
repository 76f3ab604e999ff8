package config

import (
	"strings"

	"postrider/internal/fsys"
)

// maxSystemFile caps what is read of /etc/hosts, /etc/mailname and /etc/passwd, in bytes.
const maxSystemFile = 256 << 10

// fqdn is the system's name. When that has no dot, the names of /etc/hosts make it fully qualified, as
// hostname -f does: the first name with a dot on a line that has ours.
func (s surroundings) fqdn() string {
	name, err := s.hostname()
	name = canonical(name)
	if err != nil || !validDomain(name) {
		return "localhost"
	}
	if strings.Contains(name, ".") {
		return name
	}
	for line := range strings.Lines(readSome(s.etc + "/hosts")) {
		line, _, _ = strings.Cut(line, "#")
		if full := qualified(name, strings.Fields(line)); full != "" {
			return full
		}
	}
	return name
}

// qualified finds the full form of name in the fields of a line of /etc/hosts, "" when there is none. A name
// that begins with ours goes first; localhost.localdomain and its like are not ours.
func qualified(name string, fields []string) (full string) {
	ours := false
	for i, f := range fields {
		f = canonical(f)
		switch {
		case i == 0: // the address
		case f == name:
			ours = true
		case strings.HasPrefix(f, name+".") && validDomain(f):
			return f
		case full == "" && strings.Contains(f, ".") && !strings.HasPrefix(f, "localhost.") && validDomain(f):
			full = f
		}
	}
	if !ours {
		return ""
	}
	return full
}

// origin is /etc/mailname, which Debian's packages share, or else the host's name.
func (s surroundings) origin(hostname string) string {
	first, _, _ := strings.Cut(readSome(s.etc+"/mailname"), "\n")
	if name := canonical(strings.TrimSpace(first)); validDomain(name) {
		return name
	}
	return hostname
}

// readSome is the beginning of a file, "" when it cannot be read.
func readSome(path string) string {
	text, err := fsys.ReadFile(path, maxSystemFile)
	if err != nil {
		return ""
	}
	return string(text)
}
