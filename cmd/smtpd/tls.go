package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"postrider/internal/config"
)

// tlsConfig reads a certificate and its key; nil where there is none.
func tlsConfig(t config.TLS) (*tls.Config, error) {
	if t.Certificate == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s and key %s: %w", t.Certificate, t.Key, err)
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
	text, err := os.ReadFile(t.ClientCA)
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
