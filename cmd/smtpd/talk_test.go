package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// talk is a client's connection.
type talk struct {
	conn net.Conn
	in   *bufio.Reader
}

func newTalk(conn net.Conn) *talk {
	conn.SetDeadline(time.Now().Add(patience))
	return &talk{conn, bufio.NewReader(conn)}
}

// open connects to a server: "open name address [tls [certificate]]". An address that begins with / is that of a Unix
// socket.
func open(ts *testscript.TestScript, neg bool, args []string) {
	network := "tcp"
	if strings.HasPrefix(args[1], "/") {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, args[1], patience)
	if neg {
		if err == nil {
			conn.Close()
			ts.Fatalf("there is a server at %s", args[1])
		}
		return
	}
	ts.Check(err)
	if len(args) > 2 {
		conf := &tls.Config{InsecureSkipVerify: true}
		for _, name := range args[3:] {
			pair, err := tls.LoadX509KeyPair(ts.MkAbs(name+".pem"), ts.MkAbs(name+".key"))
			ts.Check(err)
			conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		c := tls.Client(conn, conf)
		c.SetDeadline(time.Now().Add(patience))
		ts.Check(c.Handshake()) // in TLS 1.3 before the server has judged the certificate
		conn = c
	}
	staged(ts).conns[args[0]] = newTalk(conn)
}

// say sends a line and expects a reply that begins with a text: "say name 'line' 'reply'". An empty line is not sent.
// TLS begins after the reply 220 to STARTTLS. \n in a line separates several.
func say(ts *testscript.TestScript, _ bool, args []string) {
	c := staged(ts).conns[args[0]]
	if line := args[1]; line != "" {
		if _, err := io.WriteString(c.conn, strings.ReplaceAll(line, `\n`, "\r\n")+"\r\n"); err != nil {
			ts.Fatalf("%v", err)
		}
	}
	for {
		got, err := c.in.ReadString('\n')
		if len(got) > 3 && got[3] == '-' {
			continue
		}
		if !strings.HasPrefix(got, args[2]) || err != nil {
			ts.Fatalf("%s: got %q, %v, want %q\nlog:\n%s", args[1], got, err, args[2], readIf(ts.MkAbs("log")))
		}
		break
	}
	if strings.EqualFold(args[1], "STARTTLS") && args[2] == "220" {
		c.conn = tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
		c.in = bufio.NewReader(c.conn)
	}
}

// over expects the server to end a session without a word.
func over(ts *testscript.TestScript, _ bool, args []string) {
	if rest, err := io.ReadAll(staged(ts).conns[args[0]].in); err != nil || len(rest) > 0 {
		ts.Fatalf("the session goes on: %q, %v", rest, err)
	}
}

// keypair makes a certificate and a key for some time: "keypair name 1h". In a certificate of a client the name is whose it
// is.
func keypair(ts *testscript.TestScript, _ bool, args []string) {
	valid, err := time.ParseDuration(args[1])
	ts.Check(err)
	ts.Check(writePair(ts.MkAbs(args[0]), valid))
}

// writePair makes the files name.pem, name.key and, with the public key alone, name.pub.
func writePair(name string, valid time.Duration) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"mail.example.org"}, Subject: pkix.Name{CommonName: filepath.Base(name)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid)}
	der, err1 := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	secret, err2 := x509.MarshalECPrivateKey(key)
	public, err5 := x509.MarshalPKIXPublicKey(key.Public())
	err3 := os.WriteFile(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	err4 := os.WriteFile(name+".key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600)
	err6 := os.WriteFile(name+".pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600)
	return errors.Join(err1, err2, err3, err4, err5, err6)
}

// token makes the variable name a response of OAUTHBEARER (RFC 7628) with a token that a key has signed for somebody, good
// for some time: "token name key user 1h".
func token(ts *testscript.TestScript, _ bool, args []string) {
	valid, err := time.ParseDuration(args[3])
	ts.Check(err)
	pair, err := tls.LoadX509KeyPair(ts.MkAbs(args[1]+".pem"), ts.MkAbs(args[1]+".key"))
	ts.Check(err)
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"ES256"}`)) + "." + b64(fmt.Appendf(nil, `{"iss":"https://login.example.org","aud":"mail","sub":%q,"exp":%d}`, args[2], time.Now().Add(valid).Unix()))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, pair.PrivateKey.(*ecdsa.PrivateKey), sum[:])
	ts.Check(err)
	signature := make([]byte, 64) // RFC 7518 section 3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	ts.Setenv(args[0], base64.StdEncoding.EncodeToString([]byte("n,a="+args[2]+",\x01auth=Bearer "+signed+"."+b64(signature)+"\x01\x01")))
}
