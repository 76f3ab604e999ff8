package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"postrider/internal/config"
	"postrider/internal/status"
)

// tokens finds out whose a token is.
type tokens struct {
	issuer   string // "" : anybody's
	audience string // "" : for anybody
	now      func() time.Time
	// claimed says what a token claims, and whether that is true. Its error is errToken, or a temporary *status.Status.
	claimed func(ctx context.Context, token string) (claims, error)
	recent  *memory[string] // nil: nothing is remembered
}

// claims are what is said of a token, by itself (RFC 7519 section 4.1) or by the endpoint (RFC 7662 section 2.2).
type claims struct {
	Active    bool // by the endpoint only
	Username  string
	Issuer    string
	Subject   string
	Audience  []string
	Expires   *float64
	NotBefore *float64
	Email     string
	Verified  bool // the issuer is sure of the mail address
}

// parseClaims reads an object of JSON.
func parseClaims(text []byte) (c claims, err error) {
	o, err := parseObject(text)
	if err != nil {
		return c, err
	}
	for name, into := range map[string]any{
		"active": &c.Active, "username": &c.Username, "iss": &c.Issuer, "sub": &c.Subject, "exp": &c.Expires,
		"nbf": &c.NotBefore, "email": &c.Email,
	} {
		if err := o.get(name, into); err != nil {
			return claims{}, err
		}
	}
	var audience string
	if o.get("aud", &audience) == nil {
		c.Audience = []string{audience}
	} else if err := o.get("aud", &c.Audience); err != nil {
		return claims{}, err
	}
	verified := string(o["email_verified"])
	c.Verified = verified == `true` || verified == `"true"` // some write it as a string
	return c, nil
}

// newTokens makes what the configuration describes, nil when it describes nothing.
func newTokens(conf config.Auth, now func() time.Time) (*tokens, error) {
	t := &tokens{issuer: conf.TokenIssuer, audience: conf.TokenAudience, now: now}
	switch {
	case conf.TokenKey != "":
		keys, err := readTokenKeys(conf.TokenKey)
		if err != nil {
			return nil, err
		}
		t.claimed = keys.claimed
	case conf.Introspection != "":
		e, err := newEndpoint(conf.Introspection, conf.Secret)
		if err != nil {
			return nil, err
		}
		t.claimed, t.recent = e.claimed, newMemory[string]()
	default:
		return nil, nil
	}
	return t, nil
}

// check returns the name of the user whose token it is.
func (t *tokens) check(ctx context.Context, token string) (string, error) {
	now := t.now()
	if t.recent != nil {
		if name, ok := t.recent.get("", token, now); ok {
			return name, nil
		}
	}
	c, err := t.claimed(ctx, token)
	if err == nil {
		err = t.valid(c, now)
	}
	name, nameErr := prepName(c.name())
	switch {
	case isTemporary(err):
		return "", err
	case err != nil:
		return "", failed(err)
	case nameErr != nil:
		return "", failed(errors.New("the token names no user"))
	}
	if t.recent != nil {
		t.recent.put("", token, name, now, c.remaining(now))
	}
	return name, nil
}

// leeway is how much clocks may differ.
const leeway = time.Minute

// valid tells whether claims that are true are good for us.
func (t *tokens) valid(c claims, now time.Time) error {
	seconds := float64(now.Unix())
	switch {
	case c.Expires != nil && seconds >= *c.Expires+leeway.Seconds():
		return errors.New("the token has expired")
	case c.NotBefore != nil && seconds < *c.NotBefore-leeway.Seconds():
		return errors.New("the token is not valid yet")
	case t.issuer != "" && c.Issuer != t.issuer:
		return errors.New("the token is of another issuer")
	case t.audience != "" && !slices.Contains(c.Audience, t.audience):
		return errors.New("the token is for others")
	}
	return nil
}

// name is as whom the owner of the token logs in: the user's name, which only an endpoint tells, or else the mail
// address, if the issuer is sure of it, or else the subject. Whoever gives himself an address must not become its owner.
func (c claims) name() string {
	switch {
	case c.Username != "":
		return c.Username
	case c.Email != "" && c.Verified:
		return c.Email
	}
	return c.Subject
}

// remaining is for how long the token is good.
func (c claims) remaining(now time.Time) time.Duration {
	if c.Expires == nil {
		return memoryTime
	}
	return time.Duration(max(0, min(*c.Expires-float64(now.Unix()), memoryTime.Seconds())) * float64(time.Second))
}

func isTemporary(err error) bool {
	var s *status.Status
	return errors.As(err, &s) && s.Class() == status.Temporary
}
