package local

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// spec is a parsed mailbox specification.
type spec struct {
	maildir  bool
	template string
	path     string // the template, expanded
}

func (s spec) kind() string {
	if s.maildir {
		return "maildir"
	}
	return "mailbox"
}

// CheckSpec tells what is wrong with a mailbox specification; nil when Deliver understands it.
func CheckSpec(s string) error {
	_, err := parseSpec(s)
	return err
}

func parseSpec(s string) (spec, error) {
	scheme, template, ok := strings.Cut(s, ":")
	if !ok || scheme != "mbox" && scheme != "maildir" {
		return spec{}, fmt.Errorf("mailbox %q is none of mbox:PATH, maildir:PATH, lmtp+unix:PATH", s)
	}
	if !strings.HasPrefix(template, "/") && !strings.HasPrefix(template, "{home}") {
		return spec{}, fmt.Errorf(`mailbox %q: the path must begin with "/" or "{home}"`, s)
	}
	path, err := substitute(template, map[string]string{"user": "u", "home": "/h"})
	if err == nil {
		err = safePath(path)
	}
	if err != nil {
		return spec{}, fmt.Errorf("mailbox %q: %w", s, err)
	}
	if scheme == "mbox" && strings.HasSuffix(template, "/") {
		return spec{}, fmt.Errorf("mailbox %q: an mbox is a file, not a directory", s)
	}
	return spec{maildir: scheme == "maildir", template: template}, nil
}

// substitute puts values in the place of {name}.
func substitute(template string, values map[string]string) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(before)
		if strings.Contains(before, "}") {
			return "", errors.New(`a "}" without its "{"`)
		}
		if !ok {
			return b.String(), nil
		}
		name, after, ok := strings.Cut(rest, "}")
		value, known := values[name]
		if !ok {
			return "", errors.New(`a "{" without its "}"`)
		}
		if !known {
			return "", fmt.Errorf("unknown placeholder {%s}, known are {user} and {home}", name)
		}
		b.WriteString(value)
		template = after
	}
}

// expand makes the path of u's mailbox.
func (s spec) expand(u User) (string, error) {
	if !validUser(u.Name) {
		return "", fmt.Errorf("user name %q cannot be part of a path", u.Name)
	}
	if !filepath.IsAbs(u.Home) && strings.Contains(s.template, "{home}") {
		return "", fmt.Errorf("user %s has no home directory: %q", u.Name, u.Home)
	}
	path, err := substitute(s.template, map[string]string{"user": u.Name, "home": u.Home})
	if err != nil {
		return "", err
	}
	return filepath.Clean(path), safePath(path)
}

func safePath(path string) error {
	if strings.IndexByte(path, 0) >= 0 {
		return errors.New("the path holds a NUL byte")
	}
	for elem := range strings.SplitSeq(path, "/") {
		if elem == ".." {
			return errors.New(`the path holds ".."`)
		}
	}
	return nil
}

// validUser tells whether a name from the user database can be an element of a path. It allows what is found
// in directories ("DOMAIN\user", "user@domain") beside the portable names.
func validUser(name string) bool {
	if name == "" || len(name) > 255 || name[0] == '.' || name[0] == '-' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= 0x80:
		case strings.IndexByte(`._-+@$\`, c) >= 0:
		default:
			return false
		}
	}
	return true
}
