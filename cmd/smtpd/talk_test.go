package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
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

// open connects to a server: "open name address [tls]". An address that begins with / is that of a Unix socket.
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
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
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

// keypair makes a certificate and a key for some time: "keypair name 1h".
func keypair(ts *testscript.TestScript, _ bool, args []string) {
	valid, err := time.ParseDuration(args[1])
	ts.Check(err)
	ts.Check(writePair(ts.MkAbs(args[0]), valid))
}

// writePair makes the files name.pem and name.key.
func writePair(name string, valid time.Duration) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"mail.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid)}
	der, err1 := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	secret, err2 := x509.MarshalECPrivateKey(key)
	err3 := os.WriteFile(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	err4 := os.WriteFile(name+".key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600)
	return errors.Join(err1, err2, err3, err4)
}
