package foreign

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// system is one of the mail systems whose configuration can be read.
type system struct {
	name  string
	files []string // where its configuration is; "~" is the caller's home
	read  func(tree Tree, file string) (*Import, error)
}

var systems = []system{
	{"postfix", []string{"/etc/postfix/main.cf"}, readPostfix},
	{"exim", []string{"/etc/exim4/update-exim4.conf.conf"}, readExim},
	{"sendmail", []string{"/etc/mail/sendmail.mc", "/etc/mail/sendmail.cf", "/etc/sendmail.cf"}, readSendmail},
	{"dma", []string{"/etc/dma/dma.conf"}, readDMA},
	{"nullmailer", []string{"/etc/nullmailer/remotes"}, readNullmailer},
	{"ssmtp", []string{"/etc/ssmtp/ssmtp.conf"}, readSSMTP},
	{"msmtp", []string{"~/.msmtprc", "~/.config/msmtp/config", "/etc/msmtprc"}, readMSMTP},
}

// Systems are the names that From of a Source may have.
func Systems() (names []string) {
	for _, s := range systems {
		names = append(names, s.name)
	}
	return names
}

// Source says where a configuration is. Without Path it is where its system has it; without From the files tell.
type Source struct {
	FS   fs.FS  // the root of the other system's files
	From string // one of Systems, or ""
	Path string // an absolute path of a file or directory in FS, or ""
	Home string // the caller's, for configurations that are a user's
}

// Read reads a configuration. It fails when there is none, when it cannot be told which of several is meant, and when the
// main file cannot be read; what is wrong with others is among the notes.
func Read(src Source) (*Import, error) {
	tree := Tree{src.FS}
	var found []match
	for _, s := range systems {
		if src.From != "" && src.From != s.name {
			continue
		}
		if file := s.locate(tree, src); file != "" {
			found = append(found, match{s, file})
		}
	}
	switch len(found) {
	case 0:
		return nil, notFound(src)
	case 1:
		m, err := found[0].read(tree, found[0].file)
		if err == nil {
			m.tidy()
		}
		return m, err
	}
	var names []string
	for _, m := range found {
		names = append(names, fmt.Sprintf("%s (%s)", m.name, m.file))
	}
	return nil, fmt.Errorf("%w: there are %s", ErrAmbiguous, strings.Join(names, ", "))
}

type match struct {
	system
	file string
}

// locate is the file to read, "" when there is none of the system's.
func (s system) locate(tree Tree, src Source) string {
	switch {
	case src.Path == "":
		for _, file := range s.files {
			if rest, ok := strings.CutPrefix(file, "~/"); ok {
				if src.Home == "" {
					continue
				}
				file = path.Join(src.Home, rest)
			}
			if tree.exists(file) {
				return file
			}
		}
	case tree.isDir(src.Path):
		for _, file := range s.files {
			if file = path.Join(src.Path, path.Base(file)); tree.exists(file) {
				return file
			}
		}
	case src.From != "" || s.owns(path.Base(src.Path)):
		return path.Clean(src.Path)
	}
	return ""
}

// owns tells whether a file is the system's by its name.
func (s system) owns(name string) bool {
	if s.name == "sendmail" && (strings.HasSuffix(name, ".mc") || name != "main.cf" && strings.HasSuffix(name, ".cf")) {
		return true
	}
	return slices.ContainsFunc(s.files, func(file string) bool { return path.Base(file) == name && name != "config" })
}
