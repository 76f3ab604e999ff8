package auth

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
)

// knowing is an Authenticator that knows two tokens, and cannot tell of a third.
func knowing(t *testing.T, users ...string) *Authenticator {
	t.Helper()
	a := &Authenticator{now: newClock().now}
	if users != nil {
		a = withUsers(t, users...)
	}
	a.tokens = &tokens{now: a.now, claimed: func(_ context.Context, token string) (claims, error) {
		switch token {
		case "alices":
			return claims{Subject: "alice"}, nil
		case "lockeds":
			return claims{Subject: "locked"}, nil
		case "nobodys":
			return claims{Subject: "no body"}, nil
		case "unknown":
			return claims{}, temporary(errors.New("endpoint is down"))
		}
		return claims{}, errToken
	}}
	return a
}

func TestOAuthBearer(t *testing.T) {
	a := knowing(t, "alice:*", "locked:!")
	const no = `> {"status":"invalid_token","schemes":"bearer"}`
	for _, c := range []struct{ name, user, token, want string }{
		{"a good token", "alice", "alices", "alice"},
		{"a good token of whoever it is", "", "alices", "alice"},
		{"somebody else's token", "bob", "alices", badLogin},
		{"a bad token", "alice", "bad", badLogin},
		{"a token that names nobody", "", "nobodys", badLogin},
		{"a user who is locked", "", "lockeds", badLogin},
		{"a token of which nobody can tell", "alice", "unknown", notNow},
	} {
		x, err := a.Start(context.Background(), "OAUTHBEARER", overTLS)
		if err != nil {
			t.Fatal(err)
		}
		mechanism, first, err := sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: c.user, Token: c.token, Host: "mx.example", Port: 587}).Start()
		if err != nil || mechanism != "OAUTHBEARER" {
			t.Fatal(mechanism, err)
		}
		got := next(x, first)
		if c.want == badLogin {
			if got != no {
				t.Errorf("%s: %q, want %q", c.name, got, no)
			}
			got = next(x, []byte("\x01"))
		}
		if got != "logged in as "+c.want && got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestXOAuth2(t *testing.T) {
	a := knowing(t)
	const no = `> {"status":"401","schemes":"bearer"}`
	const bad = "501 5.5.2 malformed response with a token"
	for _, c := range []struct {
		name     string
		dialogue []string
	}{
		{"a good token", []string{"user=alice\x01auth=Bearer alices\x01\x01", "logged in as alice"}},
		{"without an initial response", []string{"nil", "> ", "user=alice\x01auth=bearer alices\x01\x01", "logged in as alice"}},
		{"somebody else's token", []string{"user=bob\x01auth=Bearer alices\x01\x01", no, "", badLogin}},
		{"a bad token", []string{"user=alice\x01auth=Bearer bad\x01\x01", no, "", badLogin, "", "501 5.5.2 the login is over"}},
		{"a token of which nobody can tell", []string{"user=alice\x01auth=Bearer unknown\x01\x01", notNow}},
		{"no user", []string{"user=\x01auth=Bearer alices\x01\x01", bad}},
		{"no token", []string{"user=alice\x01\x01", bad}},
		{"no end", []string{"user=alice\x01auth=Bearer alices\x01", bad}},
		{"nothing", []string{"", bad}},
	} {
		x, err := a.Start(context.Background(), "XOAUTH2", overTLS)
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

func TestParseOAuthBearer(t *testing.T) {
	for _, c := range []struct{ name, response, want string }{
		{"the example of RFC 7628", "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01", "user@example.com vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="},
		{"without a user", "n,,\x01auth=Bearer a.b-c_d~e+f/g=\x01\x01", " a.b-c_d~e+f/g="},
		{"a client that could bind to channels", "y,,\x01auth=Bearer t\x01\x01", " t"},
		{"a user that is encoded", "n,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01", "a,b=c t"},
		{"pairs that we do not know", "n,,\x01x=y\x01auth=Bearer t\x01z=\x01\x01", " t"},
		{"a user that is badly encoded", "n,a=a=b,\x01auth=Bearer t\x01\x01", ""},
		{"an empty user", "n,a=,\x01auth=Bearer t\x01\x01", ""},
		{"a client that wants to bind to the channel", "p=tls-exporter,,\x01auth=Bearer t\x01\x01", ""},
		{"two tokens", "n,,\x01auth=Bearer t\x01auth=Bearer t\x01\x01", ""},
		{"another kind of token", "n,,\x01auth=Basic dDp0\x01\x01", ""},
		{"an empty token", "n,,\x01auth=Bearer \x01\x01", ""},
		{"a token with a line end", "n,,\x01auth=Bearer t\r\nx\x01\x01", ""},
		{"a token with a blank", "n,,\x01auth=Bearer t x\x01\x01", ""},
		{"a token of signs of equality", "n,,\x01auth=Bearer ===\x01\x01", ""},
		{"a pair without a value", "n,,\x01auth\x01\x01", ""},
		{"a header only", "n,,", ""},
		{"half a header", "n,\x01auth=Bearer t\x01\x01", ""},
		{"the longest token", "n,,\x01auth=Bearer " + strings.Repeat("t", maxToken) + "\x01\x01", " " + strings.Repeat("t", maxToken)},
		{"a longer token", "n,,\x01auth=Bearer " + strings.Repeat("t", maxToken+1) + "\x01\x01", ""},
	} {
		user, token, err := parseOAuthBearer(c.response)
		if got := user + " " + token; err == nil && got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func FuzzOAuthBearer(f *testing.F) {
	f.Add("n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01")
	f.Add("user=alice\x01auth=Bearer alices\x01\x01")
	f.Add("n,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01")
	f.Fuzz(func(t *testing.T, response string) {
		for _, parse := range []func(string) (string, string, error){parseOAuthBearer, parseXOAuth2} {
			user, token, err := parse(response)
			if err == nil && (!isToken(token) || !strings.Contains(response, token) || len(user) > len(response)) {
				t.Errorf("user %q, token %q", user, token)
			}
		}
	})
}
