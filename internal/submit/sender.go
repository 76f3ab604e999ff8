package submit

import (
	"errors"
	"strconv"
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
)

// setSender finds the reverse-path: the envelope's, what -f says, or the user.
func (s *submission) setSender() (err error) {
	if e := s.Envelope; e != nil {
		if e.Sender == "" {
			return nil
		}
		if s.sender, err = address.Parse(e.Sender); err != nil {
			return badSender(e.Sender, err)
		}
		return nil
	}
	a := s.User.address()
	if s.From != nil {
		if a, err = parseSender(*s.From); err != nil {
			return badSender(*s.From, err)
		}
	}
	a, err = complete(a, s.Origin)
	if err != nil {
		return badSender(a.String(), err)
	}
	s.sender = a
	return nil
}

func badSender(text string, err error) error {
	return status.Fail("submit.sender", status.ExitUsage, `bad sender address "`+status.Clean(text, maxBadText)+`"`, err)
}

// parseSender reads a reverse-path as -f has it: an address, one with a display name, "" or "<>".
func parseSender(text string) (address.Address, error) {
	if text = strings.TrimSpace(text); text == "" || text == "<>" {
		return address.Address{}, nil
	}
	list := parseList(text)
	switch {
	case list.err != nil:
		return address.Address{}, list.err
	case len(list.boxes) != 1:
		return address.Address{}, errors.New("not one address")
	}
	return list.boxes[0].Address, list.boxes[0].Err
}

// address is the user's own. A login name that is no localpart as it stands is quoted, and a user without a
// usable one is known by the UID.
func (u User) address() address.Address {
	if a, err := address.Parse(u.Name); err == nil {
		return a
	}
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(u.Name) + `"`
	for _, name := range []string{quoted, strconv.Itoa(u.UID)} {
		if a, err := address.Parse(name); err == nil {
			return a
		}
	}
	return address.Address{}
}

// fullName is what the passwd field tells of the user's name.
func (u User) fullName() string {
	name := u.Gecos
	if i := strings.IndexAny(name, ",;%"); i >= 0 {
		name = name[:i]
	}
	login := u.Name
	if login != "" && 'a' <= login[0] && login[0] <= 'z' {
		login = string(login[0]-'a'+'A') + login[1:]
	}
	return strings.ReplaceAll(name, "&", login)
}
