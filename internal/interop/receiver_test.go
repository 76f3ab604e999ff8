package interop

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// receiver is the next hop: a server of an independent library that keeps what it gets.
type receiver struct {
	address string
	got     chan receipt

	// refuse may refuse a recipient; after tells that a message was taken and is about to be acknowledged.
	refuse func(to string) error
	after  func(receipt)
}

// receipt is one message as it came over the wire.
type receipt struct {
	Helo  string
	From  string
	Mail  smtp.MailOptions
	To    []string
	Rcpts []smtp.RcptOptions
	Text  string
}

// newReceiver starts one. Without functions of its own it takes everything and keeps it for wait.
func newReceiver(t *testing.T, refuse func(string) error, after func(receipt)) *receiver {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{address: l.Addr().String(), got: make(chan receipt, 100)}
	if r.refuse = refuse; refuse == nil {
		r.refuse = func(string) error { return nil }
	}
	if r.after = after; after == nil {
		r.after = func(m receipt) { r.got <- m }
	}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{receiver: r, conn: c}, nil
	}))
	s.Domain = "next.example"
	s.EnableDSN, s.EnableSMTPUTF8 = true, true
	s.MaxLineLength = 1000 // RFC 5321 section 4.5.3.1.6, to the byte
	s.ErrorLog = silent{}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return r
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// wait is the next message that comes.
func (r *receiver) wait(t *testing.T) receipt {
	t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came to the next hop")
	}
	return receipt{}
}

type session struct {
	*receiver
	conn *smtp.Conn
	receipt
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.receipt = receipt{Helo: s.conn.Hostname(), From: from, Mail: *o}
	return nil
}

func (s *session) Rcpt(to string, o *smtp.RcptOptions) error {
	if err := s.refuse(to); err != nil {
		return err
	}
	s.To, s.Rcpts = append(s.To, to), append(s.Rcpts, *o)
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.Text = string(text)
	s.after(s.receipt)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }
