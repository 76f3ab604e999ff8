package interop

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// talk is one side of a dialogue with a server, byte by byte.
type talk struct {
	io.ReadWriteCloser
	in *bufio.Reader
}

func newTalk(conn io.ReadWriteCloser) *talk { return &talk{conn, bufio.NewReader(conn)} }

// dial begins a dialogue at "host:port" or the path of a socket, up to the greeting.
func dial(address string) (*talk, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	k := newTalk(conn)
	if err := k.expect("220"); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// reply reads a reply. Its lines end in LF.
func (k *talk) reply() (string, error) {
	var b strings.Builder
	for {
		line, err := k.in.ReadString('\n')
		b.WriteString(strings.TrimSuffix(line, "\r\n"))
		if err != nil {
			return b.String(), err
		}
		if len(line) < 4 || line[3] != '-' {
			return b.String(), nil
		}
		b.WriteByte('\n')
	}
}

// expect reads a reply that must begin with a text.
func (k *talk) expect(want string) error {
	got, err := k.reply()
	if err == nil && !strings.HasPrefix(got, want) {
		err = fmt.Errorf("got %q, want %s", got, want)
	}
	return err
}

// say sends bytes and expects one reply for each text.
func (k *talk) say(text string, want ...string) error {
	if _, err := io.WriteString(k, text); err != nil {
		return err
	}
	for _, w := range want {
		if err := k.expect(w); err != nil {
			line, _, _ := strings.Cut(text, "\r\n")
			return fmt.Errorf("after %.60q: %w", line, err)
		}
	}
	return nil
}

// startTLS changes to TLS.
func (k *talk) startTLS() error {
	if err := k.say("STARTTLS\r\n", "220"); err != nil {
		return err
	}
	conn := k.ReadWriteCloser.(net.Conn)
	k.ReadWriteCloser = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // who the server is, is for others to test
	k.in.Reset(k)
	return nil
}
