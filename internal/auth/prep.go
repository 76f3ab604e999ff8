package auth

import (
	"errors"
	"strings"

	"github.com/xdg-go/stringprep"
)

var errName = errors.New("not a name")

// prepName makes one spelling of all those of a name (SASLprep, RFC 4013), or tells that it cannot be one: it is empty,
// too long, or holds what could disturb a log or a table.
func prepName(s string) (string, error) {
	if s == "" || len(s) > maxName {
		return "", errName
	}
	if !isASCII(s) {
		var err error
		if s, err = stringprep.SASLprep.Prepare(s); err != nil || len(s) > maxName {
			return "", errName
		}
	}
	if strings.ContainsAny(s, ": \x00") || strings.HasPrefix(s, "#") || !isPrintable(s) {
		return "", errName
	}
	return s, nil
}

// prepPassword is what a password is hashed as: SASLprep of it, or itself where that is not defined. RFC 4616 section 2
// and RFC 5802 section 2.2 want SASLprep, but who has a newer letter in a password shall not be locked out.
func prepPassword(s string) string {
	if isASCII(s) {
		return s
	}
	if p, err := stringprep.SASLprep.Prepare(s); err == nil && p != "" {
		return p
	}
	return s
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// isPrintable tells whether s is without control characters. SASLprep has seen to those beyond ASCII.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
