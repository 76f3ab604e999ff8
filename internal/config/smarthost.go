package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// SmarthostTarget is a smarthost's URL taken apart.
type SmarthostTarget struct {
	Scheme string // "smtp", "submission", "submissions", "lmtp", "lmtp+unix"
	User   string // to log in as; "" for none
	Host   string // name or address, without brackets; "" for lmtp+unix
	Port   string
	Socket string // for lmtp+unix
}

// schemes has the port of each scheme: RFC 5321 section 4.5.4.2 (25), RFC 6409 (587), RFC 8314 (465), and 24
// for LMTP, which RFC 2033 leaves open.
var schemes = []struct{ name, port string }{
	{"smtp", "25"}, {"submission", "587"}, {"submissions", "465"}, {"lmtp", "24"}, {"lmtp+unix", ""},
}

const schemeList = "smtp, submission, submissions, lmtp, lmtp+unix"

// Target takes the URL apart. It is not ok when no smarthost is set. The error says what is allowed and does not
// repeat the URL.
func (s Smarthost) Target() (t SmarthostTarget, ok bool, err error) {
	if s.URL == "" {
		return t, false, nil
	}
	scheme, rest, _ := strings.Cut(s.URL, ":")
	t = SmarthostTarget{Scheme: scheme, Port: "?"}
	for _, known := range schemes {
		if known.name == scheme {
			t.Port = known.port
		}
	}
	switch {
	case t.Port == "?":
		err = errors.New("must be scheme://user@host:port, with a scheme of " + schemeList)
	case scheme == "lmtp+unix":
		t.Socket = strings.TrimPrefix(rest, "//")
		if isPath(t.Socket) != "" {
			err = errors.New("must be lmtp+unix:/path")
		}
	default:
		err = t.authority(rest)
	}
	return t, err == nil, err
}

// authority reads "//user@host:port". A user may be an address; what is special in it may be %-encoded.
func (t *SmarthostTarget) authority(s string) error {
	s, ok := strings.CutPrefix(s, "//")
	if !ok {
		return t.badForm()
	}
	user, host, hasUser := cutLast(s, "@")
	if !hasUser {
		user, host = "", s
	}
	if strings.Contains(user, ":") {
		return errors.New("must not hold a password; put it into password_file")
	}
	user, err := url.PathUnescape(user)
	if err != nil || hasUser && user == "" || !printable(user) {
		return t.badForm()
	}
	host = strings.TrimSuffix(host, "/")
	if name, port, ok := cutLast(host, ":"); ok && !strings.HasSuffix(host, "]") {
		if !isPort(port) {
			return t.badForm()
		}
		host, t.Port = name, port
	}
	if !isHost(host) {
		return t.badForm()
	}
	t.User, t.Host = user, wireDomain(strings.Trim(host, "[]"))
	return nil
}

func (t *SmarthostTarget) badForm() error {
	return fmt.Errorf("must be %s://user@host:port, where user and port may be left out", t.Scheme)
}

// hidePassword is a URL without what may be a password in it.
func hidePassword(u string) string {
	before, host, ok := cutLast(u, "@")
	if !ok {
		return u
	}
	scheme, rest, _ := strings.Cut(before, ":")
	user, _, hasPassword := strings.Cut(rest, ":")
	if !hasPassword {
		return u
	}
	return scheme + ":" + user + ":***@" + host
}
