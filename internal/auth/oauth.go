package auth

import (
	"context"
	"errors"
	"strings"
)

var (
	errToken  = errors.New("the token is not valid")
	errBearer = errors.New("malformed response with a token")
)

// parseOAuthBearer reads the response of OAUTHBEARER (RFC 7628 section 3.1): a GS2 header, and then pairs of name and
// value between bytes of value 1. Pairs that we do not know are ignored. The user is "" when the client names none.
func parseOAuthBearer(s string) (user, token string, err error) {
	flag, rest, ok1 := strings.Cut(s, ",")
	identity, pairs, ok2 := strings.Cut(rest, ",")
	if !ok1 || !ok2 || flag != "n" && flag != "y" {
		return "", "", errBearer
	}
	if identity != "" {
		encoded, ok := strings.CutPrefix(identity, "a=")
		if user = decodeName(encoded); !ok || user == "" {
			return "", "", errBearer
		}
	}
	pairs, ok := strings.CutPrefix(pairs, "\x01")
	if !ok {
		return "", "", errBearer
	}
	token, err = bearer(pairs)
	return user, token, err
}

// decodeName takes the encoding of "," and "=" away (RFC 5801 section 4), and is "" when there is another one.
func decodeName(s string) string {
	decoded := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s)
	if strings.Count(s, "=") != strings.Count(s, "=2C")+strings.Count(s, "=3D") {
		return ""
	}
	return decoded
}

// parseXOAuth2 reads the response of XOAUTH2, which is Google's.
func parseXOAuth2(s string) (user, token string, err error) {
	user, pairs, ok := strings.Cut(s, "\x01")
	user, named := strings.CutPrefix(user, "user=")
	if !ok || !named || user == "" {
		return "", "", errBearer
	}
	token, err = bearer(pairs)
	return user, token, err
}

// bearer finds the token in pairs that end with an empty one.
func bearer(pairs string) (token string, err error) {
	pairs, ok := strings.CutSuffix(pairs, "\x01\x01")
	if !ok {
		return "", errBearer
	}
	for pair := range strings.SplitSeq(pairs, "\x01") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return "", errBearer
		}
		if name != "auth" {
			continue
		}
		scheme, t, _ := strings.Cut(value, " ")
		t = strings.TrimLeft(t, " ")
		if token != "" || !strings.EqualFold(scheme, "Bearer") || !isToken(t) {
			return "", errBearer
		}
		token = t
	}
	if token == "" {
		return "", errBearer
	}
	return token, nil
}

// isToken tells whether s is a b64token (RFC 6750 section 2.1). Nothing else may get into what we send to others.
func isToken(s string) bool {
	body := strings.TrimRight(s, "=")
	return body != "" && len(s) <= maxToken && !strings.ContainsFunc(body, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/", r)
	})
}

// oauth is OAUTHBEARER or XOAUTH2, by what reads the response. A client whose token is no good gets a challenge that
// says so and answers it, before the exchange fails (RFC 7628 section 3.2.3).
func (a *Authenticator) oauth(ctx context.Context, parse func(string) (user, token string, err error), refusal string) Exchange {
	x := &exchange{}
	x.next = clientFirst(func(response []byte) ([]byte, step, error) {
		user, token, err := parse(string(response))
		if err != nil {
			return nil, nil, malformed(err.Error())
		}
		x.claims(user)
		name, err := a.tokens.check(ctx, token)
		if err == nil && user != "" && !sameName(user, name) {
			err = failed(errIdentity)
		}
		if err == nil && a.locked(name) {
			err = failed(errUnknown)
		}
		if err == nil {
			x.login = name
			return nil, nil, nil
		}
		if isTemporary(err) {
			return nil, nil, err
		}
		return []byte(refusal), func([]byte) ([]byte, step, error) { return nil, nil, err }, nil
	})
	return x
}

// locked tells whether there is a file of users that keeps one from logging in. Who is not in it is the business of
// those who give out tokens.
func (a *Authenticator) locked(name string) bool {
	if a.file == nil {
		return false
	}
	account := a.file.current().byName[name]
	return account != nil && account.locked
}
