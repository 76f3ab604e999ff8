package auth

import (
	"context"
	"encoding/json"
	"testing"
)

// checked is what becomes of claims.
func checked(t *testing.T, text string, like tokens) string {
	t.Helper()
	like.now = newClock().now // 1795521600
	like.claimed = func(context.Context, string) (c claims, err error) {
		return c, json.Unmarshal([]byte(text), &c)
	}
	name, err := like.check(context.Background(), "token")
	if err != nil {
		return diagnostic(err)
	}
	return name
}

func TestClaims(t *testing.T) {
	ours := tokens{issuer: "https://idp.example", audience: "mail"}
	for _, c := range []struct {
		name   string
		claims string
		like   tokens
		want   string
	}{
		{"the mail address is the login", `{"sub":"17","username":"alice","email":"alice@here.example"}`, tokens{}, "alice@here.example"},
		{"an address that the issuer has verified", `{"sub":"17","email":"alice@here.example","email_verified":true}`, tokens{}, "alice@here.example"},
		{"an address that it has verified in other words", `{"sub":"17","email":"alice@here.example","email_verified":"true"}`, tokens{}, "alice@here.example"},
		{"an address that it has not verified", `{"sub":"17","username":"alice","email":"root@here.example","email_verified":false}`, tokens{}, "alice"},
		{"without an address the user's name", `{"sub":"17","username":"alice"}`, tokens{}, "alice"},
		{"without that the subject", `{"sub":"17"}`, tokens{}, "17"},
		{"nobody", `{}`, tokens{}, badLogin},
		{"a name that cannot be one", `{"sub":"a b"}`, tokens{}, badLogin},
		{"not yet expired", `{"sub":"17","exp":1795521601}`, tokens{}, "17"},
		{"expired within the leeway", `{"sub":"17","exp":1795521541.5}`, tokens{}, "17"},
		{"expired", `{"sub":"17","exp":1795521540}`, tokens{}, badLogin},
		{"expired before all time", `{"sub":"17","exp":-1e300}`, tokens{}, badLogin},
		{"valid", `{"sub":"17","nbf":1795521660}`, tokens{}, "17"},
		{"not yet valid", `{"sub":"17","nbf":1795521661}`, tokens{}, badLogin},
		{"of our issuer and for us", `{"sub":"17","iss":"https://idp.example","aud":"mail"}`, ours, "17"},
		{"for us and others", `{"sub":"17","iss":"https://idp.example","aud":["web","mail"]}`, ours, "17"},
		{"of another issuer", `{"sub":"17","iss":"https://idp.example/","aud":"mail"}`, ours, badLogin},
		{"of no issuer", `{"sub":"17","aud":"mail"}`, ours, badLogin},
		{"for others", `{"sub":"17","iss":"https://idp.example","aud":["web","mailer"]}`, ours, badLogin},
		{"for nobody", `{"sub":"17","iss":"https://idp.example"}`, ours, badLogin},
		{"an audience that is none", `{"sub":"17","iss":"https://idp.example","aud":{"mail":1}}`, ours, badLogin},
	} {
		if got := checked(t, c.claims, c.like); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
