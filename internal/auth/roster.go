package auth

import (
	"fmt"
	"slices"
	"strings"

	"postrider/internal/status"
)

// MaxFile is the most bytes that a file of users may have.
const MaxFile = maxUsers

// Roster is the text of a file of users, to be looked at or changed. Lines that a change is not about stay as they are.
type Roster struct {
	lines []string
	users *users
}

// User is what may be told of a user.
type User struct {
	Name    string
	Schemes []string // of what is known of the password; none: there is no password
	Locked  bool
}

// NewRoster reads the text of the file at path. An error names the line.
func NewRoster(path string, text []byte) (*Roster, error) {
	u, err := parseUsers(path, text)
	if err != nil {
		return nil, status.Fail("auth.users", status.ExitConfig, "the file of users cannot be read", err)
	}
	return &Roster{lines: slices.Collect(strings.Lines(string(text))), users: u}, nil
}

// Text is the text as it has become.
func (r *Roster) Text() string { return strings.Join(r.lines, "") }

// Users are the users in the order of the file.
func (r *Roster) Users() (list []User) {
	accounts := make([]*account, len(r.lines))
	for _, a := range r.users.byName {
		accounts[a.line-1] = a
	}
	for _, a := range accounts {
		if a == nil {
			continue
		}
		u := User{Name: a.name, Locked: a.locked}
		if a.password != nil {
			u.Schemes = append(u.Schemes, a.password.scheme())
		}
		if a.keys != nil && !slices.Contains(u.Schemes, a.keys.scheme()) {
			u.Schemes = append(u.Schemes, a.keys.scheme())
		}
		list = append(list, u)
	}
	return list
}

// Has tells whether there is a user of that name.
func (r *Roster) Has(name string) bool {
	name, err := prepName(name)
	return err == nil && r.users.byName[name] != nil
}

// Add adds a user with a password, or without one when it is "".
func (r *Roster) Add(name, password string) error {
	name, err := prepName(name)
	if err != nil {
		return status.Fail("auth.users", status.ExitUsage, `a user's name has 1 to 255 bytes, none of them a blank, ":" or a control character, and does not begin with "#"`, nil)
	}
	if r.users.byName[name] != nil {
		return status.Fail("auth.users", status.ExitCantCreat, fmt.Sprintf("user %s exists already", name), nil)
	}
	secret := "*"
	if password != "" {
		if secret, err = hashed(password); err != nil {
			return err
		}
	}
	if n := len(r.lines); n > 0 && !strings.HasSuffix(r.lines[n-1], "\n") {
		r.lines[n-1] += "\n"
	}
	r.lines = append(r.lines, name+":"+secret+"\n")
	r.users.byName[name] = &account{name: name, line: len(r.lines)}
	return nil
}

// Passwd gives a user another password. Further fields of the line stay.
func (r *Roster) Passwd(name, password string) error {
	a, err := r.account(name)
	if err != nil {
		return err
	}
	line := r.lines[a.line-1]
	f := strings.Split(strings.TrimRight(line, "\r\n"), ":")
	if len(f) > 2 && strings.HasPrefix(f[2], "{") {
		f = slices.Delete(f, 2, 3)
	}
	if len(f) > 2 { // the place of the keys is taken, but keys serve for a hash as well
		f[1], err = hashedKeys(password)
	} else {
		f[1], err = hashed(password)
	}
	if err != nil {
		return err
	}
	r.lines[a.line-1] = strings.Join(f, ":") + "\n"
	return nil
}

// Remove takes a user away, with the line.
func (r *Roster) Remove(name string) error {
	a, err := r.account(name)
	if err != nil {
		return err
	}
	r.lines[a.line-1] = "" // the others keep their numbers
	delete(r.users.byName, a.name)
	return nil
}

func (r *Roster) account(name string) (*account, error) {
	prepared, err := prepName(name)
	if a := r.users.byName[prepared]; err == nil && a != nil {
		return a, nil
	}
	return nil, status.Fail("auth.users", status.ExitNoUser, fmt.Sprintf("there is no user %q", name), nil)
}

// CheckPassword tells what is wrong with a password that somebody wants to have.
func CheckPassword(password string) error {
	wrong := ""
	switch {
	case password == "":
		wrong = "the password is empty"
	case len(password) > maxPassword || len(prepPassword(password)) > maxPassword:
		wrong = fmt.Sprintf("the password is longer than %d bytes", maxPassword)
	case !isPrintable(password):
		wrong = "the password holds a control character"
	default:
		return nil
	}
	return status.Fail("auth.users", status.ExitDataErr, wrong, nil)
}

// hashed is what the file keeps of a password: a hash that is hard to try passwords on, and keys for SCRAM.
func hashed(password string) (string, error) {
	keys, err := hashedKeys(password)
	return "{ARGON2ID}" + newArgon(prepPassword(password)).String() + ":" + keys, err
}

func hashedKeys(password string) (string, error) {
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	k, err := newKeys(prepPassword(password))
	return "{SCRAM-SHA-256}" + k.String(), err
}
