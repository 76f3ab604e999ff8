package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"postrider/internal/config"
)

func TestWhatIsOffered(t *testing.T) {
	certificate := certificateFor(t, &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}})
	certified, _ := channels(t, tls.VersionTLS13, &certificate)
	modern, _ := channels(t, tls.VersionTLS13, nil)
	old, _ := channels(t, tls.VersionTLS12, nil)
	keyed, hashed := config.Auth{File: usersFile(t, "alice:"+quickKeys)}, config.Auth{File: usersFile(t, "alice:"+quick)}
	tokens := config.Auth{Introspection: "https://idp.example/", File: keyed.File}
	d := startDovecot(t, greeting)
	for _, c := range []struct {
		name string
		conf config.Auth
		ch   Channel
		want string
	}{
		{"in clear, nothing", tokens, Channel{}, ""},
		{"in clear to who is trusted, what needs no TLS", tokens, Channel{Trusted: true}, "SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
		{"over old TLS, nothing that binds to it", tokens, old, "SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
		{"over TLS 1.3, all but for certificates", tokens, modern, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
		{"to a client with a certificate, all", tokens, certified, "EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
		{"hashes without keys, no SCRAM", hashed, certified, "EXTERNAL PLAIN LOGIN"},
		{"certificates only", config.Auth{}, certified, "EXTERNAL"},
		{"nothing is configured", config.Auth{}, modern, ""},
		{"tokens only", config.Auth{Introspection: "https://idp.example/"}, modern, "OAUTHBEARER XOAUTH2"},
		{"Dovecot", config.Auth{Dovecot: d.path}, certified, "EXTERNAL XOAUTH2 PLAIN LOGIN"},
		{"Dovecot, and tokens of our own", config.Auth{Dovecot: d.path, Introspection: "https://idp.example/"}, modern, "OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
	} {
		a, err := New(c.conf, true, newClock().options())
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(a.Mechanisms(c.ch), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		for _, name := range []string{"EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN", "GSSAPI", ""} {
			x, err := a.Start(context.Background(), name, c.ch)
			switch offered := strings.Contains(" "+c.want+" ", " "+name+" ") && name != ""; {
			case offered && (err != nil || x == nil):
				t.Errorf("%s: %s was offered: %v", c.name, name, err)
			case !offered && c.ch.TLS == nil && !c.ch.Trusted && diagnostic(err) != "538 5.7.11 encryption is required for authentication":
				t.Errorf("%s: %s: %v", c.name, name, err)
			case !offered && (c.ch.TLS != nil || c.ch.Trusted) && diagnostic(err) != "504 5.5.4 mechanism not available":
				t.Errorf("%s: %s: %v", c.name, name, err)
			}
		}
	}
}
