package interop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postrider/queue"
)

// patience bounds every wait for a server or a client.
const patience = 30 * time.Second

// Who may log in.
const (
	login    = "alice"
	password = "correct horse %&+/=: battery"
)

// server is an installation whose smtpd listens at loopback. It delivers nothing: what it has taken is in the spool.
type server struct {
	*installation
	at map[string]string // address or path of each place, by its name

	cmd    *exec.Cmd // nil: it does not run
	ended  chan struct{}
	stderr bytes.Buffer
}

// places are where servers listen: one for each mode, and the Unix sockets.
var places = []string{"smtp", "submission", "submissions", "lmtp", "lmtp.sock", "local.sock"}

// Whom a server trusts.
const (
	friends   = true  // all clients
	strangers = false // none
)

// newServer makes a server that does not run yet. The lines are for the table [smtpd].
func newServer(t *testing.T, trusted bool, smtpd ...string) *server {
	t.Helper()
	s := &server{installation: install(t), at: map[string]string{}}
	if err := credentials(); err != nil {
		t.Fatal(err)
	}
	networks := ""
	if trusted {
		networks = `"127.0.0.0/8"`
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[relay]\nnetworks = [%s]\ndomains = [\"relay.example\"]\n[smtpd]\naccess = %q\n%s\n", networks, s.path("access"), strings.Join(smtpd, "\n"))
	for _, name := range places {
		mode, _, unix := strings.Cut(name, ".")
		s.at[name] = freePort(t)
		if unix {
			s.at[name] = s.path(name)
		}
		fmt.Fprintf(&b, "[[listen]]\naddress = %q\nmode = %q\n", s.at[name], mode)
		if mode != "local" {
			fmt.Fprintf(&b, "tls = { certificate = %q, key = %q }\nauth = { file = %q }\n", credential("cert"), credential("key"), credential("users"))
		}
	}
	s.at["metrics"] = freePort(t)
	aliases := s.write("aliases", "")
	if err := os.Chmod(aliases, 0o644); err != nil { // one that not everybody may read is shown to nobody
		t.Fatal(err)
	}
	s.write("postrider.toml", s.config(hostname, s.next.address, "aliases = [\""+aliases+"\"]")+b.String())
	t.Cleanup(s.kill)
	return s
}

// start starts the server and waits until it says that it serves.
func (s *server) start() {
	s.Helper()
	s.cmd = s.command("", "smtpd", "--foreground", "--queue-only", "--metrics", s.at["metrics"])
	s.cmd.Stderr = &s.stderr
	if err := s.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func(cmd *exec.Cmd) {
		cmd.Wait()
		close(ended)
	}(s.cmd)
	started := fmt.Sprintf("smtpd[%d]: NOQUEUE: state=started ", s.cmd.Process.Pid)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if log, err := os.ReadFile(s.path("log")); err == nil && strings.Contains(string(log), started) {
			return
		}
		select {
		case <-ended:
			s.Fatalf("smtpd has ended: %v\n%s", s.cmd.ProcessState, &s.stderr)
		default:
		}
		if time.Now().After(deadline) {
			s.Fatal("smtpd does not serve")
		}
	}
}

// kill ends the server as a crash would.
func (s *server) kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		<-s.ended
		s.cmd = nil
	}
}

// The ports that servers get: not those that the kernel gives to clients, so that they stay free, and none twice.
const firstPort, lastPort = 10000, 30000

var nextPort atomic.Int64

func init() { nextPort.Store(mathrand.Int64N(lastPort - firstPort)) }

// freePort is an address of loopback that nobody uses.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%(lastPort-firstPort)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// credential is the file of a certificate that is its own authority, of its key, or of those who may log in.
func credential(name string) string { return filepath.Join(bin, "credential."+name) }

// credentials makes these files, once.
var credentials = sync.OnceValue(func() error {
	if err := keyPair(credential("cert"), credential("key")); err != nil {
		return err
	}
	add := exec.Command(filepath.Join(bin, "postrider"), "user", "add", "--stdin", "--file", credential("users"), login)
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("postrider user add: %w\n%s", err, out)
	}
	return nil
})

func keyPair(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hostname}, DNSNames: []string{hostname, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return err
	}
	return os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
}

// stored is a message in the spool.
type stored struct {
	queue.Envelope
	id   string
	text string
}

// take takes all messages out of the spool.
func (s *server) take() (list []stored) {
	s.Helper()
	spool, err := queue.Open(s.path("spool"), queue.Options{NoCreate: true})
	if err != nil {
		s.Fatal(err)
	}
	if damaged := s.spooled("corrupt"); len(damaged) > 0 {
		s.Errorf("damaged: %q", damaged)
	}
	var entries []queue.Entry
	err = spool.Scan(queue.New|queue.Cur|queue.Held, func(e queue.Entry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range entries {
		c, err := spool.Claim(e)
		for deadline := time.Now().Add(patience); errors.Is(err, queue.ErrBusy) && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			c, err = spool.Claim(e) // it is about to be accepted
		}
		if err != nil {
			s.Errorf("%s in the spool: %v", e.Name, err)
			continue
		}
		text, err := io.ReadAll(c.Body())
		if err == nil {
			err = c.Remove()
		}
		if err != nil {
			s.Fatal(err)
		}
		list = append(list, stored{c.Envelope, string(e.ID), string(text)})
	}
	return list
}
