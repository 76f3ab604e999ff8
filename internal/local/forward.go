package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/fsys"
	"postrider/internal/status"
)

// The caps of .forward files.
const (
	maxForward  = 64 << 10 // bytes of one file
	maxForwards = 1000     // members in all
	maxIncludes = 10       // included files inside each other
	maxSpelling = 900      // bytes of one member
)

// Forward is what a user's .forward says.
type Forward struct {
	Path    string   // of the file that counts; "" when none does
	Members []string // where the user's mail goes, as Spell writes it; none: to the mailbox
	Notes   []string // what was not as it should be, for the log
}

// Has tells whether a member is there.
func (f Forward) Has(member string) bool {
	for _, m := range f.Members {
		if m == member {
			return true
		}
	}
	return false
}

// ReadForward reads the .forward of u, as whom the process must run. With an extension, what follows the + in
// user+extension, .forward+extension comes first. The first file that is there and can be trusted counts.
//
// A file that decides where mail goes is trusted only when it is a regular file, no link and without another name, of at
// most 64 KiB, belongs to the user or to root, and nobody else can write it or any directory above it, except that a
// sticky one is the place of its owners' files. What it includes is held to the same. A file that is not trusted
// does not count, and a line that cannot be used stands for the user's mailbox; the Notes tell.
//
// Commands and files need a user whose shell is in /etc/shells, and are not for root. An error is a temporary
// *status.Status: the home is not there, or cannot be looked at.
func (a Agent) ReadForward(u User, extension string) (Forward, error) {
	if u.homeless() {
		return Forward{}, nil
	}
	r := forwardReader{fs: a.fs(), u: u, seen: map[string]bool{}}
	r.trusted = a.hasShell(u)
	for _, name := range candidates(extension) {
		path := filepath.Join(u.Home, name)
		found, err := r.file(path)
		if err != nil {
			return r.result, err
		}
		if found {
			r.result.Path = path
			break
		}
	}
	if r.result.Path != "" {
		return r.result, nil
	}
	r.result.Members = nil
	// Without its home a user may have a .forward or not: nobody knows.
	if info, err := os.Stat(u.Home); err != nil || !info.IsDir() {
		return r.result, unknown("the user's home directory is not there", err)
	}
	return r.result, nil
}

// unknown says that nobody can tell now what a .forward says.
func unknown(text string, err error) *status.Status {
	return status.New(op, 451, status.Code{4, 3, 0}, text, err)
}

// homeless tells whether a user is meant to have no home, as the users of programs are.
func (u User) homeless() bool {
	switch filepath.Clean(u.Home) {
	case ".", "/", "/nonexistent", "/dev/null", "/var/empty":
		return true
	}
	return !filepath.IsAbs(u.Home)
}

// candidates are the names of the files that may count. An extension that could be more than a part of a name is none.
func candidates(extension string) []string {
	ok := extension != "" && len(extension) <= 64 && extension[0] != '.'
	for _, c := range []byte(extension) {
		ok = ok && (c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("-_.=+", c) >= 0)
	}
	if ok {
		return []string{".forward+" + strings.ToLower(extension), ".forward"}
	}
	return []string{".forward"}
}

// forwardReader reads one user's files.
type forwardReader struct {
	fs      fsys.FS
	u       User
	trusted bool // with commands and files
	seen    map[string]bool
	depth   int
	result  Forward
}

func (r *forwardReader) note(path string, err error) {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	switch n := len(r.result.Notes); {
	case n < MaxNotes-1:
		r.result.Notes = append(r.result.Notes, fmt.Sprintf("%s: %v", path, err))
	case n == MaxNotes-1:
		r.result.Notes = append(r.result.Notes, "and more of the kind")
	}
}

// MaxNotes is how many notes there are at most: each goes into the log, whenever mail comes.
const MaxNotes = 10

// errTooMany says that more is named than anybody means to.
var errTooMany = fmt.Errorf("more than %d recipients", maxForwards)

// file reads a .forward; false when it does not count.
func (r *forwardReader) file(path string) (bool, error) {
	text, err := r.text(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case isSuspicion(err):
		r.note(path, err)
		return false, nil
	case err != nil:
		return false, unknown("the user's .forward cannot be read", err)
	}
	r.result.Members = nil
	err = r.list(path, text)
	if errors.Is(err, errTooMany) {
		r.note(path, err)
		r.result.Members = nil
		return false, nil
	}
	return err == nil, err
}

func (r *forwardReader) list(path, text string) error {
	for _, m := range aliases.ParseList(path, text) {
		if err := r.member(path, m); err != nil {
			return err
		}
	}
	return nil
}

func (r *forwardReader) member(path string, m aliases.Member) error {
	why := ""
	switch m.Kind {
	case aliases.Error:
		why = m.Err
	case aliases.Pipe, aliases.File, aliases.Maildir, aliases.Include:
		why = r.refuse(m)
	}
	if why == "" && m.Kind == aliases.Include {
		return r.include(m.Text)
	}
	spelling := Spell(m)
	if why == "" && len(spelling) > maxSpelling {
		why = fmt.Sprintf("longer than %d bytes", maxSpelling)
	}
	if why != "" {
		r.note(path, errors.New(why))
		spelling = r.u.Mailbox()
	}
	if r.result.Has(spelling) {
		return nil
	}
	if len(r.result.Members) >= maxForwards {
		return errTooMany
	}
	r.result.Members = append(r.result.Members, spelling)
	return nil
}

// refuse tells why what is no address cannot be used, or not by this user; "" when it can.
func (r *forwardReader) refuse(m aliases.Member) string {
	if m.Kind != aliases.Include {
		if _, err := ParseMember(Spell(m)); err != nil {
			return err.Error()
		}
	}
	switch {
	case r.u.UID == 0:
		return "root's mail may go to addresses only: " + status.Clean(m.Text, 100)
	case !r.trusted && m.Kind != aliases.Include:
		return "the user's shell " + status.Clean(r.u.shell(), 100) + " is not in /etc/shells, so no commands and files: " + status.Clean(m.Text, 100)
	}
	return ""
}

// include reads a file of members. One that is not there is a temporary failure, as it is for aliases.
func (r *forwardReader) include(path string) error {
	if r.seen[path] {
		return nil
	}
	r.seen[path] = true
	text, err := "", error(suspicion("included files are too deep inside each other"))
	if r.depth < maxIncludes {
		text, err = r.text(path)
	}
	switch {
	case isSuspicion(err):
		return r.member(path, aliases.Member{Kind: aliases.Error, Err: path + ": " + err.Error()})
	case err != nil:
		return unknown("a file that the user's .forward includes cannot be read", err)
	}
	r.depth++
	defer func() { r.depth-- }()
	return r.list(path, text)
}

// Mailbox is how a .forward names the user's own mailbox.
func (u User) Mailbox() string {
	if a, err := address.Parse(u.Name); err == nil && a.Domain() == "" && !a.IsNull() {
		return `\` + a.Local()
	}
	return `\"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(u.Name) + `"`
}

// text reads a file that can be trusted.
func (r *forwardReader) text(path string) (string, error) {
	// It looks before it opens, as the opening of a device may do something.
	st, err := r.fs.Stat(path)
	if err == nil {
		err = r.suspicious(st)
	}
	if err == nil {
		err = safeParents(path, r.u.UID)
	}
	if err != nil {
		return "", err
	}
	f, err := r.fs.Open(path)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, fs.ErrPermission) {
		return "", suspicion(err.Error())
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	if st, err = f.Stat(); err == nil {
		err = r.suspicious(st)
	}
	if err != nil {
		return "", err
	}
	return readText(f)
}
