// Package auth finds out who a client of the server is: the server side of SASL (RFC 4422) over the mechanisms PLAIN,
// LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, EXTERNAL, OAUTHBEARER and XOAUTH2.
//
// Who knows passwords is a file of ours or Dovecot; who knows tokens is an endpoint that is asked or a key that has
// signed them; certificates are known by who has issued them. A mechanism is offered only when all that stands behind
// it is there, and nothing is offered in clear to a client that is not trusted with that.
//
// # Rules
//
// Nobody learns from a reply, or from the time it takes, whether a user exists, as long as the hashes in the file are
// of few kinds (maxKinds) and keys of SCRAM have one number of iterations and one length of salt: a failure takes the
// time of each kind, but who has one that is neither among the most common nor the slowest takes more, and who has
// other factors of SCRAM is shown by them. What cannot be found out just now is a temporary failure, and never a
// success. A client acts as whom it has logged in: another authorization identity is refused. Names and passwords have
// caps, and only so many passwords are checked at once as there are processors.
//
// # The file of users
//
// One user a line, and comments that begin with "#":
//
//	name:hash[:{SCRAM-SHA-256}keys]
//
// The hash is what crypt(3) or Dovecot write, with or without {SCHEME} before it: argon2id, argon2i, bcrypt, SHA-crypt or
// keys of SCRAM; "*" or what begins with "!" is no password at all. Further fields, as Dovecot's passwd-file has them,
// are ignored. The file is read again when it has changed. A bad version of it is reported, and the one before stays.
package auth

import (
	"crypto/tls"
	"errors"

	"postrider/internal/status"
)

// The caps on what a client may send.
const (
	maxName     = 255
	maxPassword = 1024
	maxToken    = 8 << 10
)

// Channel is the connection over which a client logs in.
type Channel struct {
	TLS     *tls.ConnectionState // nil: in clear
	Trusted bool                 // the client is in a network in which a password in clear is allowed
	Remote  string               // the client's address, for those who are asked about it
	Local   string               // our address
}

// Exchange is one attempt to log in.
type Exchange interface {
	// Next takes what the client has said and returns what to say to it. The first response is nil when the client has
	// sent no initial response; one that is empty is not nil. When done is true the client has logged in as Login,
	// unless err is not nil. An error is a *status.Status fit for a reply: 535 5.7.8 when it is not who it says it is,
	// 454 4.7.0 when nobody can tell just now, 501 5.5.2 when it makes no sense. challenge with done is additional
	// data with success, which a client of SMTP gets as a last challenge and answers with an empty response.
	Next(response []byte) (challenge []byte, done bool, err error)
	// Login is as whom the client has logged in. Before that it is whom it claims to be, as far as that is known, and
	// cleaned: it is for the log.
	Login() string
}

// step takes a response. It returns the challenge and what takes the response to that; nil: the client has logged in.
type step func(response []byte) (challenge []byte, next step, err error)

// exchange is an Exchange made of steps. After an error there are no more of them.
type exchange struct {
	next  step
	login string
}

// Next implements Exchange.
func (x *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if x.next == nil {
		return nil, false, malformed("the login is over")
	}
	now := x.next
	x.next = nil
	challenge, next, err := now(response)
	if err != nil {
		return nil, false, err
	}
	x.next = next
	return challenge, next == nil, nil
}

// Login implements Exchange.
func (x *exchange) Login() string { return x.login }

// claims notes whom the client claims to be.
func (x *exchange) claims(name string) { x.login = status.Clean(name, maxName) }

// clientFirst asks with an empty challenge for the response that begins an exchange, when there was none (RFC 4954
// section 4).
func clientFirst(first step) step {
	return func(response []byte) ([]byte, step, error) {
		if response == nil {
			return []byte{}, first, nil
		}
		return first(response)
	}
}

// The causes of failures. They are for the log; the client gets one text for them all.
var (
	errUnknown  = errors.New("no such user, or none with a password")
	errPassword = errors.New("wrong password")
	errIdentity = errors.New("asked to act as somebody else")
)

func failed(cause error) error {
	return status.New("auth", 535, status.Code{5, 7, 8}, "authentication failed", cause)
}

func temporary(cause error) error {
	return status.New("auth", 454, status.Code{4, 7, 0}, "authentication is not possible just now", cause)
}

func malformed(text string) error {
	return status.New("auth", 501, status.Code{5, 5, 2}, text, nil)
}
