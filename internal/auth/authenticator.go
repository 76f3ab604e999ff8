package auth

import (
	"context"
	"slices"
	"time"

	"postrider/internal/config"
	"postrider/internal/status"
)

// Authenticator checks the logins at one place where sessions begin. It may be used by several sessions at once.
type Authenticator struct {
	file *file // nil: there is none
	now  func() time.Time
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
	a := &Authenticator{now: opts.Now}
	if conf.File != "" {
		var err error
		if a.file, err = openFile(conf.File, opts.Report, opts.Now); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Mechanisms are the names of what may be used on a channel, best first.
func (a *Authenticator) Mechanisms(ch Channel) (names []string) {
	if ch.TLS == nil && !ch.Trusted {
		return nil
	}
	if a.file != nil {
		names = append(names, "PLAIN", "LOGIN")
	}
	return names
}

// Start begins an exchange over a channel. Its error, and those of the exchange, are *status.Status that are fit for a
// reply.
func (a *Authenticator) Start(ctx context.Context, mechanism string, ch Channel) (Exchange, error) {
	if !slices.Contains(a.Mechanisms(ch), mechanism) {
		return nil, status.New("auth", 504, status.Code{5, 5, 4}, "mechanism not available", nil)
	}
	switch mechanism {
	case "LOGIN":
		return a.login(ctx), nil
	}
	return a.plain(ctx), nil
}
