package auth

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	stdhash "hash"
	"strconv"
	"strings"
)

// shaHash is a hash of SHA-crypt, "$5$" or "$6$" of crypt(5), as Ulrich Drepper's specification describes it.
type shaHash struct {
	kind   *shaKind
	rounds int
	salt   string
	sum    string
}

// shaKind is one of the two. order is the order in which bytes of the digest are written, three to a group of four
// characters, the highest first.
type shaKind struct {
	name  string
	new   func() stdhash.Hash
	round float64 // microseconds
	order []int
}

var sha256Kind = &shaKind{"SHA256-CRYPT", sha256.New, 0.16, []int{
	0, 10, 20, 21, 1, 11, 12, 22, 2, 3, 13, 23, 24, 4, 14, 15, 25, 5, 6, 16, 26, 27, 7, 17, 18, 28, 8, 9, 19, 29, 31, 30}}

var sha512Kind = &shaKind{"SHA512-CRYPT", sha512.New, 0.3, []int{
	0, 21, 42, 22, 43, 1, 44, 2, 23, 3, 24, 45, 25, 46, 4, 47, 5, 26, 6, 27, 48, 28, 49, 7, 50, 8, 29, 9, 30, 51, 31, 52,
	10, 53, 11, 32, 12, 33, 54, 34, 55, 13, 56, 14, 35, 15, 36, 57, 37, 58, 16, 59, 17, 38, 18, 39, 60, 40, 61, 19, 62, 20,
	41, 63}}

// The rounds of SHA-crypt: the specification's least and usual number, and a most of ours that takes some seconds.
const (
	minRounds   = 1000
	usualRounds = 5000
	maxRounds   = 5_000_000
)

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// parseSHACrypt reads $5$rounds=5000$salt$sum, in which the rounds may be missing.
func parseSHACrypt(s string) (hash, error) {
	h := shaHash{kind: sha256Kind, rounds: usualRounds}
	if strings.HasPrefix(s, "$6$") {
		h.kind = sha512Kind
	}
	f := strings.Split(s[3:], "$")
	if digits, ok := strings.CutPrefix(f[0], "rounds="); ok {
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 || n > maxRounds {
			return nil, errHash
		}
		h.rounds = max(n, minRounds)
		f = f[1:]
	}
	if len(f) != 2 || len(f[0]) > 64 || len(f[1]) != (h.kind.new().Size()*8+5)/6 || strings.Trim(f[1], cryptAlphabet) != "" {
		return nil, errHash
	}
	h.salt, h.sum = f[0][:min(16, len(f[0]))], f[1]
	return h, nil
}

func (h shaHash) matches(password string) bool {
	return subtle.ConstantTimeCompare([]byte(h.of(password)), []byte(h.sum)) == 1
}
func (h shaHash) scheme() string { return h.kind.name }
func (h shaHash) cost() string   { return h.kind.name + strconv.Itoa(h.rounds) }
func (h shaHash) price() float64 { return h.kind.round * float64(h.rounds) }

// of is the sum of a password. The numbers of steps are those of the specification.
func (h shaHash) of(password string) string {
	pw, salt := []byte(password), []byte(h.salt)
	p := h.stretch(pw, len(pw), len(pw))            // steps 13 to 16
	sum := h.first(pw, salt)                        // steps 1 to 12
	s := h.stretch(salt, 16+int(sum[0]), len(salt)) // steps 17 to 20
	for i := range h.rounds {                       // step 21
		d := h.kind.new()
		write := func(odd bool) {
			if odd == (i%2 != 0) {
				d.Write(p)
			} else {
				d.Write(sum)
			}
		}
		write(true)
		if i%3 != 0 {
			d.Write(s)
		}
		if i%7 != 0 {
			d.Write(p)
		}
		write(false)
		sum = d.Sum(nil)
	}
	return h.kind.encode(sum) // step 22
}

// first is the digest with which the rounds begin.
func (h shaHash) first(pw, salt []byte) []byte {
	b := h.kind.digest(pw, salt, pw)
	a := h.kind.new()
	a.Write(pw)
	a.Write(salt)
	a.Write(repeated(b, len(pw)))
	for n := len(pw); n > 0; n >>= 1 {
		if n&1 != 0 {
			a.Write(b)
		} else {
			a.Write(pw)
		}
	}
	return a.Sum(nil)
}

// stretch is the digest of text written times times, repeated to length bytes.
func (h shaHash) stretch(text []byte, times, length int) []byte {
	d := h.kind.new()
	for range times {
		d.Write(text)
	}
	return repeated(d.Sum(nil), length)
}

// repeated is b over and over, length bytes of it.
func repeated(b []byte, length int) []byte {
	out := make([]byte, 0, length+len(b))
	for len(out) < length {
		out = append(out, b...)
	}
	return out[:length]
}

func (k *shaKind) digest(parts ...[]byte) []byte {
	d := k.new()
	for _, p := range parts {
		d.Write(p)
	}
	return d.Sum(nil)
}

// encode writes a digest in crypt's own base 64, the lowest bits first.
func (k *shaKind) encode(sum []byte) string {
	var out strings.Builder
	for i := 0; i < len(k.order); i += 3 {
		group := k.order[i:min(i+3, len(k.order))]
		v := 0
		for _, at := range group {
			v = v<<8 | int(sum[at])
		}
		for bits := len(group) * 8; bits > 0; bits -= 6 {
			out.WriteByte(cryptAlphabet[v&63])
			v >>= 6
		}
	}
	return out.String()
}
