package auth

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// counted is a hash of "right" that notes in a list that it is computed.
type counted struct {
	kind string
	slow float64
	log  *[]string
}

func (c counted) matches(password string) bool {
	*c.log = append(*c.log, c.kind)
	return password == "right"
}
func (counted) scheme() string   { return "COUNTED" }
func (c counted) cost() string   { return c.kind }
func (c counted) price() float64 { return c.slow }

func TestAFailureTakesTheTimeOfAllKinds(t *testing.T) {
	a := withUsers(t, "none:*", "locked:!"+quick)
	u := a.file.current()
	var log []string
	for _, c := range []struct {
		user, kind string
		price      float64
	}{{"alice", "cheap", 1}, {"bob", "cheap", 1}, {"carl", "slow", 9}, {"dora", "middle", 5}} {
		u.byName[c.user] = &account{name: c.user, password: counted{c.kind, c.price, &log}}
	}
	u.summarize()
	for _, c := range []struct {
		user, password, want string
	}{
		{"alice", "wrong", "cheap middle slow"},
		{"carl", "wrong", "cheap middle slow"},
		{"dora", "wrong", "cheap middle slow"},
		{"mallory", "wrong", "cheap middle slow"},
		{"mallory", "right", "cheap middle slow"},
		{"none", "wrong", "cheap middle slow"},
		{"locked", "right", "cheap middle slow"},
		{"alice", "IX\u2168", "cheap cheap middle middle slow slow"}, // as it is to be hashed, and as it came
		{"mallory", "IX\u2168", "cheap cheap middle middle slow slow"},
		{"alice", "right", "cheap"},
	} {
		log = nil
		_, err := a.check(context.Background(), c.user, c.password)
		slices.Sort(log)
		if got := strings.Join(log, " "); got != c.want || (err == nil) != (c.want == "cheap") {
			t.Errorf("%s with %q: computed %s, want %s; %v", c.user, c.password, got, c.want, err)
		}
		if len(hashing) != 0 {
			t.Fatal("the place for a hash is still taken")
		}
	}
}

func TestKinds(t *testing.T) {
	const sha, sha512 = "$5$rounds=1000$saltstring$", "$6$rounds=9000$saltstring$"
	a43, a86 := strings.Repeat(".", 43), strings.Repeat(".", 86)
	rare := func(rounds int) string { return fmt.Sprintf("r%d:$5$rounds=%d$saltstring$%s", rounds, rounds, a43) }
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"one kind", []string{"a:" + quick, "b:" + quick}, "ARGON2ID,256,2,1"},
		{"the slowest is first", []string{"a:" + sha512 + a86, "b:" + quick, "c:" + quick, "d:" + quickCrypt, "e:" + quickKeys, "f:" + quickKeys},
			"SHA512-CRYPT9000 SCRAM4096 ARGON2ID,256,2,1 BLF-CRYPT05"},
		{"bcrypt is one kind whatever its letter", []string{"a:" + quickCrypt, "b:" + strings.Replace(quickCrypt, "2a", "2y", 1)}, "BLF-CRYPT05"},
		{"of many the slowest and the most common", []string{rare(1500), rare(1600), rare(1700), rare(1800), "a:" + sha + a43, "b:" + sha + a43},
			"SHA256-CRYPT1800 SHA256-CRYPT1000 SHA256-CRYPT1700 SHA256-CRYPT1600"},
		{"nobody has a password", []string{"a:*", "b:!" + quick}, absent.cost()},
	} {
		u := withUsers(t, c.lines...).file.current()
		var got []string
		for _, h := range u.kinds {
			got = append(got, h.cost())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %s", c.name, got, c.want)
		}
	}
}

func TestPricesTellWhichIsSlower(t *testing.T) {
	rows := []string{ // as measured
		"$5$rounds=1000$saltstring$" + strings.Repeat(".", 43),
		"$6$rounds=1000$saltstring$" + strings.Repeat(".", 86),
		quickKeys,
		"$5$" + "saltstring$" + strings.Repeat(".", 43),
		"$6$" + "saltstring$" + strings.Repeat(".", 86),
		quickCrypt,
		"{ARGON2ID}" + absent.String(),
		strings.Replace(quickCrypt, "$05$", "$10$", 1),
		"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		strings.Replace(quickCrypt, "$05$", "$12$", 1),
		strings.Replace(quickKeys, "}4096", "}5000000", 1),
	}
	before := 0.0
	for _, row := range rows {
		h, err := parseHash(row)
		if err != nil {
			t.Fatal(row, err)
		}
		if h.price() <= before {
			t.Errorf("%s costs %v, no more than the one before, %v", row, h.price(), before)
		}
		before = h.price()
	}
}

func TestWhoeverIsAbsentHasAHashLikeOurs(t *testing.T) {
	h, err := parseHash("{ARGON2ID}" + absent.String())
	if err != nil || !reflect.DeepEqual(h, absent) {
		t.Errorf("%v, %v", h, err)
	}
	if ours := newArgon("password"); ours.cost() != absent.cost() || len(ours.sum) != len(absent.sum) || len(ours.salt) != len(absent.salt) {
		t.Errorf("%s is not like %s", absent.String(), ours.String())
	}
}

func TestAHashOfBcryptThatCannotBeComputedIsAnError(t *testing.T) {
	for at := 7; at < 60; at += 26 { // in the salt, and in the sum
		bad := quickCrypt[:at] + "!" + quickCrypt[at+1:]
		if _, err := parseHash(bad); err == nil {
			t.Errorf("%s is taken, and would be compared in no time", bad)
		}
	}
}
