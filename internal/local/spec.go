package local

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"postrider/internal/status"
)

// spec is a parsed mailbox specification.
type spec struct {
	scheme   string // "mbox", "maildir", "command"
	template string // of the path, or of a command's words
	path     string // the template, expanded; of a command the program
}

// words are what the schemes are called in a reply.
var words = map[string]string{"mbox": "mailbox", "maildir": "maildir", "command": "command"}

// CheckSpec tells what is wrong with a mailbox specification; nil when Deliver understands it.
func CheckSpec(s string) error {
	_, err := parseSpec(s)
	return err
}

func parseSpec(s string) (spec, error) {
	scheme, template, ok := strings.Cut(s, ":")
	if !ok || words[scheme] == "" {
		return spec{}, fmt.Errorf("mailbox %q is none of mbox:PATH, maildir:PATH, command:PATH ARGUMENTS, lmtp+unix:PATH", s)
	}
	if scheme == "command" {
		return parseCommandSpec(s, template)
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
	return spec{scheme: scheme, template: template}, nil
}

// parseCommandSpec reads a program and its arguments. Nothing but the administrator's own words names the program.
func parseCommandSpec(s, template string) (spec, error) {
	args := strings.Fields(template)
	if len(args) == 0 || !strings.HasPrefix(args[0], "/") || strings.ContainsAny(args[0], "{}") {
		return spec{}, fmt.Errorf("mailbox %q: the program must be named by its path", s)
	}
	for _, arg := range args {
		if _, err := substitute(arg, map[string]string{"user": "", "home": "", "sender": "", "recipient": ""}); err != nil {
			return spec{}, fmt.Errorf("mailbox %q: %w", s, err)
		}
	}
	return spec{scheme: "command", template: template, path: args[0]}, nil
}

// argv makes the words of a command. Each is one whatever is put into it; no shell sees them.
func (s spec) argv(u User, d Delivery) ([]string, error) {
	if !validUser(u.Name) {
		return nil, fmt.Errorf("user name %q cannot be an argument", u.Name)
	}
	values := map[string]string{
		"user": u.Name, "home": u.Home,
		"sender": status.Clean(d.Sender, maxAddress), "recipient": status.Clean(d.Rcpt, maxAddress),
	}
	argv := strings.Fields(s.template)
	for i, arg := range argv {
		var err error
		if argv[i], err = substitute(arg, values); err != nil {
			return nil, err
		}
	}
	return argv, nil
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
			return "", fmt.Errorf("unknown placeholder {%s}", name)
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
	if s.scheme == "command" {
		return s.path, nil
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

// SpoolFile is the mbox of u in a directory that only the administrator has named, as /var/mail is; false when the mailbox
// is anything else.
func SpoolFile(spec string, u User) (string, bool) {
	where, err := parseSpec(spec)
	if err != nil || where.scheme != "mbox" || strings.Contains(filepath.Dir(where.template), "{") {
		return "", false
	}
	path, err := where.expand(u)
	return path, err == nil
}
