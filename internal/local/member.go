package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/mailbox"
	"postrider/internal/status"
)

// Origin is who has named a command or a file.
type Origin int

// The two.
const (
	FromUser  Origin = iota // the user himself, in his .forward
	FromAlias               // an alias, and so the administrator
)

// Member delivers d to a command, a file or a Maildir, as u, whom the process must run as. The outcome is never nil.
func (a Agent) Member(ctx context.Context, member string, by Origin, u User, d Delivery) *status.Status {
	if s := foreign(u); s != nil {
		return s
	}
	if s := asRoot(u); s != nil {
		return s
	}
	return a.member(ctx, member, by, u, d)
}

func (a Agent) member(ctx context.Context, member string, by Origin, u User, d Delivery) *status.Status {
	to, err := ParseMember(member)
	if err != nil {
		return misconfigured("what mail is to be delivered to cannot be understood", err)
	}
	m, err := prepare(d)
	if err != nil {
		return outcome(err)
	}
	switch to.Kind {
	case aliases.Pipe:
		return a.pipe(ctx, to.Text, by, u, d, m)
	case aliases.Maildir:
		if err = allowedPath(to.Text); err == nil {
			err = a.intoMaildir(to.Text, d, m)
		}
		return delivered("maildir", err)
	}
	if filepath.Clean(to.Text) == os.DevNull {
		return status.New(op, 250, status.Code{2, 0, 0}, "discarded", nil)
	}
	if err = allowedPath(to.Text); err == nil {
		err = mailbox.Mbox{Path: filepath.Clean(to.Text), UID: -1, FS: a.FS}.Append(ctx, m)
	}
	if err != nil {
		return outcome(err)
	}
	return status.New(op, 250, status.Code{2, 0, 0}, "delivered to file", nil)
}

func (a Agent) pipe(ctx context.Context, command string, by Origin, u User, d Delivery, m mailbox.Message) *status.Status {
	p, err := a.program(command, by == FromAlias)
	if err != nil {
		return misconfigured("the command cannot be run", err)
	}
	if p.dir = u.Home; by == FromAlias {
		p.dir = homeOf(u)
	}
	return a.run(ctx, p, u, d, m)
}

// maxMember is the longest spelling of a member.
const maxMember = 4<<10 + 2

// ParseMember reads a command, a file or a Maildir as Spell writes it.
func ParseMember(s string) (aliases.Member, error) {
	m := aliases.Member{Kind: aliases.File, Text: s}
	switch {
	case len(s) > maxMember || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
		return aliases.Member{}, errors.New("it is too long or has control characters")
	case len(s) > 1 && s[0] == '|':
		m.Kind, m.Text = aliases.Pipe, s[1:]
	case len(s) > 1 && s[0] == '/' && strings.HasSuffix(s, "/"):
		m.Kind, m.Text = aliases.Maildir, strings.TrimRight(s, "/")
	case len(s) <= 1 || s[0] != '/':
		return aliases.Member{}, fmt.Errorf("%q is no command, file or Maildir", status.Clean(s, 200))
	}
	if m.Text == "" {
		return aliases.Member{}, errors.New("the root directory is no Maildir")
	}
	return m, nil
}

// Spell writes a member: "|command", "/file", "/maildir/", "\user" or an address. There are no quotes around it, so that the
// first byte, and the last of a path, tell what it is.
func Spell(m aliases.Member) string {
	switch m.Kind {
	case aliases.Pipe:
		return "|" + m.Text
	case aliases.Maildir:
		return m.Text + "/"
	case aliases.User:
		return `\` + m.Address.String()
	case aliases.Address:
		return spellAddress(m.Address)
	}
	return m.Text
}

// spellAddress keeps an address from being read as a command or a path: |x@y and /x@y are addresses.
func spellAddress(a address.Address) string {
	s := a.String()
	if s == "" || strings.IndexByte(`|/`, s[0]) < 0 {
		return s
	}
	return `"` + a.Local() + `"` + strings.TrimPrefix(s, a.Local()) // without quotes it had none that it needs
}

// forbidden are the directories in which no mail is stored, whoever's rights would allow it.
var forbidden = []string{"/etc", "/dev", "/proc", "/sys"}

// allowedPath refuses paths that lead into them, by the names given or by links.
func allowedPath(path string) error {
	dir, err := filepath.EvalSymlinks(filepath.Dir(filepath.Clean(path)))
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, dir := range []string{filepath.Clean(path), filepath.Join(dir, filepath.Base(path))} {
		for _, bad := range forbidden {
			if dir == bad || strings.HasPrefix(dir, bad+"/") {
				return fmt.Errorf("%s: %w: no mail is stored in %s", path, mailbox.ErrUnsafe, bad)
			}
		}
	}
	return nil
}
