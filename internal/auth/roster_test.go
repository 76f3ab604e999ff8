package auth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"

	"postrider/internal/status"
)

const someUsers = "# people\n\nalice:" + quick + ":" + quickKeys + "\r\nbob:" + quickCrypt + ":1000:1000::/home/bob\ncarl:*\n# the last\ndora:!" + quick

func roster(t *testing.T, text string) *Roster {
	t.Helper()
	r, err := NewRoster("users", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestUsersAreListed(t *testing.T) {
	got := fmt.Sprint(roster(t, someUsers).Users())
	if want := "[{alice [ARGON2ID SCRAM-SHA-256] false} {bob [BLF-CRYPT] false} {carl [] false} {dora [] true}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := roster(t, someUsers).Text(); got != someUsers {
		t.Errorf("the text has changed to %q", got)
	}
}

// logsIn tells whether a user of a text can log in, by a hash and by SCRAM.
func logsIn(t *testing.T, text, name, password string) (plain, scram bool) {
	t.Helper()
	a := withUsers(t, strings.TrimSuffix(text, "\n"))
	plain = talk(a, sasl.NewPlainClient("", name, password), overTLS) == name
	x, err := a.scram(overTLS, false)
	if err != nil {
		t.Fatal(err)
	}
	client := scramClient{"", newScramClient(t, name, password, "").NewConversation()}
	_, first, err := client.Start()
	if err != nil {
		t.Fatal(err)
	}
	challenge, _, err := x.Next(first)
	if err != nil {
		t.Fatal(err)
	}
	last, err := client.Next(challenge)
	if err != nil {
		t.Fatal(err)
	}
	_, scram, err = x.Next(last)
	return plain, scram && err == nil
}

func TestChangesOfUsers(t *testing.T) {
	const mark = "HASH"
	for _, c := range []struct {
		name   string
		change func(*Roster) error
		user   string
		want   string // with the new line's fields for HASH
	}{
		{"a new user", func(r *Roster) error { return r.Add("erna", "secret") }, "erna", someUsers + "\nerna:" + mark + "\n"},
		{"a new user in another spelling", func(r *Roster) error { return r.Add("e\u0301rna", "secret") }, "\u00e9rna", someUsers + "\n\u00e9rna:" + mark + "\n"},
		{"a new password", func(r *Roster) error { return r.Passwd("alice", "secret") }, "alice",
			strings.Replace(someUsers, quick+":"+quickKeys+"\r", mark, 1)},
		{"a new password for a user of Dovecot", func(r *Roster) error { return r.Passwd("bob", "secret") }, "bob",
			strings.Replace(someUsers, quickCrypt+":1000", mark+":1000", 1)},
		{"a password for who had none", func(r *Roster) error { return r.Passwd("carl", "secret") }, "carl", strings.Replace(someUsers, "*", mark, 1)},
		{"a password for who was locked", func(r *Roster) error { return r.Passwd("dora", "secret") }, "dora", strings.Replace(someUsers, "!"+quick, mark+"\n", 1)},
	} {
		r := roster(t, someUsers)
		if err := c.change(r); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		before, after, _ := strings.Cut(c.want, mark)
		text := r.Text()
		if !strings.HasPrefix(text, before) || !strings.HasSuffix(text, after) || strings.Contains(text, "secret") {
			t.Errorf("%s: %q", c.name, text)
		}
		if !r.Has(c.user) {
			t.Errorf("%s: the user is not there", c.name)
		}
		if plain, scram := logsIn(t, text, c.user, "secret"); !plain || !scram {
			t.Errorf("%s: can log in by the hash: %v, by SCRAM: %v", c.name, plain, scram)
		}
	}
}

func TestUsersWithoutAPasswordAndUsersWhoGo(t *testing.T) {
	r := roster(t, "")
	if err := r.Add("alice", ""); err != nil || r.Text() != "alice:*\n" {
		t.Errorf("%q, %v", r.Text(), err)
	}
	r = roster(t, someUsers)
	for _, name := range []string{"bob", "alice", "dora"} {
		if err := r.Remove(name); err != nil || r.Has(name) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	if got := r.Text(); got != "# people\n\ncarl:*\n# the last\n" {
		t.Errorf("%q", got)
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Roster) error
		exit   int
		want   string
	}{
		{"a user who exists", func(r *Roster) error { return r.Add("alice", "x") }, status.ExitCantCreat, "user alice exists already"},
		{"a user who exists in another spelling", func(r *Roster) error { return r.Add("ali\u00adce", "x") }, status.ExitCantCreat, "user alice exists already"},
		{"a name that cannot be one", func(r *Roster) error { return r.Add("a:b", "x") }, status.ExitUsage, "a user's name has 1 to 255 bytes"},
		{"a name that would be a comment", func(r *Roster) error { return r.Add("#a", "x") }, status.ExitUsage, "a user's name has 1 to 255 bytes"},
		{"a new password for nobody", func(r *Roster) error { return r.Passwd("erna", "x") }, status.ExitNoUser, `there is no user "erna"`},
		{"an empty password", func(r *Roster) error { return r.Passwd("alice", "") }, status.ExitDataErr, "the password is empty"},
		{"a long password", func(r *Roster) error { return r.Add("erna", strings.Repeat("x", 1025)) }, status.ExitDataErr, "the password is longer than 1024 bytes"},
		{"a password that becomes long", func(r *Roster) error { return r.Add("erna", strings.Repeat("\ufdfa", 300)) }, status.ExitDataErr, "the password is longer than 1024 bytes"},
		{"a password with a line end", func(r *Roster) error { return r.Add("erna", "x\ny") }, status.ExitDataErr, "the password holds a control character"},
		{"nobody goes", func(r *Roster) error { return r.Remove("erna\n") }, status.ExitNoUser, `there is no user "erna\n"`},
	} {
		r := roster(t, someUsers)
		err := c.change(r)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || status.From(err).Exit() != c.exit {
			t.Errorf("%s: %v", c.name, err)
		}
		if r.Text() != someUsers {
			t.Errorf("%s: the text has changed", c.name)
		}
	}
	if _, err := NewRoster("users", []byte("alice\n")); err == nil || status.From(err).Exit() != status.ExitConfig || !strings.Contains(err.Error(), "users:1:") {
		t.Errorf("a file that is wrong: %v", err)
	}
}
