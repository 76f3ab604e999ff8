package smtpd

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"postrider/internal/auth"
	"postrider/internal/config"
)

// testUsers are the users of "set: users": joe, whose password is "pencil", and others who cannot log in by one.
const testUsers = "joe:{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\nann:*\nold:!\n"

// testKeys sign tokens: the first one's are good.
var testKeys = sync.OnceValue(func() (keys [2]ed25519.PrivateKey) {
	for i := range keys {
		keys[i] = ed25519.NewKeyFromSeed([]byte(strings.Repeat(strconv.Itoa(i), ed25519.SeedSize)))
	}
	return keys
})

// testToken is a token (RFC 7519) in which a key says who somebody is, and until when.
func testToken(key ed25519.PrivateKey, who string, until time.Time) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"EdDSA"}`)) + "." + b64(fmt.Appendf(nil, `{"sub":%q,"exp":%d}`, who, until.Unix()))
	return signed + "." + b64(ed25519.Sign(key, []byte(signed)))
}

// testClients are clients' certificates, each its own authority.
var testClients = sync.OnceValue(func() map[string]tls.Certificate {
	made := map[string]tls.Certificate{}
	for i, name := range []string{"joe", "old"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 2)), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
		der, err2 := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err := errors.Join(err, err2); err != nil {
			panic(err)
		}
		made[name] = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	return made
})

func testClient(name string) tls.Certificate { return testClients()[name] }

// realLogins lets testUsers log in by all mechanisms that need no other server. With certificates those of joe and old
// count as well.
func (d *dialogue) realLogins(certificates bool) error {
	dir := d.t.TempDir()
	der, err := x509.MarshalPKIXPublicKey(testKeys()[0].Public())
	if err != nil {
		return err
	}
	conf := config.Auth{File: filepath.Join(dir, "users"), TokenKey: filepath.Join(dir, "key.pem")}
	err = errors.Join(os.WriteFile(conf.File, []byte(testUsers), 0o600),
		os.WriteFile(conf.TokenKey, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	if err != nil {
		return err
	}
	d.port.Auth, err = auth.New(conf, certificates, auth.Options{Now: d.server.Now, Report: func(err error) { d.t.Error(err) }})
	d.port.TLS = &tls.Config{Certificates: []tls.Certificate{testPair()}}
	if !certificates {
		return err
	}
	d.port.TLS.ClientAuth, d.port.TLS.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
	for _, name := range []string{"joe", "old"} {
		c, err := x509.ParseCertificate(testClient(name).Certificate[0])
		if err != nil {
			return err
		}
		d.port.TLS.ClientCAs.AddCert(c)
	}
	return err
}

// words are what texts of loginLine may hold instead of tokens.
func words() *strings.Replacer {
	keys := testKeys()
	return strings.NewReplacer("{joe}", testToken(keys[0], "joe", noon.Add(time.Hour)), "{old}", testToken(keys[0], "old", noon.Add(time.Hour)),
		"{expired}", testToken(keys[0], "joe", noon.Add(-time.Hour)), "{forged}", testToken(keys[1], "joe", noon.Add(time.Hour)))
}

// loginLine does a line of a dialogue that is about a login. Texts are quoted as in Go, and base64 on the wire.
//
//	ehlo: line                 EHLO, and what must be a line of the reply
//	auth: MECHANISM "text"     AUTH with an initial response
//	r: "text"                  a response
//	334: "text"                the server's challenge
//	scram: MECHANISM PASSWORD  the whole dialogue of joe in SCRAM, but the last reply
func (d *dialogue) loginLine(word, rest string) error {
	before, quoted, _ := strings.Cut(rest, `"`)
	text, err := strconv.Unquote(`"` + quoted)
	switch word {
	case "ehlo:":
		return d.hello(rest)
	case "scram:":
		mechanism, password, _ := strings.Cut(rest, " ")
		return d.scram(mechanism, password)
	}
	if err != nil {
		return errors.New("no such line")
	}
	b64 := base64.StdEncoding.EncodeToString([]byte(words().Replace(text)))
	switch word {
	case "auth:":
		_, err = io.WriteString(d.conn, "AUTH "+before+b64+"\r\n")
	case "r:":
		_, err = io.WriteString(d.conn, b64+"\r\n")
	case "334:":
		err = d.expect("334 " + b64)
	default:
		err = errors.New("no such line")
	}
	return err
}

// hello says EHLO.
func (d *dialogue) hello(want string) error {
	fmt.Fprint(d.conn, "EHLO mx.example\r\n")
	for seen := ""; ; {
		line, err := d.in.ReadString('\n')
		if seen += line; err != nil || !strings.HasPrefix(line, "250") {
			return fmt.Errorf("%v: %s", err, line)
		}
		if strings.HasPrefix(line, "250-") {
			continue
		}
		if !strings.Contains(seen, "-"+want+"\r\n") && !strings.Contains(seen, " "+want+"\r\n") {
			return errors.New(seen)
		}
		return nil
	}
}

// scram is a client of SCRAM (RFC 5802), up to the reply that is no challenge. A password of "unbound" is the right one,
// of a client that is bound to another channel.
func (d *dialogue) scram(mechanism, password string) error {
	binding := scram.ChannelBinding{}
	if c, ok := d.conn.(*tls.Conn); ok && strings.HasSuffix(mechanism, "-PLUS") {
		state := c.ConnectionState()
		b, err := scram.NewTLSExporterBinding(&state)
		if err != nil {
			return err
		}
		binding = b
	}
	if password == "unbound" {
		password, binding.Data = "pencil", make([]byte, len(binding.Data))
	}
	client, err := scram.SHA256.NewClient("joe", password, "")
	if err != nil {
		return err
	}
	talk := client.NewConversation()
	if binding.IsSupported() {
		talk = client.NewConversationWithChannelBinding(binding)
	}
	line, err := talk.Step("")
	for line = "AUTH " + mechanism + " " + base64.StdEncoding.EncodeToString([]byte(line)); err == nil; {
		if _, err = io.WriteString(d.conn, line+"\r\n"); err != nil {
			return err
		}
		code, err2 := d.in.Peek(4)
		switch {
		case err2 != nil || string(code) != "334 " && string(code) != "235 ":
			return err2
		case string(code) == "235 " && !talk.Valid():
			return errors.New("the server has not shown that it knows the password")
		case string(code) == "235 ":
			return nil
		}
		challenge, _ := d.in.ReadString('\n')
		text, err2 := base64.StdEncoding.DecodeString(strings.TrimSpace(challenge[4:]))
		if err2 != nil {
			return err2
		}
		line, err = talk.Step(string(text))
		line = base64.StdEncoding.EncodeToString([]byte(line))
	}
	return err
}

// A dialogue with an error in it is no test.
func TestDialoguesAreRead(t *testing.T) {
	for _, line := range []string{"set: mode=smpt", "set: auth=plain", "set: limit=x", "set: nonsense", "nonsense", "auth: PLAIN x", "X: \"x\""} {
		if err := newDialogue(t).line(line); err == nil {
			t.Errorf("%s is a line", line)
		}
	}
}
