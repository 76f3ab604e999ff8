package auth

import (
	"context"
	"slices"
	"time"

	"github.com/xdg-go/scram"

	"postrider/internal/config"
	"postrider/internal/status"
)

// Authenticator checks the logins at one place where sessions begin. It may be used by several sessions at once.
type Authenticator struct {
	file     *file    // nil: there is none
	dovecot  *dovecot // nil: it is not asked
	tokens   *tokens  // nil: there are none
	clientCA bool
	now      func() time.Time
	nonce    scram.NonceGeneratorFcn // nil: a random one; a test has another
}

// Options are what an Authenticator may be told beside its configuration.
type Options struct {
	// Report is told what is wrong while nobody is there to whom an error could be returned. nil: nobody is told.
	Report func(error)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// New makes the Authenticator that the configuration describes. clientCA says that certificates of clients are
// verified. What can be known to be wrong is an error now, and not at the first login.
func New(conf config.Auth, clientCA bool, opts Options) (*Authenticator, error) {
	if opts.Report == nil {
		opts.Report = func(error) {}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	a := &Authenticator{clientCA: clientCA, now: opts.Now}
	var err error
	if a.tokens, err = newTokens(conf, opts.Now); err != nil {
		return nil, err
	}
	if conf.File != "" {
		if a.file, err = openFile(conf.File, opts.Report, opts.Now); err != nil {
			return nil, err
		}
	}
	if conf.Dovecot != "" {
		a.dovecot = &dovecot{path: conf.Dovecot, now: opts.Now}
	}
	return a, nil
}

// mechanism is one way to log in.
type mechanism struct {
	name    string
	offered bool
	start   func(context.Context) (Exchange, error)
}

// mechanisms are all ways there are, best first, with those that are offered on a channel marked.
func (a *Authenticator) mechanisms(ch Channel) []mechanism {
	keyed := a.file != nil && a.file.current().scram
	list := []mechanism{
		{"EXTERNAL", len(a.certified(ch)) > 0, func(context.Context) (Exchange, error) { return a.external(ch), nil }},
		{"SCRAM-SHA-256-PLUS", keyed && binding(ch).IsSupported(), func(context.Context) (Exchange, error) { return a.scram(ch, true) }},
		{"SCRAM-SHA-256", keyed, func(context.Context) (Exchange, error) { return a.scram(ch, false) }},
		{"OAUTHBEARER", a.tokens != nil, func(ctx context.Context) (Exchange, error) {
			return a.oauth(ctx, parseOAuthBearer, `{"status":"invalid_token","schemes":"bearer"}`), nil
		}},
		{"XOAUTH2", a.tokens != nil, func(ctx context.Context) (Exchange, error) {
			return a.oauth(ctx, parseXOAuth2, `{"status":"401","schemes":"bearer"}`), nil
		}},
		{"PLAIN", a.file != nil, func(ctx context.Context) (Exchange, error) { return a.plain(ctx), nil }},
		{"LOGIN", a.file != nil, func(ctx context.Context) (Exchange, error) { return a.login(ctx), nil }},
	}
	if a.dovecot == nil {
		return list
	}
	for _, name := range a.dovecot.mechanisms() {
		i := slices.IndexFunc(list, func(m mechanism) bool { return m.name == name })
		if !list[i].offered {
			list[i].offered = true
			list[i].start = func(ctx context.Context) (Exchange, error) { return a.dovecot.exchange(ctx, name, ch), nil }
		}
	}
	return list
}

// Mechanisms are the names of what may be used on a channel, best first. In clear that is nothing, unless the client is
// trusted.
func (a *Authenticator) Mechanisms(ch Channel) (names []string) {
	if ch.TLS == nil && !ch.Trusted {
		return nil
	}
	for _, m := range a.mechanisms(ch) {
		if m.offered {
			names = append(names, m.name)
		}
	}
	return names
}

// Start begins an exchange over a channel; it ends, at the latest, with ctx. Its error, and those of the exchange, are
// *status.Status that are fit for a reply.
func (a *Authenticator) Start(ctx context.Context, name string, ch Channel) (Exchange, error) {
	if ch.TLS == nil && !ch.Trusted {
		return nil, status.New("auth", 538, status.Code{5, 7, 11}, "encryption is required for authentication", nil)
	}
	for _, m := range a.mechanisms(ch) {
		if m.offered && m.name == name {
			return m.start(ctx)
		}
	}
	return nil, status.New("auth", 504, status.Code{5, 5, 4}, "mechanism not available", nil)
}
