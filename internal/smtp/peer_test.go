package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"postrider/internal/status"
)

// box is an independent peer: go-smtp's server over a backend that keeps what comes.
type box struct {
	mu     sync.Mutex
	logins int
	mail   []kept
}

type kept struct {
	from string
	mopt gosmtp.MailOptions
	to   []string
	ropt []gosmtp.RcptOptions
	text string
}

func (b *box) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return &boxSession{b: b}, nil }

type boxSession struct {
	b *box
	k kept
}

func (s *boxSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *boxSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "user" || password != "secret" {
			return errors.New("wrong")
		}
		s.b.mu.Lock()
		s.b.logins++
		s.b.mu.Unlock()
		return nil
	}), nil
}

func (s *boxSession) Mail(from string, o *gosmtp.MailOptions) error {
	s.k = kept{from: from, mopt: *o}
	return nil
}

func (s *boxSession) Rcpt(to string, o *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "no") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.k.to, s.k.ropt = append(s.k.to, to), append(s.k.ropt, *o)
	return nil
}

func (s *boxSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.k.text = string(text)
	s.b.mu.Lock()
	s.b.mail = append(s.b.mail, s.k)
	s.b.mu.Unlock()
	return err
}

func (s *boxSession) LMTPData(r io.Reader, c gosmtp.StatusCollector) error {
	if err := s.Data(r); err != nil {
		return err
	}
	for _, to := range s.k.to {
		var err error
		if strings.HasPrefix(to, "full") {
			err = &gosmtp.SMTPError{Code: 452, EnhancedCode: gosmtp.EnhancedCode{4, 2, 2}, Message: "full"}
		}
		c.SetStatus(to, err)
	}
	return nil
}

func (s *boxSession) Reset()        {}
func (s *boxSession) Logout() error { return nil }

// serve starts a server for b on network and gives its address.
func (b *box) serve(t *testing.T, network string, lmtp bool) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "lmtp")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	srv := gosmtp.NewServer(b)
	srv.LMTP, srv.Domain, srv.MaxRecipients = lmtp, "mx.test", 1000
	srv.TLSConfig = serverTLS()
	srv.EnableSMTPUTF8, srv.EnableDSN = true, true
	srv.ReadTimeout, srv.WriteTimeout = 10*time.Second, 10*time.Second
	srv.ErrorLog = quiet{}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return ln.Addr().String()
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func TestPeerWithTLSLoginAndParameters(t *testing.T) {
	b := &box{}
	target := Target{
		Name: "mx.test", Network: "tcp", Address: b.serve(t, "tcp", false), HeloName: "client.test",
		TLS: Encrypt, Verify: true, Config: clientTLS(), Auth: &Credentials{"user", "secret"},
	}
	s, err := Dial(context.Background(), target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.HasPrefix(s.TLS(), "TLSv1.3/TLS_") {
		t.Errorf("TLS %q", s.TLS())
	}
	text := "MIME-Version: 1.0\r\nSubject: x\r\n\r\n.grün\r\n..\r\n.\r\n" + strings.Repeat("line\r\n.dot\r\n", 50_000)
	m := Message{
		Sender: "a@client.test", Body: section(text), EightBit: true, Ret: "HDRS", EnvID: "id+2B", Auth: "alice+2Bx@example.org",
		Rcpts: []Rcpt{{Address: `"b > c"@mx.test`, ORcpt: "rfc822;b@mx.test", Notify: "SUCCESS,DELAY"}, {Address: "no@mx.test"}, {Address: "büro@mx.test"}},
	}
	for n := range 3 {
		res, err := s.Send(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		if res.Rcpts[0].Class() != status.Success || res.Rcpts[1].Diagnostic() != "550 5.1.1 no such user" || res.Rcpts[2].Class() != status.Success || !res.DSN {
			t.Errorf("message %d: %v", n, res)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.logins != 1 || len(b.mail) != 3 {
		t.Fatalf("%d logins, %d messages", b.logins, len(b.mail))
	}
	k := b.mail[2]
	if k.text != text {
		t.Errorf("the message arrived as %d bytes, was %d", len(k.text), len(text))
	}
	if k.mopt.Size != int64(len(text)) || k.mopt.Body != gosmtp.Body8BitMIME || !k.mopt.UTF8 || k.mopt.Return != gosmtp.DSNReturnHeaders || k.mopt.EnvelopeID != "id+" {
		t.Errorf("MAIL options %+v", k.mopt)
	}
	if k.mopt.Auth == nil || *k.mopt.Auth != "alice+x@example.org" {
		t.Errorf("AUTH parameter %v", k.mopt.Auth)
	}
	if len(k.to) != 2 || k.to[1] != "büro@mx.test" || len(k.ropt[0].Notify) != 2 || k.ropt[0].OriginalRecipient != "b@mx.test" {
		t.Errorf("RCPT %q %+v", k.to, k.ropt)
	}
}

func TestPeerOverLMTP(t *testing.T) {
	b := &box{}
	target := Target{Name: "box", Network: "unix", Address: b.serve(t, "unix", true), LMTP: true}
	s, err := Dial(context.Background(), target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		res, err := s.Send(context.Background(), message("b@mx.test", "no@mx.test", "full@mx.test", "c@mx.test"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, st := range res.Rcpts {
			got = append(got, st.Code().String())
		}
		if strings.Join(got, " ") != "2.0.0 5.1.1 4.2.2 2.0.0" {
			t.Errorf("outcomes %v", got)
		}
	}
}

func TestPeerTakesManyRecipientsAndMessages(t *testing.T) {
	b := &box{}
	s := dialTest(t, b.serve(t, "tcp", false), Options{})
	defer s.Close()
	var to []string
	for i := range 500 {
		to = append(to, fmt.Sprintf("b%d@mx.test", i))
	}
	for range 10 {
		if res, err := s.Send(context.Background(), message(to...)); err != nil || res.Rcpts[499].Class() != status.Success {
			t.Fatal(err)
		}
	}
	if b.mu.Lock(); len(b.mail) != 10 || len(b.mail[9].to) != 500 || b.mail[9].text != defaultMail {
		t.Errorf("%d messages", len(b.mail))
	}
	b.mu.Unlock()
}

func TestPeerWithWrongLoginSaysNothingOfIt(t *testing.T) {
	b := &box{}
	var out bytes.Buffer
	target := Target{Name: "mx.test", Network: "tcp", Address: b.serve(t, "tcp", false), TLS: May, Auth: &Credentials{"user", "sesame"}}
	_, err := Dial(context.Background(), target, Options{Dialogue: &out})
	if st := status.From(err); st == nil || st.Class() != status.Temporary || st.Reply() != 454 {
		t.Errorf("%v", err)
	}
	if strings.Contains(out.String(), "c2VzYW1l") || !strings.Contains(out.String(), ">>> AUTH PLAIN *\n") {
		t.Errorf("dialogue %s", out.String())
	}
}
