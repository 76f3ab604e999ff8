package local

import (
	"errors"
	"fmt"
	"strings"
)

// errShell says that a command can only be understood by a shell.
var errShell = errors.New("the command needs a shell")

// shellWords have a meaning to the shell where a command's name stands.
var shellWords = map[string]bool{
	".": true, "!": true, "{": true, "}": true, ":": true, "alias": true, "bg": true, "break": true, "case": true, "cd": true,
	"command": true, "continue": true, "do": true, "done": true, "elif": true, "else": true, "esac": true, "eval": true,
	"exit": true, "export": true, "fi": true, "for": true, "hash": true, "if": true, "local": true, "read": true,
	"readonly": true, "return": true, "set": true, "shift": true, "source": true, "then": true, "times": true, "trap": true,
	"type": true, "ulimit": true, "umask": true, "unset": true, "until": true, "wait": true, "while": true,
}

// splitCommand splits a command into its words as sh(1) does, with quotes and backslashes. The error is errShell when it
// has, outside of quotes, what means more than itself to a shell. A leading exec says nothing: there is no shell to be
// replaced.
func splitCommand(s string) ([]string, error) {
	w := splitter{rest: s}
	for w.next() {
	}
	if w.err != nil {
		return nil, w.err
	}
	if len(w.words) > 1 && w.words[0] == "exec" && !strings.HasPrefix(w.words[1], "-") {
		w.words = w.words[1:]
	}
	switch {
	case len(w.words) == 0 || w.words[0] == "":
		return nil, errors.New("there is no command")
	case shellWords[w.words[0]] || w.words[0] == "exec" || strings.Contains(w.words[0], "="):
		return nil, fmt.Errorf("%w: %q", errShell, w.words[0])
	}
	return w.words, nil
}

// splitter takes words from the front of a command.
type splitter struct {
	rest  string
	words []string
	err   error
}

// special means something to a shell wherever it stands unquoted.
const special = "|&;<>()$`*?[\n\r"

// next takes one word; false at the end, or when err is set.
func (w *splitter) next() bool {
	w.rest = strings.TrimLeft(w.rest, " \t")
	if w.rest == "" {
		return false
	}
	if w.rest[0] == '#' || w.rest[0] == '~' {
		w.err = fmt.Errorf("%w: %q", errShell, w.rest[:1])
		return false
	}
	var b strings.Builder
	for w.rest != "" && w.rest[0] != ' ' && w.rest[0] != '\t' && w.err == nil {
		c := w.rest[0]
		w.rest = w.rest[1:]
		switch {
		case c == '\'' || c == '"':
			w.quoted(&b, c)
		case c == '\\' && w.rest != "":
			b.WriteByte(w.rest[0])
			w.rest = w.rest[1:]
		case c == '\\' || strings.IndexByte(special, c) >= 0:
			w.err = fmt.Errorf("%w: %q", errShell, c)
		default:
			b.WriteByte(c)
		}
	}
	w.words = append(w.words, b.String())
	return w.err == nil
}

// quoted takes what stands in quotes, up to the closing one.
func (w *splitter) quoted(b *strings.Builder, quote byte) {
	for w.rest != "" {
		c := w.rest[0]
		w.rest = w.rest[1:]
		switch {
		case c == quote:
			return
		case quote == '"' && (c == '$' || c == '`'):
			w.err = fmt.Errorf("%w: %q", errShell, c)
			return
		case quote == '"' && c == '\\' && w.rest != "" && strings.IndexByte("\"\\$`", w.rest[0]) >= 0:
			c, w.rest = w.rest[0], w.rest[1:]
		}
		b.WriteByte(c)
	}
	w.err = errors.New("a quote does not end")
}
