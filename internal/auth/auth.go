// Package auth finds out who a client of the server is: the server side of SASL (RFC 4422) over the mechanisms PLAIN,
// LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, EXTERNAL, OAUTHBEARER and XOAUTH2.
package auth

import "crypto/tls"

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
	// Login is as whom the client has logged in.
	Login() string
}
