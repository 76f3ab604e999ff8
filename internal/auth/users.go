package auth

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/xdg-go/scram"
)

// The caps on the file of users.
const (
	maxUsers = 64 << 20 // bytes
	maxLine  = 4096
)

// users is one version of the file of users. It is not changed, but for what it remembers of successes.
type users struct {
	byName map[string]*account
	kinds  []hash // one each of the kinds of hashes that every failure takes the time of
	scram  bool   // whoever has a password has keys
	usual  factors
	seeds  []seed // make the salts of those who do not exist
	recent *memory[*account]
}

// account is one line of the file.
type account struct {
	name     string
	password hash // nil: there is none
	seed     seed // nil: the password makes none
	keys     *keys
	locked   bool // may not log in, whoever says who it is
	line     int
}

// parseUsers reads the text of a file of users. The error tells file and line.
func parseUsers(path string, text []byte) (*users, error) {
	u := &users{byName: map[string]*account{}, recent: newMemory[*account]()}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		a, err := parseAccount(strings.TrimRight(string(line[:min(len(line), maxLine+1)]), "\r\n"))
		if err == nil && a != nil {
			if before := u.byName[a.name]; before != nil {
				err = fmt.Errorf("user %q was in line %d already", a.name, before.line)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		if a == nil {
			continue
		}
		a.line = n
		u.byName[a.name] = a
	}
	u.summarize()
	return u, nil
}

// parseAccount reads a line; the account is nil when the line has none.
func parseAccount(line string) (*account, error) {
	if len(line) > maxLine {
		return nil, fmt.Errorf("line is longer than %d bytes", maxLine)
	}
	if s := strings.TrimSpace(line); s == "" || s[0] == '#' {
		return nil, nil
	}
	f := strings.Split(line, ":")
	name, err := prepName(f[0])
	switch {
	case err != nil:
		return nil, errors.New("the line does not begin with a user's name")
	case len(f) == 1 || f[1] == "":
		return nil, fmt.Errorf(`user %q has no hash of a password; "*" stands for none`, name)
	case f[1] == "*" || f[1][0] == '!':
		return &account{name: name, locked: f[1][0] == '!'}, nil
	}
	a := &account{name: name}
	if a.password, err = parseHash(f[1]); err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	a.seed = seedOf(a.password, f[1])
	if k, ok := a.password.(keys); ok {
		a.keys = &k
	}
	if len(f) > 2 && strings.HasPrefix(f[2], "{") {
		h, err := parseHash(f[2])
		k, ok := h.(keys)
		if err != nil || !ok {
			return nil, fmt.Errorf("user %q: malformed keys of SCRAM", name)
		}
		a.keys = &k
	}
	return a, nil
}

// summarize finds out what is to be known of all.
func (u *users) summarize() {
	keyed, others := false, false
	for _, a := range u.byName {
		if a.password != nil {
			keyed, others = keyed || a.keys != nil, others || a.keys == nil
		}
	}
	u.scram = keyed && !others
	u.kinds, u.usual, u.seeds = kindsOf(u.byName), usualFactors(u.byName), sow(u.byName)
}

// credentials are the keys of a user. The account is nil when there are none, and then they are keys that nobody has.
// Those are made in any case, for the time that it takes.
func (u *users) credentials(name string) (c scram.StoredCredentials, a *account) {
	c = u.nobody(name)
	if a := u.byName[name]; a != nil && a.password != nil && a.keys != nil {
		return scram.StoredCredentials(*a.keys), a
	}
	return c, nil
}
