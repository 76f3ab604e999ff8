package newaliases

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postrider/aliases"
	"postrider/compat"
	"postrider/internal/config"
	"postrider/internal/status"
)

// call runs a command line for a configuration in a directory.
func call(dir string, cfg config.Config, argv ...string) (code int, out, errs string) {
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "DIR", dir)
	}
	inv, err := compat.Parse(append([]string{"newaliases"}, argv...))
	if err != nil {
		return -1, "", err.Error()
	}
	var o, e bytes.Buffer
	code, err = Run("newaliases", inv, func() (config.Config, error) { return cfg, nil }, &o, &e)
	if err != nil {
		return status.From(err).Exit(), "", err.Error()
	}
	return code, strings.ReplaceAll(o.String(), dir, "DIR"), strings.ReplaceAll(e.String(), dir, "DIR")
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good": "a: b,\n  c,\n\td\n", "dup": "dup: alice\ndup: bob\n", "bad": "a: b\nbad\nc@d: e\n x\nf:\n", "binary": "\x00", "loose": "a: b\n",
		"many": strings.Repeat("bad\n", 1005), "start": " a: b\nc: d\n", "slash": "a: b\\\nc: d\n", "empty": "",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chmod(path, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(filepath.Join(dir, "loose"), 0o646), os.Mkdir(filepath.Join(dir, "dir"), 0o755),
		os.WriteFile(filepath.Join(dir, "stuck"), []byte("a: b\n"), 0o644), os.Chmod(filepath.Join(dir, "stuck"), 0o644), os.Mkdir(filepath.Join(dir, "stuck.idx"), 0o755)); err != nil {
		t.Fatal(err)
	}
	good := "DIR/good: 1 aliases, longest 8 bytes, 9 bytes total\n"
	for _, c := range []struct {
		name, args string
		code       int
		out, err   string
	}{
		{"Sendmail's summary", "-oADIR/good", 0, good, ""},
		{"with the index", "-v -oADIR/good", 0, good + "DIR/good.idx is its index\n", ""},
		{"by the long name, with a type", "-O AliasFile=hash:DIR/good", 0, good, ""},
		{"a file without aliases", "-oADIR/empty", 0, "DIR/empty: 0 aliases, longest 0 bytes, 0 bytes total\n", ""},
		{"several files", "-oADIR/good,text:DIR/dup", 0, good + "DIR/dup: 2 aliases, longest 5 bytes, 14 bytes total\n",
			"DIR/dup: line 2: warning: duplicate alias name dup: line 1 does not count\n"},
		{"lines that are wrong", "-oADIR/bad", 70, "DIR/bad: 1 aliases, longest 1 bytes, 2 bytes total\n",
			"DIR/bad: line 2: bad: missing colon\nDIR/bad: line 3: warning: c@d: cannot alias non-local names; the line does not count\nDIR/bad: line 5: f: missing value for alias\n"},
		{"a blank at the start", "-oADIR/start", 70, "DIR/start: 1 aliases, longest 1 bytes, 2 bytes total\n", "DIR/start: line 1: a line that begins with a blank continues nothing\n"},
		{"a backslash that joins", "-oADIR/slash", 70, "DIR/slash: 1 aliases, longest 5 bytes, 6 bytes total\n",
			"DIR/slash: line 1: a: bc: d: not an address: there is a colon in it\nDIR/slash: line 1: warning: a: a backslash at the end joins the next line\n"},
		{"no file", "-oADIR/none,DIR/good", 1, good, "newaliases: cannot read DIR/none: no such file or directory\n"},
		{"a directory", "-oADIR/dir", 78, "", "newaliases: cannot read DIR/dir: not a regular file\n"},
		{"a file that everybody may write", "-oADIR/loose", 78, "", "newaliases: cannot read DIR/loose: everybody may write it\n"},
		{"a file that is no text", "-oADIR/binary", 65, "", "newaliases: cannot read DIR/binary: not text: line 1 has a zero byte\n"},
		{"an index that cannot be written", "-oADIR/stuck", 73, "DIR/stuck: 1 aliases, longest 1 bytes, 2 bytes total\n",
			"newaliases: cannot write DIR/stuck.idx: is a directory; mail goes by the file itself\n"},
		{"what is wrong with a line counts most", "-oADIR/none,DIR/stuck,DIR/start", 70, "DIR/stuck: 1 aliases, longest 1 bytes, 2 bytes total\nDIR/start: 1 aliases, longest 1 bytes, 2 bytes total\n",
			"newaliases: cannot read DIR/none: no such file or directory\nnewaliases: cannot write DIR/stuck.idx: is a directory; mail goes by the file itself\nDIR/start: line 1: a line that begins with a blank continues nothing\n"},
		{"operands", "-oADIR/good x y", 0, good, "newaliases: the aliases are rebuilt whole: x does not count\n"},
		{"another kind of map", "-oAldap:x", 64, "", "the aliases are in files, not in ldap:x"},
		{"no name of a file", "-oA,", 64, "", "AliasFile names no file"},
		{"the configuration's files", "", 0, good, ""},
	} {
		code, out, errs := call(dir, config.Config{Aliases: []string{dir + "/good"}}, strings.Fields(c.args)...)
		if code != c.code || out != c.out || errs != c.err {
			t.Errorf("%s: exit status %d, %q, %q", c.name, code, out, errs)
		}
	}
	code, out, errs := call(dir, config.Config{}, "-oADIR/many")
	if code != 70 || out == "" || strings.Count(errs, "\n") != 1001 || !strings.HasSuffix(errs, "DIR/many: 5 more such lines\n") {
		t.Errorf("many: %d, %q, %d lines", code, out, strings.Count(errs, "\n"))
	}
}

func TestNoFiles(t *testing.T) {
	code, out, errs := call("/none", config.Config{User: true, Aliases: []string{"/etc/aliases"}})
	if code != 0 || out != "" || errs != "newaliases: there are no aliases: the configuration of this installation names no files\n" {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
	broken := errors.New("broken")
	if _, err := Run("x", &compat.Invocation{}, func() (config.Config, error) { return config.Config{}, broken }, nil, nil); err != broken {
		t.Error(err)
	}
}

func TestExitStatuses(t *testing.T) {
	at := func(err error) error { return &fs.PathError{Op: "open", Path: "x", Err: err} }
	for _, c := range []struct {
		err             error
		read, unwritten int
	}{
		{at(syscall.ENOENT), 1, 73},
		{at(syscall.EACCES), 77, 77},
		{at(syscall.EPERM), 77, 77},
		{at(syscall.EROFS), 74, 73},
		{at(syscall.ENOSPC), 74, 73},
		{at(syscall.EIO), 74, 73},
		{at(aliases.ErrBusy), 74, 75},
	} {
		if r, w := unreadable(c.err), notWritten(c.err); r != c.read || w != c.unwritten {
			t.Errorf("%v: %d, %d", c.err, r, w)
		}
	}
}
