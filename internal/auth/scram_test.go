package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"
)

// channels is a TLS connection as server and client see it. The client shows a certificate when it has one.
func channels(t *testing.T, version uint16, certificate *tls.Certificate) (server Channel, client *tls.ConnectionState) {
	t.Helper()
	own := certificateFor(t, &x509.Certificate{Subject: pkix.Name{CommonName: "mx.example"}})
	conf := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: version, MaxVersion: version}
	clientConf := &tls.Config{InsecureSkipVerify: true}
	if certificate != nil {
		conf.ClientAuth, conf.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
		conf.ClientCAs.AddCert(certificate.Leaf)
		clientConf.Certificates = []tls.Certificate{*certificate}
	}
	a, b := net.Pipe()
	s, c := tls.Server(a, conf), tls.Client(b, clientConf)
	t.Cleanup(func() { a.Close(); b.Close() })
	done := make(chan error, 1)
	go func() { done <- c.Handshake() }()
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	serverState, clientState := s.ConnectionState(), c.ConnectionState()
	return Channel{TLS: &serverState}, &clientState
}

// certificateFor makes a certificate that has signed itself.
func certificateFor(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	template.IsCA, template.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// scramClient is the client of another author as a client of SASL.
type scramClient struct {
	mechanism string
	talk      *scram.ClientConversation
}

func (c scramClient) Start() (string, []byte, error) {
	first, err := c.talk.Step("")
	return c.mechanism, []byte(first), err
}

func (c scramClient) Next(challenge []byte) ([]byte, error) {
	response, err := c.talk.Step(string(challenge))
	return []byte(response), err
}

func newScramClient(t *testing.T, user, password, identity string) *scram.Client {
	t.Helper()
	c, err := scram.SHA256.NewClient(user, password, identity)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestScram(t *testing.T) {
	k, err := newKeys(prepPassword("sch\u00f6n\u00aa"))
	if err != nil {
		t.Fatal(err)
	}
	a := withUsers(t, "alice:"+quick+":"+quickKeys, "bob,b=c:"+quickKeys, "carl:*", "d\u00f6ra:{SCRAM-SHA-256}"+k.String())
	for _, c := range []struct{ name, identity, user, password, want string }{
		{"a user with a hash and keys", "", "alice", "pencil", "alice"},
		{"a user with keys for a hash, and a name that is encoded", "", "bob,b=c", "pencil", "bob,b=c"},
		{"another spelling of Unicode", "", "do\u0308ra", "scho\u0308na", "döra"},
		{"a user who says who it is twice", "alice", "alice", "pencil", "alice"},
		{"a wrong password", "", "alice", "Pencil", badLogin},
		{"an unknown user", "", "mallory", "pencil", badLogin},
		{"a user without keys", "", "carl", "*", badLogin},
		{"a user who wants to be another", "carl", "alice", "pencil", badLogin},
	} {
		client := newScramClient(t, c.user, c.password, c.identity)
		for _, ch := range []Channel{overTLS, {Trusted: true}} {
			if got := talk(a, scramClient{"SCRAM-SHA-256", client.NewConversation()}, ch); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
	}
}

func TestScramIsBoundToItsChannel(t *testing.T) {
	a := withUsers(t, "alice:"+quickKeys)
	client := newScramClient(t, "alice", "pencil", "")
	server, clientState := channels(t, tls.VersionTLS13, nil)
	_, otherState := channels(t, tls.VersionTLS13, nil)
	own, err := scram.NewTLSExporterBinding(clientState)
	if err != nil {
		t.Fatal(err)
	}
	other, err := scram.NewTLSExporterBinding(otherState)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, mechanism string
		talk            *scram.ClientConversation
		want            string
	}{
		{"bound to this channel", "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(own), "alice"},
		{"bound to another channel", "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(other), badLogin},
		{"bound in a way that we do not have", "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(scram.NewTLSUniqueBinding([]byte("x"))), badLogin},
		{"not bound although it says so", "SCRAM-SHA-256-PLUS", client.NewConversation(), badLogin},
		{"bound although it does not say so", "SCRAM-SHA-256", client.NewConversationWithChannelBinding(own), "501 5.5.2 channel binding without SCRAM-SHA-256-PLUS"},
		{"a client that cannot be bound", "SCRAM-SHA-256", client.NewConversation(), "alice"},
		{"a client that was not shown that it could be bound", "SCRAM-SHA-256", client.NewConversationAdvertisingChannelBinding(), badLogin},
	} {
		if got := talk(a, scramClient{c.mechanism, c.talk}, server); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := talk(a, scramClient{"SCRAM-SHA-256", client.NewConversationAdvertisingChannelBinding()}, overTLS); got != "alice" {
		t.Errorf("where we do not offer to be bound: %s", got)
	}
}

// The dialogue is that of RFC 7677 section 3.
func TestScramDialogue(t *testing.T) {
	a := withUsers(t, "user:"+quickKeys)
	a.nonce = func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" }
	const first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	const challenge = "> r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	const nonce = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	const proof = ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	const badMessage = "501 5.5.2 malformed message of SCRAM"
	for _, c := range []struct {
		name     string
		dialogue []string
	}{
		{"as it should be", []string{first, challenge, nonce + proof, "logged in as user"}},
		{"without an initial response", []string{"nil", "> ", first, challenge, nonce + proof, "logged in as user"}},
		{"another nonce", []string{first, challenge, "c=biws,r=rOprNGfwEbeRWgbNEkqO" + proof, badMessage}},
		{"another header", []string{first, challenge, "c=eSws" + nonce[6:] + proof, badLogin}},
		{"another proof", []string{first, challenge, nonce + ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", badLogin}},
		{"a short proof", []string{first, challenge, nonce + ",p=dHzb", badMessage}},
		{"no proof", []string{first, challenge, nonce, badMessage}},
		{"an empty last message", []string{first, challenge, "", badMessage}},
		{"an empty first message", []string{"", badMessage}},
		{"a name that is not encoded", []string{"n,,n=us=er,r=rOprNGfwEbeRWgbNEkqO", badMessage}},
		{"an extension", []string{"n,,m=x,n=user,r=rOprNGfwEbeRWgbNEkqO", badMessage}},
		{"a message without end", []string{"n,,n=user,r=" + strings.Repeat("x", maxMessage), "501 5.5.2 message of SCRAM too long"}},
		{"after the end", []string{first, challenge, nonce + proof, "logged in as user", "", "501 5.5.2 the login is over"}},
	} {
		x, err := a.Start(context.Background(), "SCRAM-SHA-256", overTLS)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(c.dialogue); i += 2 {
			response := []byte(c.dialogue[i])
			if c.dialogue[i] == "nil" {
				response = nil
			}
			if got := next(x, response); got != c.dialogue[i+1] {
				t.Errorf("%s: %q: %q, want %q", c.name, c.dialogue[i], got, c.dialogue[i+1])
			}
		}
	}
}

func TestTheServerProvesThatItKnowsThePassword(t *testing.T) {
	a := withUsers(t, "alice:"+quickKeys)
	conversation := newScramClient(t, "alice", "pencil", "").NewConversation()
	if got := talk(a, scramClient{"SCRAM-SHA-256", conversation}, overTLS); got != "alice" || !conversation.Valid() {
		t.Errorf("%s, and the client is not sure of the server", got)
	}
}

func TestScramIsOfferedOnlyIfItWorksForAll(t *testing.T) {
	for _, c := range []struct {
		name  string
		users []string
		want  bool
	}{
		{"all have keys", []string{"alice:" + quickKeys, "bob:" + quick + ":" + quickKeys}, true},
		{"one has no password at all", []string{"alice:" + quickKeys, "bob:*"}, true},
		{"one has a hash only", []string{"alice:" + quickKeys, "bob:" + quick}, false},
		{"nobody has a password", []string{"alice:*"}, false},
		{"nobody is there", nil, false},
	} {
		if got := withUsers(t, c.users...).file.current().scram; got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

var _ sasl.Client = scramClient{}
