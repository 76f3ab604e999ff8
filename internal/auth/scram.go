package auth

import (
	"crypto/tls"
	"errors"
	"strings"

	"github.com/xdg-go/scram"
)

// maxMessage is more than a message of SCRAM may have.
const maxMessage = 4096

var errBinding = errors.New("the client is bound to another channel, or was kept from binding to this one")

// binding is what makes SCRAM-SHA-256-PLUS sure that nobody sits between the client and us: tls-exporter (RFC 9266).
// Before TLS 1.3 it is not certain to be unique.
func binding(ch Channel) scram.ChannelBinding {
	if ch.TLS == nil || ch.TLS.Version < tls.VersionTLS13 || !ch.TLS.HandshakeComplete {
		return scram.ChannelBinding{}
	}
	b, err := scram.NewTLSExporterBinding(ch.TLS)
	if err != nil {
		return scram.ChannelBinding{}
	}
	return b
}

// scram is SCRAM-SHA-256 (RFC 7677), with plus SCRAM-SHA-256-PLUS. A client that says it would have used PLUS, had we
// offered it, did not see what we offered (RFC 5802 section 6): where we offer it, that fails.
func (a *Authenticator) scram(ch Channel, plus bool) (Exchange, error) {
	x := &exchange{}
	var who *account
	server, err := scram.SHA256.NewServer(func(name string) (scram.StoredCredentials, error) {
		if prepared, err := prepName(name); err == nil {
			name = prepared
		}
		c, account := a.file.current().credentials(name)
		who = account
		return c, nil
	})
	if err != nil {
		return nil, temporary(err)
	}
	if a.nonce != nil {
		server.WithNonceGenerator(a.nonce)
	}
	talk := server.NewConversationWithChannelBinding(binding(ch))
	if plus {
		talk = server.NewConversationWithChannelBindingRequired(binding(ch))
	}
	last := func(response []byte) ([]byte, step, error) {
		verifier, err := scramStep(talk, response)
		if err != nil {
			return nil, nil, err
		}
		if who == nil || !talk.Valid() {
			return nil, nil, failed(errUnknown)
		}
		x.login = who.name
		return []byte(verifier), nil, nil
	}
	x.next = clientFirst(func(response []byte) ([]byte, step, error) {
		if !plus && strings.HasPrefix(string(response), "p=") {
			return nil, nil, malformed("channel binding without SCRAM-SHA-256-PLUS")
		}
		challenge, err := scramStep(talk, response)
		x.claims(talk.Username())
		if err != nil {
			return nil, nil, err
		}
		if id := talk.AuthzID(); id != "" && !sameName(id, talk.Username()) {
			return nil, nil, failed(errIdentity)
		}
		return []byte(challenge), last, nil
	})
	return x, nil
}

// scramStep takes the conversation one step on. The library's errors hold what neither client nor log shall see.
func scramStep(talk *scram.ServerConversation, response []byte) (string, error) {
	if len(response) > maxMessage {
		return "", malformed("message of SCRAM too long")
	}
	answer, err := talk.Step(string(response))
	if err == nil {
		return answer, nil
	}
	switch answer {
	case "", scram.ErrInvalidEncoding, scram.ErrInvalidUsernameEncoding, scram.ErrOtherError:
		return "", malformed("malformed message of SCRAM")
	case scram.ErrInvalidProof:
		return "", failed(errPassword)
	}
	return "", failed(errBinding)
}
