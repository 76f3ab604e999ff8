package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"postrider/internal/status"
)

// Dial brings up a session with t. Its error is a *status.Status: temporary, except for a 521 greeting.
// Connecting, TLS and login all end when ctx does.
func Dial(ctx context.Context, t Target, o Options) (*Session, error) {
	o.Timeouts = o.Timeouts.withDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if t.HeloName == "" {
		t.HeloName = "localhost"
	}
	if !tokenSafe(t.HeloName) {
		return nil, status.New("smtp.dial", 451, status.Code{4, 3, 5}, "our host name is not fit for EHLO", nil)
	}
	s, err := dial(ctx, t, o)
	if errors.Is(err, errHandshake) && t.TLS == May && t.Auth == nil {
		t.TLS = None // RFC 3207 section 4: the failed connection is spent, opportunism is not
		s, err = dial(ctx, t, o)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// dial connects once and brings the session up.
func dial(ctx context.Context, t Target, o Options) (*Session, error) {
	conn, err := connect(ctx, t, o)
	if err != nil {
		return nil, err
	}
	s := &Session{target: t, opt: o, until: time.Now().Add(o.Timeouts.Setup)}
	s.use(conn)
	defer s.watch(ctx)()
	if err := s.bringUp(ctx); err != nil {
		s.end(status.From(err))
		return nil, err
	}
	return s, nil
}

func connect(ctx context.Context, t Target, o Options) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeouts.Connect)
	defer cancel()
	dialer := o.Dialer
	if dialer == nil {
		dialer = &net.Dialer{}
	}
	conn, err := dialer.DialContext(ctx, t.Network, t.Address)
	if err != nil {
		return nil, status.New("smtp.connect", 451, status.Code{4, 4, 1}, "cannot connect: "+cause(err), err)
	}
	return conn, nil
}

// bringUp takes the session from the first byte to the point where MAIL may come.
func (s *Session) bringUp(ctx context.Context) error {
	if s.target.TLS == Implicit {
		if err := s.handshake(ctx); err != nil {
			return err
		}
	}
	if err := s.greeting(); err != nil {
		return err
	}
	if err := s.hello(); err != nil {
		return err
	}
	if s.target.Agent && !s.ext.local {
		return status.New("smtp.agent", 451, status.Code{4, 3, 5}, "who listens there is not our delivery agent: no XLOCAL is offered", nil)
	}
	if s.target.TLS == May || s.target.TLS == Encrypt {
		if err := s.startTLS(ctx); err != nil {
			return err
		}
	}
	if s.target.Auth == nil {
		return nil
	}
	err := s.login()
	s.loggedIn = err == nil
	return err
}

func (s *Session) greeting() error {
	r, err := s.reply(s.opt.Timeouts.Greeting, "the connection")
	switch {
	case err != nil:
		return err
	case r.class() == 2:
		return nil
	case r.code == 521: // RFC 7504 section 3: this host never takes mail
		return r.status()
	}
	return refused("smtp.greeting", "the connection", r)
}

// refused makes a temporary outcome of a reply that refuses the session, and quotes it.
func refused(op, what string, r reply) *status.Status {
	peer := r.status()
	code := status.Code{4, peer.Code()[1], peer.Code()[2]}
	text := status.Clean("peer refused "+what+": "+peer.Diagnostic(), status.MaxText)
	return status.New(op, 451, code, text, nil)
}

// hello introduces us. EHLO falls back on HELO when the peer does not know it (RFC 5321 section 4.1.4); LHLO has
// nothing to fall back on.
func (s *Session) hello() error {
	verb := "EHLO"
	if s.target.LMTP {
		verb = "LHLO"
	}
	r, err := s.roundTrip(verb+" "+s.target.HeloName, verb)
	if err != nil {
		return err
	}
	if r.class() == 2 {
		s.ext = parseExtensions(r)
		return nil
	}
	if r.class() == 5 && !s.target.LMTP {
		verb = "HELO"
		if r, err = s.roundTrip(verb+" "+s.target.HeloName, verb); err != nil {
			return err
		}
	}
	if r.class() != 2 {
		return refused("smtp.hello", verb, r)
	}
	return nil
}

// errHandshake is in the chain of an error that TLS itself has caused.
var errHandshake = errors.New("TLS handshake failed")

// startTLS encrypts the session when the peer offers it (RFC 3207).
func (s *Session) startTLS(ctx context.Context) error {
	need := s.target.TLS == Encrypt
	if !s.ext.startTLS {
		if need {
			return status.New("smtp.starttls", 451, status.Code{4, 7, 4}, "TLS is required, but the peer does not offer it", nil)
		}
		return nil
	}
	r, err := s.roundTrip("STARTTLS", "STARTTLS")
	if err != nil {
		return err
	}
	if r.code != 220 {
		if need || r.class() == 2 || r.class() == 3 {
			return refused("smtp.starttls", "STARTTLS", r)
		}
		return nil
	}
	if s.r.Buffered() > 0 { // RFC 3207 section 6, CVE-2011-0411: this came in clear and must not be read as if not
		return status.New("smtp.starttls", 451, status.Code{4, 7, 0}, "plaintext behind the reply to STARTTLS", nil)
	}
	if err := s.handshake(ctx); err != nil {
		return err
	}
	return s.hello() // RFC 3207 section 4.2: what was said before TLS is forgotten
}

// handshake wraps the connection in TLS.
func (s *Session) handshake(ctx context.Context) error {
	limit := s.deadline(s.opt.Timeouts.Command)
	ctx, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	_ = s.conn.SetDeadline(limit) // an error will show in the handshake
	conn := tls.Client(s.conn, s.tlsConfig())
	if err := conn.HandshakeContext(ctx); err != nil {
		code := status.Code{4, 7, 0}
		if verr := (*tls.CertificateVerificationError)(nil); errors.As(err, &verr) {
			code = status.Code{4, 7, 5}
		}
		text := status.Clean("TLS handshake failed: "+cause(err), status.MaxText)
		return status.New("smtp.tls", 451, code, text, errors.Join(errHandshake, err))
	}
	s.use(conn)
	return nil
}

// tlsConfig is the configuration for this target. Without Verify any certificate will do: against who only listens,
// encryption to whoever answers is better than none. But nobody logs in to whoever answers.
func (s *Session) tlsConfig() *tls.Config {
	t, c := s.target, &tls.Config{}
	if t.Config != nil {
		c = t.Config.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = strings.TrimSuffix(strings.Trim(t.Name, "[]"), ".")
	}
	login := t.Auth != nil && !s.private()
	c.InsecureSkipVerify = !login && (!t.Verify || t.TLS == May)
	return c
}
