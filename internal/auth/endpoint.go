package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postrider/internal/fsys"
)

// endpoint is asked about tokens (RFC 7662).
type endpoint struct {
	url    string
	header string // Authorization; "": none
	client *http.Client
}

// The bounds on what an endpoint may do to us.
const (
	endpointTime  = 10 * time.Second
	endpointBody  = 64 << 10
	endpointConns = 16
)

// newEndpoint makes an endpoint at a URL. What we show it is in the first line of a file: "user:password", or a bearer
// token.
func newEndpoint(at, secretFile string) (*endpoint, error) {
	e := &endpoint{url: at, client: &http.Client{
		Timeout:       endpointTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // who moves may not take the token along
		Transport: &http.Transport{
			MaxConnsPerHost:        endpointConns,
			MaxResponseHeaderBytes: endpointBody,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
	}}
	if secretFile == "" {
		return e, nil
	}
	text, err := fsys.ReadFile(secretFile, maxLine)
	if err != nil {
		return nil, err
	}
	secret, _, _ := strings.Cut(string(text), "\n")
	if secret = strings.TrimSuffix(secret, "\r"); secret == "" || !isASCII(secret) || !isPrintable(secret) {
		return nil, fmt.Errorf("%s:1: not a secret: it must be user:password or a bearer token", secretFile)
	}
	e.header = authorization(secret)
	return e, nil
}

// authorization is the header field that shows a secret. RFC 6749 section 2.3.1 has user and password encoded as in a
// form.
func authorization(secret string) string {
	user, password, ok := strings.Cut(secret, ":")
	if !ok {
		return "Bearer " + secret
	}
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(password))
	return r.Header.Get("Authorization")
}

// claimed asks about a token. Whatever is not a plain answer is temporary: it says nothing of the token.
func (e *endpoint) claimed(ctx context.Context, token string) (c claims, err error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, strings.NewReader(form.Encode()))
	if err != nil {
		return c, temporary(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if e.header != "" {
		r.Header.Set("Authorization", e.header)
	}
	answer, err := e.client.Do(r)
	if err != nil {
		return c, temporary(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return c, temporary(fmt.Errorf("%s answered with status %d", e.url, answer.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, endpointBody+1))
	if err == nil && len(body) > endpointBody {
		err = errors.New("the answer is too long")
	}
	if err == nil {
		c, err = parseClaims(body)
	}
	if err != nil {
		return claims{}, temporary(fmt.Errorf("%s: %w", e.url, err))
	}
	if !c.Active {
		return c, errToken
	}
	return c, nil
}
