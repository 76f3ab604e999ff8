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

// kept is what was made of files that root could read. Where the mail user may not read them it stays as it was: the rest
// of a reload need not fail for it.
type kept[K comparable, V any] map[K]V

// keep returns what has just been made of files, or else what is kept.
func keep[K comparable, V any](p *program, all *kept[K, V], key K, made V, err error) (V, error) {
	if err == nil {
		if *all == nil {
			*all = kept[K, V]{}
		}
		(*all)[key] = made
		return made, nil
	}
	if old, have := (*all)[key]; have && errors.Is(err, fs.ErrPermission) {
		p.log.Warning("", "smtpd: what only root could read stays as it was: "+err.Error())
		return old, nil
	}
	return made, err
}

// keyPair reads a certificate and its key.
func (p *program) keyPair(t config.TLS) (tls.Certificate, error) {
	pair, err := readPair(t)
	return keep(p, &p.pairs, t, pair, err)
}

func readPair(t config.TLS) (pair tls.Certificate, err error) {
	chain, err := fsys.ReadFile(t.Certificate, maxPEM)
	var key []byte
	if err == nil {
		key, err = fsys.ReadFile(t.Key, maxPEM)
	}
	if err == nil {
		pair, err = tls.X509KeyPair(chain, key)
	}
	if err != nil {
		return pair, fmt.Errorf("certificate %s and key %s: %w", t.Certificate, t.Key, err)
	}
	return pair, nil
}

// pool reads a file of authorities.
func (p *program) pool(path string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	text, err := fsys.ReadFile(path, maxPEM)
	if err == nil && !pool.AppendCertsFromPEM(text) {
		err = fmt.Errorf("%s: %w", path, errors.New("no certificate in PEM form"))
	}
	return keep(p, &p.pools, path, pool, err)
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
	if c.ClientCAs, err = p.pool(t.ClientCA); err != nil {
		return nil, err
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	return c, nil
}
