package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/xdg-go/scram"
)

// keys are what SCRAM-SHA-256 needs to know of a password (RFC 5802 section 3). They serve as a hash, too.
type keys scram.StoredCredentials

// The iterations of PBKDF2: as many as we ask of clients, the least that RFC 7677 section 4 allows, and a most.
const (
	ourIterations = 100_000
	minIterations = 4096
	maxIterations = 5_000_000
)

// saltBytes is how long our salts are.
const saltBytes = 16

// newKeys makes the keys of a password.
func newKeys(password string) (keys, error) {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	return deriveKeys(password, scram.KeyFactors{Salt: string(salt), Iters: ourIterations})
}

func deriveKeys(password string, factors scram.KeyFactors) (keys, error) {
	client, err := scram.SHA256.NewClientUnprepped("", password, "")
	if err != nil {
		return keys{}, err
	}
	c, err := client.GetStoredCredentialsWithError(factors)
	return keys(c), err
}

// parseKeys reads keys as Dovecot writes them: iterations,salt,stored key,server key.
func parseKeys(s string) (hash, error) {
	f := strings.Split(s, ",")
	if len(f) != 4 {
		return nil, errHash
	}
	iterations, err0 := number(f[0], "", maxIterations)
	salt, err1 := base64.StdEncoding.Strict().DecodeString(f[1])
	stored, err2 := base64.StdEncoding.Strict().DecodeString(f[2])
	server, err3 := base64.StdEncoding.Strict().DecodeString(f[3])
	if err := errors.Join(err0, err1, err2, err3); err != nil || len(salt) < 8 || len(salt) > 64 || len(stored) != 32 || len(server) != 32 {
		return nil, errHash
	}
	if iterations < minIterations {
		return nil, fmt.Errorf("keys of SCRAM with less than %d iterations", minIterations)
	}
	return keys{KeyFactors: scram.KeyFactors{Salt: string(salt), Iters: iterations}, StoredKey: stored, ServerKey: server}, nil
}

func (k keys) matches(password string) bool {
	other, err := deriveKeys(password, k.KeyFactors)
	return err == nil && hmac.Equal(k.StoredKey, other.StoredKey)
}
func (k keys) scheme() string { return "SCRAM-SHA-256" }
func (k keys) cost() string   { return fmt.Sprint("SCRAM", k.Iters) }
func (k keys) price() float64 { return 0.16 * float64(k.Iters) }

// String is the keys in Dovecot's form.
func (k keys) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%d,%s,%s,%s", k.Iters, b64([]byte(k.Salt)), b64(k.StoredKey), b64(k.ServerKey))
}
