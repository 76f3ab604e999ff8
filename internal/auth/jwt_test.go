package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"postrider/internal/config"
)

// signers are one key of each kind; making one of RSA takes a while.
var signers = sync.OnceValue(func() (s struct {
	rsa  *rsa.PrivateKey
	ec   *ecdsa.PrivateKey
	ed   ed25519.PrivateKey
	ed2  ed25519.PrivateKey
	p384 *ecdsa.PrivateKey
}) {
	s.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	s.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.p384, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, s.ed, _ = ed25519.GenerateKey(rand.Reader)
	_, s.ed2, _ = ed25519.GenerateKey(rand.Reader)
	return s
})

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign makes a token with a header and claims.
func sign(t *testing.T, key crypto.Signer, header, claims string) string {
	t.Helper()
	signed := b64(header) + "." + b64(claims)
	sum := sha256.Sum256([]byte(signed))
	var signature []byte
	var err error
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if strings.Contains(header, "PS256") {
			signature, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			signature, err = rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
		}
	case *ecdsa.PrivateKey:
		r, s, signErr := ecdsa.Sign(rand.Reader, k, sum[:])
		err, signature = signErr, make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
	case ed25519.PrivateKey:
		signature = ed25519.Sign(k, []byte(signed))
	}
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(string(signature))
}

