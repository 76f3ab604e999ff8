// Package aliases reads aliases(5): which names of this machine stand for other recipients.
//
// # Format
//
//	name: member, member,
//	    member
//
// A line that begins with a blank continues the one before; lines that are empty or whose first character beside
// blanks is '#' are passed over, inside an entry too. A '#' further on begins no comment. A name is a localpart, in
// quotes where it has blanks or colons, and means the same in any case of letters. A member is
//
//	address, Full Name <address>, address (Full Name)
//	                      somebody; a local one is looked up in turn
//	\user                 the user of that name, not looked up any more
//	:include:/path        who is named in that file, one or more a line
//	|command              a program that gets the message on its standard input
//	/path, /path/         a file in mbox format, a Maildir
//
// and may stand in quotes, which a comma in it needs.
//
// # Rules
//
//   - user+detail means the entry user+detail, or else user+*, or else user.
//   - postmaster and mailer-daemon mean root when they have no entry, and root means Options.Root when it has none.
//   - Of several files the first that knows a name counts; of several lines in one file, the last.
//   - A file that never was is an empty one; one that has gone, or of which there is an index or a link to it, is a
//     temporary failure.
//   - A text that was written within the last two seconds may be half of one: what it lacks is as it was before, and a
//     temporary failure when nobody knows that, as when there is only an index of another text. So it is for a text that
//     has become empty, however long ago. An index of exactly this text, as newaliases makes it, says that it is whole. A
//     writing that does not end within ten seconds of the first sight of it is waited for no longer.
//   - A file that cannot be read, or is not text, or that others may write, is a
//     temporary failure for every name that it might know: never "no such alias". So is a name whose own line is
//     malformed. The rest of the file counts.
//   - A file is read again when it has changed. An index beside it, FILE.idx, spares reading it at all, and is used only
//     while it is of exactly this text; so nobody's mail depends on whether it was rebuilt. It says where in the text a
//     name is, and the text is what counts. An index that is damaged, or that others may have written, is not used, and
//     Options.Report is told.
//   - A name in its own expansion is the user of that name. Where aliases lead in a circle the first of them that
//     is a user ends it.
//   - Members of an alias NAME for which there is also an alias owner-NAME belong to that owner, who hears of their
//     failures. Of nested lists the inner owner counts.
//   - :include: files are read with suspicion: see readInclude. A command or a file named in one is an error.
//   - A name with a domain is no alias, one of more than 255 bytes neither.
//   - Every parser here is linear in its input, which is capped, and nests no deeper than maxDepth.
package aliases

import (
	"strings"

	"postrider/internal/address"
)

// The caps.
const (
	maxFile    = 64 << 20 // bytes of an aliases file
	maxInclude = 16 << 20 // bytes of an included file: the administrator's own lists are long
	maxText    = 4 << 10  // bytes of one member
	maxMembers = 250_000  // recipients of one expansion
	maxDepth   = 10       // aliases and included files inside each other
)

// Kind is what a Member is.
type Kind int

// The kinds of members.
const (
	Address Kind = iota + 1 // Member.Address
	User                    // Member.Address, not looked up any more: it was written "\user"
	Pipe                    // the command in Member.Text
	File                    // the mbox file named in Member.Text
	Maildir                 // the directory named in Member.Text, without the last slash
	Include                 // whoever is named in the file that Member.Text names
	Error                   // nobody: what was written cannot be understood, or used
)

// Member is one of those that an alias stands for.
type Member struct {
	Kind    Kind
	Text    string          // command or path; with Address, User and Error as it was written
	Address address.Address // of Address and User
	Name    string          // full name that was written with the address
	Err     string          // what is wrong with an Error, with file and line: not for strangers

	tangled bool // the Error is that of several aliases together
}

// Entry is an alias.
type Entry struct {
	Name    string   // as the file has it, in lower case and without quotes
	File    string   // RootSetting when no file has it
	Line    int      // 0 with RootSetting
	Members []Member // at least one

	owner  uint32 // of File
	secret bool   // File is not for everybody to read
}

// Where is e's name with its file and line, for the administrator.
func (e Entry) Where() string { return e.Name + " (" + place(e.File, e.Line) + ")" }

// List tells whether e stands for several, or may.
func (e Entry) List() bool {
	return len(e.Members) > 1 || len(e.Members) == 1 && e.Members[0].Kind == Include
}

// fold is the one spelling of names that mean the same.
func fold(name string) string { return strings.ToLower(name) }

// keys are the names that a localpart may be entered under, best first.
func keys(local string) []string {
	name := fold(local)
	list := []string{name}
	if base, _, detail := strings.Cut(name, "+"); detail && base != "" {
		name, list = base, []string{name, base + "+*", base}
	}
	if StandsForRoot(name) && name != root {
		list = append(list, root)
	}
	return list
}

const root = "root"

// StandsForRoot reports whether name, in any case of letters, is one of those that a mail system must have (RFC 5321
// section 4.5.1) and that no user need have.
func StandsForRoot(name string) bool {
	return strings.EqualFold(name, root) || strings.EqualFold(name, "postmaster") || strings.EqualFold(name, "mailer-daemon")
}

// ownerOf is the alias that names a list's owner, as Sendmail has it: owners and -request addresses have an owner of
// their own.
func ownerOf(name string) string {
	if strings.HasPrefix(name, "owner-") || strings.HasSuffix(name, "-request") {
		return "owner-owner"
	}
	return "owner-" + name
}
