package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// hash is a password that cannot be read.
type hash interface {
	matches(password string) bool
	scheme() string // as Dovecot calls it
	cost() string   // the same for hashes that take the same time
	price() float64 // about how long it takes, in microseconds, to tell which is the slower
}

// schemes are the names that may stand before a hash, and how a hash of each begins.
var schemes = map[string]string{
	"CRYPT":         "$",
	"BLF-CRYPT":     "$2",
	"SHA256-CRYPT":  "$5$",
	"SHA512-CRYPT":  "$6$",
	"ARGON2I":       "$argon2i$",
	"ARGON2ID":      "$argon2id$",
	"SCRAM-SHA-256": "",
}

var (
	errClear  = errors.New("a password in clear; only hashes are allowed")
	errScheme = errors.New("unsupported scheme of hash")
	errHash   = errors.New("malformed hash")
)

// parseHash reads a hash. Whoever has a hash that takes longer than any password is worth waiting for gets an error.
func parseHash(s string) (hash, error) {
	scheme, body := "CRYPT", s
	if strings.HasPrefix(s, "{") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return nil, errHash
		}
		scheme, body = strings.ToUpper(s[1:end]), s[end+1:]
	}
	switch scheme {
	case "PLAIN", "CLEAR", "CLEARTEXT":
		return nil, errClear
	}
	begin, ok := schemes[scheme]
	if !ok {
		return nil, fmt.Errorf("%w: %q", errScheme, scheme)
	}
	if scheme == "SCRAM-SHA-256" {
		return parseKeys(body)
	}
	if strings.HasPrefix(body, begin) {
		return parseCrypt(body)
	}
	return nil, errHash
}

// parseCrypt reads a hash in the manner of crypt(5).
func parseCrypt(s string) (hash, error) {
	id, _, found := strings.Cut(strings.TrimPrefix(s, "$"), "$")
	if !found {
		return nil, errHash
	}
	switch id {
	case "argon2i", "argon2id":
		return parseArgon(s)
	case "2a", "2b", "2y":
		return parseBcrypt(s)
	case "5", "6":
		return parseSHACrypt(s)
	}
	if len(id) > 16 {
		return nil, errHash
	}
	return nil, fmt.Errorf("%w: %q", errScheme, "$"+id+"$")
}

// bcryptHash is a hash of bcrypt.
type bcryptHash string

// maxBcrypt is a cost that takes some seconds.
const maxBcrypt = 16

func parseBcrypt(s string) (hash, error) {
	cost, err := bcrypt.Cost([]byte(s))
	if err != nil || len(s) != 60 {
		return nil, errHash
	}
	if strings.Trim(s[7:], cryptAlphabet) != "" { // it would match nothing, and that in no time
		return nil, errHash
	}
	if cost > maxBcrypt {
		return nil, fmt.Errorf("the hash's cost %d is more than %d", cost, maxBcrypt)
	}
	return bcryptHash(s), nil
}

func (h bcryptHash) matches(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(h), []byte(password)) == nil
}
func (h bcryptHash) scheme() string { return "BLF-CRYPT" }
func (h bcryptHash) cost() string   { return "BLF-CRYPT" + string(h[4:6]) }
func (h bcryptHash) price() float64 {
	cost, _ := strconv.Atoi(string(h[4:6]))
	return 56 * float64(int(1)<<cost)
}

// argonHash is a hash of Argon2 (RFC 9106).
type argonHash struct {
	id        bool // argon2id, not argon2i
	memory    uint32
	time      uint32
	threads   uint8
	salt, sum []byte
}

// The most that a hash of Argon2 may cost: 1 GiB, which is more than what libsodium calls sensitive takes.
const (
	maxArgonMemory = 1 << 20
	maxArgonTime   = 64
)

// What ours cost: the least that is recommended today, since several may be computed at once.
const (
	argonMemory  = 19 << 10
	argonTime    = 2
	argonThreads = 1
)

// newArgon hashes a password.
func newArgon(password string) argonHash {
	h := argonHash{id: true, memory: argonMemory, time: argonTime, threads: argonThreads, salt: make([]byte, 16), sum: make([]byte, 32)}
	rand.Read(h.salt)
	h.sum = h.of(password)
	return h
}

// parseArgon reads $argon2id$v=19$m=65536,t=3,p=1$salt$sum.
func parseArgon(s string) (hash, error) {
	f := strings.Split(s, "$")
	if len(f) != 6 || f[2] != "v=19" {
		return nil, errHash
	}
	p := strings.Split(f[3], ",")
	if len(p) != 3 {
		return nil, errHash
	}
	memory, err1 := number(p[0], "m=", maxArgonMemory)
	time, err2 := number(p[1], "t=", maxArgonTime)
	threads, err3 := number(p[2], "p=", 255)
	salt, err4 := base64.RawStdEncoding.Strict().DecodeString(f[4])
	sum, err5 := base64.RawStdEncoding.Strict().DecodeString(f[5])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return nil, errHash
	}
	return argonHash{id: f[1] == "argon2id", memory: uint32(memory), time: uint32(time), threads: uint8(threads), salt: salt, sum: sum}, nil
}

// number reads what follows name: from 1 to max, in its shortest form.
func number(s, name string, max int) (int, error) {
	digits, ok := strings.CutPrefix(s, name)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > max || strconv.Itoa(n) != digits {
		return 0, errHash
	}
	return n, nil
}

func (h argonHash) of(password string) []byte {
	f := argon2.Key
	if h.id {
		f = argon2.IDKey
	}
	return f([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.sum)))
}

func (h argonHash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.of(password), h.sum) == 1
}

func (h argonHash) scheme() string {
	if h.id {
		return "ARGON2ID"
	}
	return "ARGON2I"
}

func (h argonHash) cost() string {
	return fmt.Sprintf("%s,%d,%d,%d", h.scheme(), h.memory, h.time, h.threads)
}

func (h argonHash) price() float64 { return 0.6 * float64(h.memory) * float64(h.time) }

// String is the hash in its usual form.
func (h argonHash) String() string {
	return fmt.Sprintf("$%s$v=19$m=%d,t=%d,p=%d$%s$%s", strings.ToLower(h.scheme()), h.memory, h.time, h.threads,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.sum))
}
