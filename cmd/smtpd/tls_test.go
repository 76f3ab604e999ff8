package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"postrider/internal/config"
)

// A key that cannot be read any more stays as it was, and only for the same files.
func TestKeyThatOnlyRootCouldRead(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "one.pem"), filepath.Join(dir, "one.key")
	if err := writePair(filepath.Join(dir, "one"), time.Hour); err != nil {
		t.Fatal(err)
	}
	p := &program{}
	table := config.TLS{Certificate: cert, Key: key}
	first, err := p.keyPair(table)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // for whom no mode matters: become somebody else for a moment
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Seteuid(65534); err != nil {
			t.Fatal(err)
		}
		defer syscall.Seteuid(0)
	} else if err := os.Chmod(key, 0); err != nil {
		t.Fatal(err)
	}
	again, err := p.keyPair(table)
	if err != nil || !bytes.Equal(again.Certificate[0], first.Certificate[0]) {
		t.Errorf("%v", err)
	}
	if _, err := (&program{}).keyPair(table); err == nil {
		t.Error("it can be read, so this shows nothing")
	}
}

// What is spoken at a port with TLS, and to whom.
func TestWhoGetsTLS(t *testing.T) {
	dir := t.TempDir()
	pair := func(name string) tls.Certificate {
		path := filepath.Join(dir, name)
		if err := writePair(path, time.Hour); err != nil {
			t.Fatal(err)
		}
		c, err := tls.LoadX509KeyPair(path+".pem", path+".key")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	pair("server")
	friend, stranger := pair("friend"), pair("stranger")
	table := config.TLS{Certificate: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key")}
	withCA := table
	withCA.ClientCA = filepath.Join(dir, "friend.pem")
	for _, tt := range []struct {
		name   string
		table  config.TLS
		client *tls.Config
		want   string
	}{
		{"TLS 1.3", table, &tls.Config{MinVersion: tls.VersionTLS13}, "nobody"},
		{"TLS 1.2", table, &tls.Config{MaxVersion: tls.VersionTLS12}, "nobody"},
		{"TLS 1.1 is too old", table, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "refused"},
		{"TLS 1.0 is too old", table, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, "refused"},
		{"it means SMTP", table, &tls.Config{NextProtos: []string{"smtp"}}, "nobody"},
		{"it means HTTP", table, &tls.Config{NextProtos: []string{"http/1.1"}}, "refused"},
		{"a certificate that nobody asks for", table, &tls.Config{Certificates: []tls.Certificate{friend}}, "nobody"},
		{"a certificate that we know", withCA, &tls.Config{Certificates: []tls.Certificate{friend}}, "verified"},
		{"no certificate", withCA, &tls.Config{}, "nobody"},
		{"a certificate of others", withCA, &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }}, "refused"},
	} {
		conf, err := (&program{}).tlsConfig(tt.table)
		if err != nil {
			t.Fatal(err)
		}
		if got := handshake(conf, tt.client); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// handshake tells whom the server has before it: nobody that it knows, somebody whose certificate was verified, or somebody
// whom it refuses.
func handshake(server, client *tls.Config) string {
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		defer there.Close()
		client.InsecureSkipVerify = true
		io.Copy(io.Discard, tls.Client(there, client)) // which begins with a handshake
	}()
	s := tls.Server(here, server)
	if err := s.Handshake(); err != nil {
		return "refused"
	}
	if len(s.ConnectionState().VerifiedChains) > 0 {
		return "verified"
	}
	return "nobody"
}
