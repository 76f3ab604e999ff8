package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"

	"postrider/internal/config"
	"postrider/internal/fsys"
)

// maxPEM is more than a file of certificates or a key has.
const maxPEM = 4 << 20

// keyPair reads a certificate and its key. A key that only root could read, before the server gave up its rights, stays as
// it was: the rest of a reload need not fail for it.
func (p *program) keyPair(t config.TLS) (tls.Certificate, error) {
	chain, err := fsys.ReadFile(t.Certificate, maxPEM)
	var key []byte
	if err == nil {
		key, err = fsys.ReadFile(t.Key, maxPEM)
	}
	if old, have := p.pairs[t]; have && errors.Is(err, fs.ErrPermission) {
		p.log.Warning("", "smtpd: the key stays as it was: "+err.Error())
		return old, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.X509KeyPair(chain, key)
	}
	if err != nil {
		return pair, fmt.Errorf("certificate %s and key %s: %w", t.Certificate, t.Key, err)
	}
	if p.pairs == nil {
		p.pairs = map[config.TLS]tls.Certificate{}
	}
	p.pairs[t] = pair
	return pair, nil
}

// tlsConfig is what a table says of TLS; nil where there is no certificate.
func (p *program) tlsConfig(t config.TLS) (*tls.Config, error) {
	if t.Certificate == "" {
		return nil, nil
	}
	pair, err := p.keyPair(t)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12, // RFC 8314 section 4.1, RFC 8996
		// A client that says that it means another protocol, a browser that was led here for one, gets no session.
		NextProtos: []string{"smtp", "esmtp", "lmtp"},
	}
	if t.ClientCA == "" {
		return c, nil
	}
	text, err := fsys.ReadFile(t.ClientCA, maxPEM)
	if err != nil {
		return nil, err
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %w", t.ClientCA, errors.New("no certificate in PEM form"))
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	return c, nil
}
