package auth

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"

	"postrider/internal/config"
)

func withCA(t *testing.T, users ...string) *Authenticator {
	t.Helper()
	var conf config.Auth
	if users != nil {
		conf.File = usersFile(t, users...)
	}
	a, err := New(conf, true, newClock().options())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestExternal(t *testing.T) {
	const unavailable = "504 5.5.4 mechanism not available"
	name := func(cn string) pkix.Name { return pkix.Name{CommonName: cn} }
	for _, c := range []struct {
		name        string
		certificate x509.Certificate
		users       []string
		identity    string
		want        string
	}{
		{"the mail address", x509.Certificate{Subject: name("x"), EmailAddresses: []string{"alice@here.example"}}, nil, "", "alice@here.example"},
		{"the common name, without an address", x509.Certificate{Subject: name("alice")}, nil, "", "alice"},
		{"not the common name, with an address", x509.Certificate{Subject: name("alice"), EmailAddresses: []string{"a@here.example"}}, nil, "alice", badLogin},
		{"who it is by its own word", x509.Certificate{Subject: name("alice")}, nil, "alice", "alice"},
		{"somebody else", x509.Certificate{Subject: name("alice")}, nil, "bob", badLogin},
		{"one of two addresses", x509.Certificate{EmailAddresses: []string{"a@here.example", "b@here.example"}}, nil, "b@here.example", "b@here.example"},
		{"nobody", x509.Certificate{}, nil, "", unavailable},
		{"a name that cannot be one", x509.Certificate{Subject: name("Alice Doe\n")}, nil, "", unavailable},
		{"a user in the file", x509.Certificate{Subject: name("alice")}, []string{"alice:*"}, "", "alice"},
		{"a user who is not in the file", x509.Certificate{Subject: name("bob")}, []string{"alice:*"}, "", unavailable},
		{"a user who is locked", x509.Certificate{Subject: name("alice")}, []string{"alice:!"}, "", unavailable},
		{"the address that is in the file", x509.Certificate{EmailAddresses: []string{"x@here.example", "alice@here.example"}}, []string{"alice@here.example:*"}, "", "alice@here.example"},
		{"the address that is not in the file", x509.Certificate{EmailAddresses: []string{"x@here.example", "alice@here.example"}}, []string{"alice@here.example:*"}, "x@here.example", badLogin},
	} {
		certificate := certificateFor(t, &c.certificate)
		ch, _ := channels(t, tls.VersionTLS13, &certificate)
		if got := talk(withCA(t, c.users...), sasl.NewExternalClient(c.identity), ch); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestExternalNeedsAVerifiedCertificate(t *testing.T) {
	certificate := certificateFor(t, &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}})
	ch, _ := channels(t, tls.VersionTLS13, &certificate)
	unverified := *ch.TLS
	unverified.VerifiedChains = nil
	without, _ := channels(t, tls.VersionTLS13, nil)
	noCA, err := New(config.Auth{}, false, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		a    *Authenticator
		ch   Channel
		want string
	}{
		{"a verified certificate", withCA(t), ch, "EXTERNAL"},
		{"a certificate that was not verified", withCA(t), Channel{TLS: &unverified}, ""},
		{"no certificate", withCA(t), without, ""},
		{"no authority that is configured", noCA, ch, ""},
		{"no TLS", withCA(t), Channel{Trusted: true}, ""},
	} {
		if got := strings.Join(c.a.Mechanisms(c.ch), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
