package auth

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postrider/internal/config"
)

// withEndpoint is an Authenticator that asks a server.
func withEndpoint(t *testing.T, clk *clock, conf config.Auth, handler http.HandlerFunc) *Authenticator {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	conf.Introspection = server.URL
	a, err := New(conf, false, clk.options())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// tries logs in with a token.
func tries(a *Authenticator, ctx context.Context, token string) string {
	x, err := a.Start(ctx, "XOAUTH2", overTLS)
	if err != nil {
		return diagnostic(err)
	}
	got := next(x, []byte("user=alice\x01auth=Bearer "+token+"\x01\x01"))
	if strings.HasPrefix(got, "> ") {
		return next(x, []byte{})
	}
	return got
}

const loggedIn = "logged in as alice"

func TestWhatTheEndpointIsAsked(t *testing.T) {
	for secret, want := range map[string]string{
		"":                     "",
		"a.bearer=\n":          "Bearer a.bearer=",
		"us er:pass:word\r\nx": "Basic dXMrZXI6cGFzcyUzQXdvcmQ=", // us+er:pass%3Aword
	} {
		var conf config.Auth
		if secret != "" {
			conf.Secret = textFile(t, secret)
		}
		asked := ""
		a := withEndpoint(t, newClock(), conf, func(w http.ResponseWriter, r *http.Request) {
			r.ParseForm()
			asked = fmt.Sprintf("%s %s %s %s %s", r.Method, r.Header.Get("Content-Type"), r.Header.Get("Accept"), r.PostForm.Encode(), r.Header.Get("Authorization"))
			fmt.Fprint(w, `{"active":true,"username":"alice"}`)
		})
		if got := tries(a, context.Background(), "a/token+"); got != loggedIn {
			t.Errorf("%q: %s", secret, got)
		}
		if want := "POST application/x-www-form-urlencoded application/json token=a%2Ftoken%2B&token_type_hint=access_token " + want; asked != want {
			t.Errorf("%q: asked %q, want %q", secret, asked, want)
		}
	}
}

func TestWhatTheEndpointAnswers(t *testing.T) {
	answer := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}
	}
	elsewhere := httptest.NewServer(answer(200, `{"active":true,"sub":"alice"}`))
	defer elsewhere.Close()
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"active", answer(200, `{"active":true,"sub":"alice","scope":"mail","exp":1795525200}`), loggedIn},
		{"not active", answer(200, `{"active":false,"sub":"alice"}`), badLogin},
		{"active, but has expired", answer(200, `{"active":true,"sub":"alice","exp":1795500000}`), badLogin},
		{"active, but of somebody else", answer(200, `{"active":true,"sub":"bob"}`), badLogin},
		{"active, but nobody's", answer(200, `{"active":true}`), badLogin},
		{"does not say", answer(200, `{"sub":"alice"}`), badLogin},
		{"an object of other types", answer(200, `{"active":"true","sub":"alice"}`), notNow},
		{"no JSON", answer(200, `<html>Welcome!</html>`), notNow},
		{"JSON and more", answer(200, `{"active":true,"sub":"alice"} {"active":true}`), notNow},
		{"nothing", answer(200, ``), notNow},
		{"a null", answer(200, `null`), notNow},
		{"active by another name", answer(200, `{"active":false,"Active":true,"sub":"alice"}`), badLogin},
		{"active twice", answer(200, `{"active":false,"active":true,"sub":"alice"}`), notNow},
		{"does not know us", answer(401, `{"active":true,"sub":"alice"}`), notNow},
		{"is broken", answer(500, `{"active":true,"sub":"alice"}`), notNow},
		{"has moved", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, notNow},
		{"too much to say", answer(200, `{"active":true,"sub":"alice","x":"`+strings.Repeat("x", endpointBody)+`"}`), notNow},
		{"a header without end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*endpointBody))
			fmt.Fprint(w, `{"active":true,"sub":"alice"}`)
		}, notNow},
		{"is cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"active":true,"sub":"alice"}`)
		}, notNow},
	} {
		a := withEndpoint(t, newClock(), config.Auth{}, c.handler)
		if got := tries(a, context.Background(), "token"); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAnEndpointThatDoesNotAnswer(t *testing.T) {
	asked := make(chan struct{}, 2)
	release := make(chan struct{})
	defer close(release)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-release }))
	t.Cleanup(server.Close)
	e, err := newEndpoint(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	if _, err := e.claimed(ctx, "token"); diagnostic(err) != notNow {
		t.Errorf("given up: %v", err)
	}
	if e.client.Timeout != endpointTime {
		t.Errorf("time-out %v", e.client.Timeout)
	}
	e.client.Timeout = time.Millisecond
	if _, err := e.claimed(context.Background(), "token"); diagnostic(err) != notNow {
		t.Errorf("too late: %v", err)
	}
}

func TestAnEndpointThatIsNotThereOrNotItself(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a stranger was given a token")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, url := range []string{server.URL, gone.URL} {
		a, err := New(config.Auth{Introspection: url}, false, newClock().options())
		if err != nil {
			t.Fatal(err)
		}
		if got := tries(a, context.Background(), "token"); got != notNow {
			t.Errorf("%s: %s", url, got)
		}
	}
}

func TestAnswersOfTheEndpointAreRemembered(t *testing.T) {
	clk := newClock()
	var asked atomic.Int32
	exp := clk.t.Add(time.Hour).Unix()
	active := true
	a := withEndpoint(t, clk, config.Auth{}, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprintf(w, `{"active":%v,"sub":"alice","exp":%d}`, active, exp)
	})
	try := func(name, token, want string, times int32) {
		t.Helper()
		asked.Store(0)
		if got := tries(a, context.Background(), token); got != want || asked.Load() != times {
			t.Errorf("%s: %s, asked %d times", name, got, asked.Load())
		}
	}
	try("first", "token", loggedIn, 1)
	try("again", "token", loggedIn, 0)
	try("another", "token2", loggedIn, 1)
	clk.pass(memoryTime)
	active = false
	try("after a minute", "token", badLogin, 1)
	try("what is bad is not remembered", "token", badLogin, 1)
	active, exp = true, clk.t.Add(time.Second).Unix()
	try("one that expires soon", "token", loggedIn, 1)
	clk.pass(time.Second)
	try("after its end", "token", loggedIn, 1) // within the leeway it is good, but not remembered
	try("and again", "token", loggedIn, 1)
}

func TestSecretsForTheEndpointThatCannotBeUsed(t *testing.T) {
	for name, path := range map[string]string{
		"missing":           filepath.Join(t.TempDir(), "none"),
		"empty":             textFile(t, "\nsecret\n"),
		"control character": textFile(t, "secret\x01\n"),
		"not ASCII":         textFile(t, "s\u00e9cret\n"),
	} {
		_, err := New(config.Auth{Introspection: "https://idp.example/", Secret: path}, false, Options{})
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "cret\x01") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
