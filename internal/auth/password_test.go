package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"

	"postrider/internal/config"
	"postrider/internal/status"
)

var overTLS = Channel{TLS: &tls.ConnectionState{Version: tls.VersionTLS12}}

// talk has a client of another author log in over a channel. The result is the name, or the diagnostic of the failure.
func talk(a *Authenticator, client sasl.Client, ch Channel) string {
	mechanism, response, err := client.Start()
	if err != nil {
		return "client: " + err.Error()
	}
	x, err := a.Start(context.Background(), mechanism, ch)
	if err != nil {
		return diagnostic(err)
	}
	for {
		challenge, done, err := x.Next(response)
		if err != nil {
			return diagnostic(err)
		}
		if done && challenge == nil {
			return x.Login()
		}
		if response, err = client.Next(challenge); err != nil {
			return "client: " + err.Error()
		}
		if done {
			return x.Login()
		}
		if response == nil {
			response = []byte{}
		}
	}
}

// diagnostic is what a client would see of an error.
func diagnostic(err error) string {
	s, ok := err.(*status.Status)
	if !ok {
		return fmt.Sprintf("not a status: %v", err)
	}
	return s.Diagnostic()
}

const (
	badLogin = "535 5.7.8 authentication failed"
	notNow   = "454 4.7.0 authentication is not possible just now"
)

func TestPasswords(t *testing.T) {
	long := strings.Repeat("x", 1024)
	a := withUsers(t,
		"alice:"+quick, "bob:"+quickKeys, "carl@here.example:{CRYPT}"+quickCrypt, "dora:*", "erna:!"+quick,
		"i\u00aax:{ARGON2ID}"+newArgon("IX\u2168").String(), // as another program hashes it, without SASLprep
		"fritz:{ARGON2ID}"+newArgon("IXIX").String(), "gerd:{ARGON2ID}"+newArgon("\U0001f600").String(), "hugo:{ARGON2ID}"+newArgon(long).String())
	for _, c := range []struct{ name, identity, user, password, want string }{
		{"a user with a hash", "", "alice", "password", "alice"},
		{"a user with keys of SCRAM", "", "bob", "pencil", "bob"},
		{"a user that came from Dovecot", "", "carl@here.example", "U*U*", "carl@here.example"},
		{"a user who says who it is twice", "alice", "alice", "password", "alice"},
		{"the longest password", "", "hugo", long, "hugo"},
		{"a user in another spelling of Unicode", "", "iax", "IX\u2168", "iax"},
		{"a password in another spelling of Unicode", "", "fritz", "IX\u2168", "fritz"},
		{"a password that SASLprep does not know", "", "gerd", "\U0001f600", "gerd"},
		{"a wrong password", "", "alice", "Password", badLogin},
		{"an empty password", "", "alice", "", badLogin},
		{"an unknown user", "", "mallory", "password", badLogin},
		{"an empty user", "", "", "password", badLogin},
		{"letter case matters", "", "Alice", "password", badLogin},
		{"a user without a password", "", "dora", "*", badLogin},
		{"a user whose password is locked", "", "erna", "password", badLogin},
		{"a user who wants to be another", "bob", "alice", "password", badLogin},
		{"a user that cannot be one", "", "al ice", "password", badLogin},
		{"a user that is not UTF-8", "", "al\xffice", "password", badLogin},
		{"a long user", "", strings.Repeat("a", 256), "password", "501 5.5.2 user or password too long"},
		{"a long password", "", "alice", strings.Repeat("a", 1025), "501 5.5.2 user or password too long"},
	} {
		if got := talk(a, sasl.NewPlainClient(c.identity, c.user, c.password), overTLS); got != c.want {
			t.Errorf("PLAIN, %s: %s, want %s", c.name, got, c.want)
		}
		if c.identity == "" {
			if got := talk(a, sasl.NewLoginClient(c.user, c.password), overTLS); got != c.want {
				t.Errorf("LOGIN, %s: %s, want %s", c.name, got, c.want)
			}
		}
	}
}

// next is one step of an exchange, for comparison.
func next(x Exchange, response []byte) string {
	challenge, done, err := x.Next(response)
	switch {
	case err != nil:
		return diagnostic(err)
	case done:
		return "logged in as " + x.Login()
	}
	return "> " + string(challenge)
}

func TestDialogues(t *testing.T) {
	a := withUsers(t, "alice:"+quick)
	for _, c := range []struct {
		name, mechanism string
		dialogue        []string // response, answer, response, answer; "nil": no initial response
	}{
		{"PLAIN without an initial response", "PLAIN", []string{"nil", "> ", "\x00alice\x00password", "logged in as alice"}},
		{"LOGIN without an initial response", "LOGIN", []string{"nil", "> Username:", "alice", "> Password:", "password", "logged in as alice"}},
		{"PLAIN of one part", "PLAIN", []string{"", "501 5.5.2 malformed response of PLAIN"}},
		{"PLAIN of two parts", "PLAIN", []string{"alice\x00password", "501 5.5.2 malformed response of PLAIN"}},
		{"PLAIN of four parts", "PLAIN", []string{"\x00alice\x00password\x00", "501 5.5.2 malformed response of PLAIN"}},
		{"LOGIN with a NUL", "LOGIN", []string{"alice", "> Password:", "password\x00", "501 5.5.2 user or password with a NUL"}},
		{"after the end", "PLAIN", []string{"\x00alice\x00password", "logged in as alice", "\x00alice\x00password", "501 5.5.2 the login is over"}},
		{"after a failure", "PLAIN", []string{"\x00alice\x00wrong", badLogin, "\x00alice\x00password", "501 5.5.2 the login is over"}},
	} {
		x, err := a.Start(context.Background(), c.mechanism, overTLS)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(c.dialogue); i += 2 {
			response := []byte(c.dialogue[i])
			if c.dialogue[i] == "nil" {
				response = nil
			}
			if got := next(x, response); got != c.dialogue[i+1] {
				t.Errorf("%s: %q: %q, want %q", c.name, c.dialogue[i], got, c.dialogue[i+1])
			}
		}
	}
}