// pemFile writes public keys to a file.
func pemFile(t *testing.T, keys ...crypto.Signer) string {
	t.Helper()
	var text []byte
	for _, key := range keys {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	return textFile(t, string(text))
}

func textFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const goodClaims = `{"sub":"alice","exp":1795525200}`

func TestTokensAreVerified(t *testing.T) {
	s := signers()
	header := func(alg string) string { return `{"alg":"` + alg + `","typ":"at+jwt"}` }
	hs := func() string { // the public key taken for a shared secret
		der, _ := x509.MarshalPKIXPublicKey(s.rsa.Public())
		signed := b64(header("HS256")) + "." + b64(goodClaims)
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		mac.Write([]byte(signed))
		return signed + "." + b64(string(mac.Sum(nil)))
	}
	forged := func(token string) string {
		f := strings.Split(token, ".")
		return f[0] + "." + b64(`{"sub":"root","exp":1795525200}`) + "." + f[2]
	}
	good := sign(t, s.ed, header("EdDSA"), goodClaims)
	for _, c := range []struct {
		name  string
		keys  []crypto.Signer
		token string
		want  bool
	}{
		{"RS256", []crypto.Signer{s.rsa}, sign(t, s.rsa, header("RS256"), goodClaims), true},
		{"PS256", []crypto.Signer{s.rsa}, sign(t, s.rsa, header("PS256"), goodClaims), true},
		{"ES256", []crypto.Signer{s.ec}, sign(t, s.ec, header("ES256"), goodClaims), true},
		{"EdDSA", []crypto.Signer{s.ed}, good, true},
		{"a second key", []crypto.Signer{s.ed2, s.rsa, s.ed}, good, true},
		{"another key", []crypto.Signer{s.ed2}, good, false},
		{"a key of another kind", []crypto.Signer{s.rsa, s.ec}, good, false},
		{"the algorithm of another kind of key", []crypto.Signer{s.ed}, sign(t, s.ed, header("RS256"), goodClaims), false},
		{"an algorithm that we do not have", []crypto.Signer{s.rsa}, sign(t, s.rsa, header("RS512"), goodClaims), false},
		{"RS256 that says PS256", []crypto.Signer{s.rsa}, strings.Replace(sign(t, s.rsa, header("RS256"), goodClaims), b64(header("RS256")), b64(header("PS256")), 1), false},
		{"a shared secret that is no secret", []crypto.Signer{s.rsa}, hs(), false},
		{"no signature", []crypto.Signer{s.ed}, b64(header("none")) + "." + b64(goodClaims) + ".", false},
		{"an empty signature", []crypto.Signer{s.rsa, s.ec, s.ed}, good[:strings.LastIndex(good, ".")+1], false},
		{"other claims", []crypto.Signer{s.ed}, forged(good), false},
		{"what is critical", []crypto.Signer{s.ed}, sign(t, s.ed, `{"alg":"EdDSA","crit":["b64"],"b64":false}`, goodClaims), false},
		{"a token that never expires", []crypto.Signer{s.ed}, sign(t, s.ed, header("EdDSA"), `{"sub":"alice"}`), false},
		{"what is null and critical", []crypto.Signer{s.ed}, sign(t, s.ed, `{"alg":"EdDSA","crit":null}`, goodClaims), false},
		{"an algorithm of another name", []crypto.Signer{s.ed}, sign(t, s.ed, `{"ALG":"EdDSA"}`, goodClaims), false},
		{"two algorithms", []crypto.Signer{s.ed}, sign(t, s.ed, `{"alg":"none","alg":"EdDSA"}`, goodClaims), false},
		{"a token that expires by another name", []crypto.Signer{s.ed}, sign(t, s.ed, header("EdDSA"), `{"sub":"alice","Exp":1795525200}`), false},
		{"a claim twice", []crypto.Signer{s.ed}, sign(t, s.ed, header("EdDSA"), `{"sub":"root","sub":"alice","exp":1795525200}`), false},
		{"claims that are no JSON", []crypto.Signer{s.ed}, sign(t, s.ed, header("EdDSA"), `{"sub":"alice"`), false},
		{"a header that is no JSON", []crypto.Signer{s.ed}, sign(t, s.ed, `EdDSA`, goodClaims), false},
		{"a signature in other base 64", []crypto.Signer{s.ed}, good + "==", false},
		{"two parts", []crypto.Signer{s.ed}, good[:strings.LastIndex(good, ".")], false},
		{"four parts", []crypto.Signer{s.ed}, good + ".x", false},
		{"nothing", []crypto.Signer{s.ed}, "", false},
		{"a token without end", []crypto.Signer{s.ed}, sign(t, s.ed, header("EdDSA"), `{"sub":"alice","exp":1795525200,"x":"`+strings.Repeat("x", maxToken)+`"}`), false},
	} {
		keys, err := readTokenKeys(pemFile(t, c.keys...))
		if err != nil {
			t.Fatal(err)
		}
		claims, err := keys.claimed(context.Background(), c.token)
		if (err == nil) != c.want || err == nil && claims.Subject != "alice" || err != nil && err != errToken {
			t.Errorf("%s: %+v, %v", c.name, claims, err)
		}
	}
}

func TestLoginWithASignedToken(t *testing.T) {
	s := signers()
	a, err := New(config.Auth{TokenKey: pemFile(t, s.ec), TokenIssuer: "https://idp.example", TokenAudience: "mail"}, false, newClock().options())
	if err != nil {
		t.Fatal(err)
	}
	for claims, want := range map[string]string{
		`{"sub":"alice","exp":1795525200,"iss":"https://idp.example","aud":"mail"}`:                                               "logged in as alice",
		`{"sub":"alice","exp":1795525200,"nbf":1795525100,"iss":"https://idp.example","aud":"mail"}`:                              `> {"status":"401","schemes":"bearer"}`,
		`{"sub":"bob","username":"alice","preferred_username":"alice","exp":1795525200,"iss":"https://idp.example","aud":"mail"}`: `> {"status":"401","schemes":"bearer"}`,
		`{"sub":"17","email":"alice","email_verified":true,"exp":1795525200,"iss":"https://idp.example","aud":"mail"}`:            "logged in as alice",
		`{"sub":"17","email":"alice","exp":1795525200,"iss":"https://idp.example","aud":"mail"}`:                                  `> {"status":"401","schemes":"bearer"}`,
		`{"sub":"alice","exp":1795525200,"iss":"https://idp.example","aud":"web"}`:                                                `> {"status":"401","schemes":"bearer"}`,
	} {
		x, err := a.Start(context.Background(), "XOAUTH2", overTLS)
		if err != nil {
			t.Fatal(err)
		}
		if got := next(x, []byte("user=alice\x01auth=Bearer "+sign(t, s.ec, `{"alg":"ES256"}`, claims)+"\x01\x01")); got != want {
			t.Errorf("%s: %s, want %s", claims, got, want)
		}
	}
}

func TestKeysForTokensThatCannotBeUsed(t *testing.T) {
	s := signers()
	private, err := x509.MarshalPKCS8PrivateKey(s.ed)
	if err != nil {
		t.Fatal(err)
	}
	weak := "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqGKukO1De7zhZj6+H0qtjTkVxwTCpvKe4eCZ0FPqri0cb2JZfXJ/DgYSF6vUpwmJG8wVQZKjeGcjDOL5UlsuusFncCzWBQ7RKNUSesmQRMSGkVb1/3j+skZ6UtW+5u09lHNsj6tQ51s1SPrCBkedbNf0Tp0GbMJDyR4e9T04ZZwIDAQAB\n-----END PUBLIC KEY-----\n"
	for want, path := range map[string]string{
		"no such file":                           filepath.Join(t.TempDir(), "none"),
		"has no PUBLIC KEY in PEM":               textFile(t, "nonsense"),
		"has a PRIVATE KEY, but should have a P": textFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))),
		"asn1":                                   textFile(t, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
		"a key of RSA with 1024 bits":            textFile(t, weak),
		"a key on another curve than P-256":      pemFile(t, s.p384),
	} {
		_, err := New(config.Auth{TokenKey: path, TokenIssuer: "x", TokenAudience: "y"}, false, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func FuzzToken(f *testing.F) {
	key := signers().ed
	signed := b64(`{"alg":"EdDSA"}`) + "." + b64(goodClaims)
	f.Add(signed + "." + b64(string(ed25519.Sign(key, []byte(signed)))))
	f.Add(b64(`{"alg":"none"}`) + "." + b64(goodClaims) + ".")
	f.Add("..")
	keys := tokenKeys{key.Public(), signers().ec.Public(), signers().rsa.Public()}
	f.Fuzz(func(t *testing.T, token string) {
		c, err := keys.claimed(context.Background(), token)
		if err == nil && !strings.HasPrefix(token, signed+".") {
			t.Errorf("a token that nobody has signed: %+v", c)
		}
	})
}
