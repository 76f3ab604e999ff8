package auth

import (
	"bytes"
	"context"
	"runtime"
	"strings"
)

// hashing has room for as many hashes as may be computed at once. A hash is made to be slow, and some take much memory;
// strangers can ask for one whenever they like.
var hashing = make(chan struct{}, runtime.GOMAXPROCS(0))

// plain is PLAIN (RFC 4616).
func (a *Authenticator) plain(ctx context.Context) Exchange {
	x := &exchange{}
	x.next = clientFirst(func(response []byte) ([]byte, step, error) {
		parts := bytes.Split(response, []byte{0})
		if len(parts) != 3 {
			return nil, nil, malformed("malformed response of PLAIN")
		}
		identity, name, password := string(parts[0]), string(parts[1]), string(parts[2])
		x.claims(name)
		if identity != "" && !sameName(identity, name) {
			return nil, nil, failed(errIdentity)
		}
		return nil, nil, a.logIn(ctx, x, name, password)
	})
	return x
}

// sameName tells whether two spellings are of one name.
func sameName(a, b string) bool {
	a, errA := prepName(a)
	b, errB := prepName(b)
	return errA == nil && errB == nil && a == b
}

// login is LOGIN, which no RFC describes: two questions, two answers. An initial response is the first answer.
func (a *Authenticator) login(ctx context.Context) Exchange {
	x := &exchange{}
	name := ""
	password := func(response []byte) ([]byte, step, error) {
		return nil, nil, a.logIn(ctx, x, name, string(response))
	}
	user := func(response []byte) ([]byte, step, error) {
		name = string(response)
		x.claims(name)
		return []byte("Password:"), password, nil
	}
	x.next = func(response []byte) ([]byte, step, error) {
		if response == nil {
			return []byte("Username:"), user, nil
		}
		return user(response)
	}
	return x
}

// logIn makes x a login of the user if that is the password.
func (a *Authenticator) logIn(ctx context.Context, x *exchange, name, password string) error {
	if len(name) > maxName || len(password) > maxPassword {
		return malformed("user or password too long")
	}
	if strings.Contains(name+password, "\x00") {
		return malformed("user or password with a NUL")
	}
	account, err := a.check(ctx, name, password)
	if err != nil {
		return err
	}
	x.login = account.name
	return nil
}

// check finds the account of a user with that password. A failure takes as long for who does not exist, or has no
// password, as for others.
func (a *Authenticator) check(ctx context.Context, name, password string) (*account, error) {
	name, err := prepName(name)
	if err != nil {
		return nil, failed(errUnknown)
	}
	users := a.file.current()
	account := users.byName[name]
	if account, ok := users.recent.get(name, password, a.now()); ok {
		return account, nil
	}
	select {
	case hashing <- struct{}{}:
	case <-ctx.Done():
		return nil, temporary(ctx.Err())
	}
	ok := users.compare(account, password)
	<-hashing
	switch {
	case account == nil || account.password == nil:
		return nil, failed(errUnknown)
	case !ok:
		return nil, failed(errPassword)
	}
	users.recent.put(name, password, account, a.now(), memoryTime)
	return account, nil
}

// matches compares a password as it is to be hashed, and then as it came: others than we did not all use SASLprep.
func matches(h hash, password string) bool {
	prepared := prepPassword(password)
	return h.matches(prepared) || prepared != password && h.matches(password)
}
