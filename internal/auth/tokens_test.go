package auth

import (
	"context"
	"testing"
)

// checked is what becomes of claims.
func checked(t *testing.T, text string, like tokens) string {
	t.Helper()
	like.now = newClock().now // 1795521600
	like.claimed = func(context.Context, string) (claims, error) { return parseClaims([]byte(text)) }
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
		{"the user's name is the login", `{"sub":"17","username":"alice","email":"root@here.example","email_verified":true}`, tokens{}, "alice"},
		{"without it an address that the issuer has verified", `{"sub":"17","email":"alice@here.example","email_verified":true}`, tokens{}, "alice@here.example"},
		{"an address that it has verified in other words", `{"sub":"17","email":"alice@here.example","email_verified":"true"}`, tokens{}, "alice@here.example"},
		{"an address that it has not verified", `{"sub":"17","email":"root@here.example","email_verified":false}`, tokens{}, "17"},
		{"an address of which it does not say", `{"sub":"17","email":"root@here.example"}`, tokens{}, "17"},
		{"an address that it may have verified", `{"sub":"17","email":"root@here.example","email_verified":1}`, tokens{}, "17"},
		{"an address only, not verified", `{"email":"root@here.example"}`, tokens{}, badLogin},
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
		{"an audience beside one of another name", `{"sub":"17","iss":"https://idp.example","aud":"web","AUD":"mail"}`, ours, badLogin},
		{"expired, beside another name that has not", `{"sub":"17","exp":1,"EXP":1795525200}`, tokens{}, badLogin},
		{"of another issuer, beside a name with a long s", `{"sub":"17","iss":"evil","i\u017f\u017f":"https://idp.example","is\u017f":"https://idp.example","aud":"mail"}`, ours, badLogin},
		{"the same, as it is typed", `{"sub":"17","iss":"evil","iſs":"https://idp.example","aud":"mail"}`, ours, badLogin},
		{"an address beside another name", `{"email":"s1","EMAIL":"alice","email_verified":true}`, tokens{}, "s1"},
		{"verified by another name", `{"sub":"17","email":"root","Email_Verified":true}`, tokens{}, "17"},
		{"a subject of another name", `{"Sub":"17"}`, tokens{}, badLogin},
		{"a subject twice", `{"sub":"17","sub":"root"}`, tokens{}, badLogin},
		{"what is null is not there", `{"sub":"17","username":null,"exp":null,"email":null}`, tokens{}, "17"},
		{"a null for an audience", `{"sub":"17","iss":"https://idp.example","aud":null}`, ours, badLogin},
		{"an audience that is none", `{"sub":"17","iss":"https://idp.example","aud":{"mail":1}}`, ours, badLogin},
	} {
		if got := checked(t, c.claims, c.like); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
