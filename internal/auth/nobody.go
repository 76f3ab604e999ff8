package auth

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/xdg-go/scram"
)

// What is done for users who do not exist, so that nobody can tell them from others.

// absent is a hash of no password: nothing is known whose sum is zero.
var absent = argonHash{id: true, memory: argonMemory, time: argonTime, threads: argonThreads, salt: make([]byte, 16), sum: make([]byte, 32)}

// maxKinds is how many kinds of hashes a failure takes the time of.
const maxKinds = 4

// kindsOf are hashes of different cost: the slowest of all, and then those that most have. absent is there when the file
// has none.
func kindsOf(byName map[string]*account) (kinds []hash) {
	count := map[string]int{}
	for _, a := range byName {
		if a.password == nil {
			continue
		}
		cost := a.password.cost()
		if count[cost]++; count[cost] == 1 {
			kinds = append(kinds, a.password)
		}
	}
	if len(kinds) == 0 {
		return []hash{absent}
	}
	slower := func(a, b hash) int { return cmp.Or(cmp.Compare(b.price(), a.price()), cmp.Compare(a.cost(), b.cost())) }
	slices.SortFunc(kinds, slower)
	slices.SortStableFunc(kinds[1:], func(a, b hash) int { return cmp.Compare(count[b.cost()], count[a.cost()]) })
	return kinds[:min(len(kinds), maxKinds)]
}

// compare tells whether that is the password of an account, which may be nil. If not, one hash of each kind has been
// computed, whether there is such an account or not, and of which kind its own is.
func (u *users) compare(a *account, password string) bool {
	own := ""
	if a != nil && a.password != nil {
		if matches(a.password, password) {
			return true
		}
		own = a.password.cost()
	}
	for _, h := range u.kinds {
		if h.cost() != own {
			compute(h, password)
		}
	}
	return false
}

// compute takes the time of a comparison that fails.
func compute(h hash, password string) {
	prepared := prepPassword(password)
	h.matches(prepared)
	if prepared != password {
		h.matches(password)
	}
}

// seed is a secret of which the salts of those who do not exist are made.
type seed []byte

// The least salt, in bytes, that makes a hash a seed, and of how many seeds at most salts are made.
const (
	minSeedSalt = 8
	maxSeeds    = 16
)

// processSeed is for files that have no seeds.
var processSeed = sync.OnceValue(func() seed {
	s := make(seed, sha256.Size)
	rand.Read(s)
	return s
})

// seedOf makes a seed of a hash, of which the salt is never told to anybody. Keys of SCRAM make none: any client gets
// their salt, and if ours were made of the rest it could try passwords on them without asking us again.
func seedOf(h hash, text string) seed {
	switch h := h.(type) {
	case keys:
		return nil
	case shaHash:
		if len(h.salt) < minSeedSalt {
			return nil
		}
	}
	sum := sha256.Sum256([]byte("seed of nobody\x00" + text))
	return sum[:]
}

// sow chooses the seeds: those that come first in an order that has nothing to do with the file's.
func sow(byName map[string]*account) (seeds []seed) {
	for _, a := range byName {
		if a.seed != nil {
			seeds = append(seeds, a.seed)
		}
	}
	if len(seeds) == 0 {
		return []seed{processSeed()}
	}
	slices.SortFunc(seeds, func(a, b seed) int { return bytes.Compare(a, b) })
	return seeds[:min(len(seeds), maxSeeds)]
}

func (s seed) digest(what, name string) []byte {
	mac := hmac.New(sha256.New, s)
	mac.Write([]byte(what + "\x00" + name))
	return mac.Sum(nil)
}

// nobody are the keys of a user who has none. Each name has one of the seeds for its own (rendezvous hashing), so that
// its salt is the same in all processes that read the file and changes, like that of a real user, when one user's
// password does, while those of most others stay.
func (u *users) nobody(name string) scram.StoredCredentials {
	own := slices.MaxFunc(u.seeds, func(a, b seed) int { return bytes.Compare(a.digest("seed", name), b.digest("seed", name)) })
	salt := append(own.digest("salt", name), own.digest("more salt", name)...)
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(salt[:u.usual.salt]), Iters: u.usual.iters},
		StoredKey:  own.digest("stored", name), ServerKey: own.digest("server", name),
	}
}

// factors are what a client learns of keys before it has proved anything, but for the salt itself.
type factors struct {
	iters int
	salt  int // bytes
}

// ours are the factors of keys that we make.
var ours = factors{ourIterations, saltBytes}

// usualFactors are those that most keys have, the costlier of two.
func usualFactors(byName map[string]*account) factors {
	count, usual := map[factors]int{}, ours
	for _, a := range byName {
		if a.keys != nil {
			count[factors{a.keys.Iters, len(a.keys.Salt)}]++
		}
	}
	for f, n := range count {
		if c := cmp.Or(cmp.Compare(n, count[usual]), cmp.Compare(f.iters, usual.iters), cmp.Compare(f.salt, usual.salt)); c > 0 {
			usual = f
		}
	}
	return usual
}