func TestWhoTriedIsKnownForTheLog(t *testing.T) {
	a := withUsers(t, "alice:"+quick)
	x, err := a.Start(context.Background(), "PLAIN", overTLS)
	if err != nil {
		t.Fatal(err)
	}
	if got := next(x, []byte("\x00mal\nlory\x00password")); got != badLogin || x.Login() != `mal\x0Alory` {
		t.Errorf("%s by %q", got, x.Login())
	}
}

// slow is a hash that is as slow as a test wants.
type slow struct {
	begun chan struct{}
	end   chan struct{}
}

func (s slow) matches(string) bool { s.begun <- struct{}{}; <-s.end; return true }
func (slow) scheme() string        { return "SLOW" }
func (slow) cost() string          { return "SLOW" }
func (slow) price() float64        { return 0 }

func TestOnlySoManyHashesAreComputedAtOnce(t *testing.T) {
	a := withUsers(t, "alice:"+quick)
	s := slow{make(chan struct{}, 1000), make(chan struct{})}
	a.file.current().byName["alice"].password = s
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan error, cap(hashing)+3)
	for i := range cap(results) {
		go func() {
			_, err := a.check(ctx, "alice", fmt.Sprint(i))
			results <- err
		}()
	}
	for range cap(hashing) {
		<-s.begun
	}
	cancel() // who waits is told to come again
	for range 3 {
		if err := <-results; diagnostic(err) != notNow || !errors.Is(err, context.Canceled) {
			t.Errorf("who waited got %v", err)
		}
	}
	if len(s.begun) > 0 {
		t.Error("more hashes than there are processors")
	}
	close(s.end)
	for range cap(hashing) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestASuccessIsRememberedForAWhile(t *testing.T) {
	path := usersFile(t, "alice:"+quick)
	clk := newClock()
	a, err := New(config.Auth{File: path}, false, clk.options())
	if err != nil {
		t.Fatal(err)
	}
	login := func(password string) string { return talk(a, sasl.NewPlainClient("", "alice", password), overTLS) }
	remembered := func(password string) bool {
		_, ok := a.file.current().recent.get("alice", password, clk.now())
		return ok
	}

	if got := login("wrong"); got != badLogin || remembered("wrong") {
		t.Errorf("a failure was remembered: %s", got)
	}
	if got := login("password"); got != "alice" || !remembered("password") {
		t.Errorf("a success was not remembered: %s", got)
	}
	// What is remembered is used, and it is only this password.
	a.file.current().byName["alice"].password = absent
	if got := login("password"); got != "alice" {
		t.Errorf("what was remembered was not used: %s", got)
	}
	if got := login("wrong"); got != badLogin {
		t.Errorf("another password: %s", got)
	}
	clk.pass(memoryTime)
	if remembered("password") {
		t.Error("a success was remembered too long")
	}
	a.file.current().recent.put("alice", "password", a.file.current().byName["alice"], clk.now(), memoryTime)
	writeUsers(t, path, "alice:"+quickCrypt)
	clk.pass(time.Second)
	if got := login("password"); got != badLogin {
		t.Errorf("a success was remembered although the file had changed: %s", got)
	}
}

func TestMemoryHasACap(t *testing.T) {
	m, clk := newMemory[int](), newClock()
	has := func(name, secret string) bool { _, ok := m.get(name, secret, clk.now()); return ok }
	for i := range maxMemory {
		m.put(fmt.Sprint(i), "x", i, clk.now(), memoryTime)
	}
	m.put("one more", "x", 0, clk.now(), memoryTime)
	if len(m.held) != 1 {
		t.Errorf("%d are remembered", len(m.held))
	}
	clk.pass(memoryTime / 2)
	for i := range maxMemory - 1 {
		m.put(fmt.Sprint(i), "x", i, clk.now(), memoryTime)
	}
	clk.pass(memoryTime / 2)
	m.put("last", "x", 7, clk.now(), time.Second)
	if len(m.held) != maxMemory {
		t.Errorf("%d are remembered; those whose time was over should have gone, and no others", len(m.held))
	}
	if !has("last", "x") || has("las", "tx") || has("one more", "x") {
		t.Error("what is remembered is not what was put")
	}
	clk.pass(time.Second)
	if has("last", "x") {
		t.Error("a value was remembered longer than it may")
	}
}
