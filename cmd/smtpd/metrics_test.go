package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"

	"postrider/internal/smtpd"
)

// endless is a listener with a client whenever it is asked for one.
type endless struct {
	clients chan net.Conn // the clients' ends, in their order
	closed  chan struct{}
	once    sync.Once
}

func (l *endless) Accept() (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.clients <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *endless) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *endless) Addr() net.Addr { return &net.TCPAddr{} }

func TestFewAskForFiguresAtOnce(t *testing.T) {
	l := &endless{clients: make(chan net.Conn, 4*maxMetrics), closed: make(chan struct{})}
	s := &service{metrics: l, daemon: smtpd.NewDaemon(smtpd.Settings{Server: &smtpd.Server{Stats: &smtpd.Stats{}}})}
	web := s.serveMetrics()
	defer web.Close()
	var idle []net.Conn
	for range maxMetrics - 1 {
		idle = append(idle, <-l.clients)
	}
	last := <-l.clients
	for range 3 { // by the time it is answered the next one would have been let in
		fmt.Fprint(last, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(last), nil)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", r, err)
		}
	}
	if n := len(l.clients); n > 0 {
		t.Errorf("%d more than %d were let in", n, maxMetrics)
	}
	idle[0].Close()
	(<-l.clients).Close() // who waited comes in when another has gone
	for _, c := range append(idle[1:], last) {
		c.Close()
	}
}
