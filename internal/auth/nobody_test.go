package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// challengeTo is the answer to a first message.
func challengeTo(t *testing.T, a *Authenticator, user string) string {
	t.Helper()
	a.nonce = func() string { return "nonce" }
	x, err := a.Start(context.Background(), "SCRAM-SHA-256", overTLS)
	if err != nil {
		t.Fatal(err)
	}
	return next(x, []byte("n,,n="+user+",r=x"))
}

// someHash is a hash of no password, another one for each name.
func someHash(name string) string {
	sum := sha256.Sum256([]byte(name))
	h := absent
	h.salt, h.sum = sum[:16], sum[:]
	return "{ARGON2ID}" + h.String()
}

// saltOf is the salt that a challenge to a user shows.
func saltOf(t *testing.T, a *Authenticator, user string) string {
	t.Helper()
	f := strings.Split(challengeTo(t, a, user), ",")
	if len(f) != 3 || !strings.HasPrefix(f[1], "s=") {
		t.Fatal(f)
	}
	return f[1][2:]
}

func TestTheChallengeToNobodyIsLikeOthers(t *testing.T) {
	alice := "alice:" + someHash("alice") + ":" + quickKeys
	a, again := withUsers(t, alice), withUsers(t, "# the same in another process", "svc:*", alice)
	got := challengeTo(t, a, "mallory")
	f := strings.Split(got, ",")
	if len(f) != 3 || len(f[1]) != len("s=W22ZaJ0SNY7soEsUEjb6gQ==") || f[2] != "i=4096" {
		t.Errorf("the challenge to nobody is %s, other than that to somebody, %s", got, challengeTo(t, a, "alice"))
	}
	if other := challengeTo(t, a, "mallory"); other != got {
		t.Errorf("nobody has another salt each time: %s, %s", got, other)
	}
	if other := challengeTo(t, again, "mallory"); other != got {
		t.Errorf("nobody has another salt in another process: %s, %s", got, other)
	}
	if other := challengeTo(t, a, "malory"); other == got {
		t.Errorf("two who do not exist have the same salt: %s", other)
	}
}

func TestTheSaltsOfNobodyAreMadeOfSecretsOnly(t *testing.T) {
	weak := "$5$short$" + strings.Repeat(".", 43)
	for _, c := range []struct {
		name  string
		lines []string
		own   bool // the file has a seed of its own
	}{
		{"a hash with a salt that nobody is told", []string{"alice:" + someHash("alice") + ":" + quickKeys}, true},
		{"such a hash behind a user without a password", []string{"svc:*", "alice:" + someHash("alice") + ":" + quickKeys}, true},
		{"bcrypt", []string{"alice:" + quickCrypt + ":" + quickKeys}, true},
		{"SHA-crypt", []string{"alice:$5$saltstring$" + strings.Repeat(".", 43)}, true},
		{"SHA-crypt with a salt that can be guessed", []string{"alice:" + weak}, false},
		{"keys only, of which the salt is told to all, so that passwords could be tried on what is made of them", []string{"alice:" + quickKeys}, false},
		{"no passwords", []string{"svc:*"}, false},
		{"a locked user, whatever is written there", []string{"svc:!", "alice:!" + someHash("alice")}, false},
		{"nobody", nil, false},
	} {
		seeds := withUsers(t, c.lines...).file.current().seeds
		if own := !slices.Equal(seeds[0], processSeed()); own != c.own || len(seeds) != 1 {
			t.Errorf("%s: %d seeds, of its own: %v", c.name, len(seeds), own)
		}
	}
	if s := processSeed(); len(s) != sha256.Size || slices.Max(s) == 0 {
		t.Errorf("the seed of the process is %x", s)
	}
	one := saltOf(t, withUsers(t, "svc:*", "alice:"+someHash("1")+":"+quickKeys), "mallory")
	if other := saltOf(t, withUsers(t, "svc:*", "alice:"+someHash("2")+":"+quickKeys), "mallory"); other == one {
		t.Error("the secrets of a file make no difference")
	}
}

func TestOneUserMoreChangesFewSaltsOfNobody(t *testing.T) {
	var lines []string
	for i := range 10 {
		lines = append(lines, fmt.Sprintf("user%d:%s:%s", i, someHash(fmt.Sprint(i)), quickKeys))
	}
	before, after := withUsers(t, lines[1:]...), withUsers(t, lines...)
	slices.Reverse(lines)
	turned := withUsers(t, lines...)
	changed, high, names := 0, 0, 200
	for i := range names {
		name := fmt.Sprint("nobody", i)
		salt := saltOf(t, after, name)
		if saltOf(t, before, name) != salt {
			changed++
		}
		if saltOf(t, turned, name) != salt {
			t.Errorf("the order of the lines makes a difference for %s", name)
		}
		if raw, err := base64.StdEncoding.DecodeString(salt); err != nil || raw[0] >= 0x80 {
			high++
		}
	}
	if changed == 0 || changed > names/4 {
		t.Errorf("%d of %d salts have changed, but it should be one in ten", changed, names)
	}
	if high < names/3 || high > names*2/3 {
		t.Errorf("%d of %d salts begin with a high bit: they are not like random ones", high, names)
	}
}

func TestOfManyHashesSomeAreSeeds(t *testing.T) {
	var lines []string
	for i := range maxSeeds + 1 {
		lines = append(lines, fmt.Sprintf("user%d:%s", i, someHash(fmt.Sprint(i))))
	}
	if n := len(withUsers(t, lines...).file.current().seeds); n != maxSeeds {
		t.Errorf("%d seeds", n)
	}
}

func TestNobodysKeysLookLikeMost(t *testing.T) {
	keysOf := func(iters, salt int) string {
		k := keys{}
		k.Iters, k.Salt, k.StoredKey, k.ServerKey = iters, strings.Repeat("s", salt), make([]byte, 32), make([]byte, 32)
		return "{SCRAM-SHA-256}" + k.String()
	}
	for _, c := range []struct {
		name  string
		lines []string
		want  factors
	}{
		{"nobody has keys", []string{"alice:*"}, ours},
		{"all have the same", []string{"a:" + keysOf(5000, 24)}, factors{5000, 24}},
		{"most have", []string{"a:" + keysOf(5000, 8), "b:" + keysOf(4096, 64), "c:" + someHash("c") + ":" + keysOf(4096, 64)}, factors{4096, 64}},
		{"as many have these as those", []string{"a:" + keysOf(5000, 8), "b:" + keysOf(4096, 64), "c:" + keysOf(4096, 64), "d:" + keysOf(5000, 8)}, factors{5000, 8}},
	} {
		for range 5 { // not by chance
			a := withUsers(t, c.lines...)
			got := a.file.current().nobody("mallory").KeyFactors
			if (factors{got.Iters, len(got.Salt)}) != c.want {
				t.Errorf("%s: %d iterations and a salt of %d bytes, want %+v", c.name, got.Iters, len(got.Salt), c.want)
			}
		}
	}
}
