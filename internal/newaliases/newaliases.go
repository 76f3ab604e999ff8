// Package newaliases is what newaliases does, and sendmail by -bi, -I and the name newaliases: it reads the files of
// aliases(5), says what is wrong with them, and makes their indexes.
//
// Rules:
//   - Each file is a line on standard output, "FILE: N aliases, longest L bytes, T bytes total", as Sendmail has it. What is
//     wrong goes to standard error, with file and line.
//   - A line that is wrong does not keep the others from counting.
//   - A file whose index cannot be written is checked all the same. Its mail goes by the text.
//   - The exit status is the first of these that there is: 70 a line is wrong; 1, 65, 74, 77 or 78 a file cannot be read
//     (1: there is none); 73, 75 or 77 an index cannot be written.
package newaliases

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"postrider/aliases"
	"postrider/compat"
	"postrider/internal/config"
	"postrider/internal/status"
)

// exitMissing is the exit status for a file that is not there, as Postfix has it.
const exitMissing = 1

// Run does what a command line asks for, and returns the exit status. name stands before what is said. configure loads the
// configuration; it is not called when the command line names the files.
func Run(name string, inv *compat.Invocation, configure func() (config.Config, error), out, errw io.Writer) (int, error) {
	r := run{name: name, verbose: inv.Verbose, out: out, err: errw}
	if len(inv.Recipients) > 0 {
		r.say("the aliases are rebuilt whole: %s does not count", status.Clean(inv.Recipients[0], 80))
	}
	files, err := named(inv.AliasFile)
	if err == nil && inv.AliasFile == "" {
		var cfg config.Config
		cfg, err = configure()
		files = cfg.AliasFiles()
	}
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		r.say("there are no aliases: the configuration of this installation names no files")
	}
	for _, file := range files {
		r.file(file)
	}
	return cmp.Or(r.bad, r.unread, r.unwritten), nil
}

// types are the kinds of databases that may stand before the name of a file in AliasFile. Ours is of one kind.
var types = []string{"hash", "dbm", "btree", "cdb", "lmdb", "sdbm", "text", "texthash", "implicit"}

// named are the files of Sendmail's option AliasFile.
func named(option string) (files []string, err error) {
	for word := range strings.SplitSeq(option, ",") {
		word = strings.TrimSpace(word)
		if kind, path, ok := strings.Cut(word, ":"); ok && !strings.Contains(kind, "/") {
			known := false
			for _, t := range types {
				known = known || kind == t
			}
			if !known {
				return nil, status.Fail("newaliases", status.ExitUsage, "the aliases are in files, not in "+status.Clean(word, 80), nil)
			}
			word = strings.TrimSpace(path)
		}
		if word != "" {
			files = append(files, word)
		}
	}
	if option != "" && len(files) == 0 {
		return nil, status.Fail("newaliases", status.ExitUsage, "AliasFile names no file", nil)
	}
	return files, nil
}

// run is one run. The exit statuses are 0 while nothing is wrong.
type run struct {
	name     string
	verbose  bool
	out, err io.Writer

	bad, unread, unwritten int
}

func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.err, r.name+": "+format+"\n", args...)
}

func (r *run) file(name string) {
	rep, unwritten, err := aliases.Rebuild(name)
	if err != nil {
		r.say("cannot read %s: %v", name, cause(name, err))
		r.unread = cmp.Or(r.unread, unreadable(err))
		return
	}
	for _, p := range rep.Problems {
		fmt.Fprintln(r.err, p)
	}
	if rep.More > 0 {
		fmt.Fprintf(r.err, "%s: %d more such lines\n", name, rep.More)
	}
	if rep.Bad > 0 {
		r.bad = status.ExitSoftware // it is Sendmail's
	}
	fmt.Fprintf(r.out, "%s: %d aliases, longest %d bytes, %d bytes total\n", name, rep.Aliases, rep.Longest, rep.Total)
	switch {
	case unwritten != nil:
		r.say("cannot write %s: %v; mail goes by the file itself", name+aliases.IndexSuffix, cause(name, unwritten))
		r.unwritten = cmp.Or(r.unwritten, notWritten(unwritten))
	case r.verbose:
		fmt.Fprintf(r.out, "%s is its index\n", name+aliases.IndexSuffix)
	}
}

// cause is an error without the name of the file, which stands before it already.
func cause(name string, err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return strings.TrimPrefix(err.Error(), name+": ")
}

// unreadable is the exit status for a file that cannot be read.
func unreadable(err error) int {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return exitMissing
	case errors.Is(err, fs.ErrPermission):
		return status.ExitNoPerm
	case errors.Is(err, aliases.ErrNotText):
		return status.ExitDataErr
	case errors.Is(err, aliases.ErrUnsafe):
		return status.ExitConfig
	}
	return status.ExitIOErr
}

// notWritten is the exit status for an index that cannot be written.
func notWritten(err error) int {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return status.ExitNoPerm
	case errors.Is(err, aliases.ErrBusy):
		return status.ExitTempFail
	}
	return status.ExitCantCreat
}
