package auth

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postrider/internal/status"
)

// dovecotConn is a connection to Dovecot on which one login is checked.
type dovecotConn struct {
	conn    net.Conn
	in      *bufio.Reader
	time    time.Duration // for each step
	release func() bool
	offered []string // mechanisms
}

// The caps on what Dovecot may send. Its own is as long.
const (
	dovecotLine  = 16 << 10
	dovecotLines = 200 // in which nothing is for us
)

var errDovecot = errors.New("dovecot does not keep to its protocol")

// loginID numbers the one login of a connection.
const loginID = "1"

// dialDovecot connects and shakes hands.
func dialDovecot(ctx context.Context, path string, limit time.Duration) (*dovecotConn, error) {
	dialer := net.Dialer{Timeout: limit}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c := &dovecotConn{conn: conn, in: bufio.NewReaderSize(conn, dovecotLine), time: limit}
	c.release = context.AfterFunc(ctx, func() { conn.Close() })
	if err := c.handshake(); err != nil {
		c.close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c *dovecotConn) close() {
	c.release()
	c.conn.Close()
}

// handshake tells who we are and hears which mechanisms there are. Dovecot takes no two connections with one process ID,
// and we have several: ours are numbers that no process has.
func (c *dovecotConn) handshake() error {
	const beyondPIDs = 1 << 22
	id := beyondPIDs + rand.Uint32N(1<<31-beyondPIDs)
	if err := c.send("VERSION\t1\t2\nCPID\t" + strconv.FormatUint(uint64(id), 10) + "\n"); err != nil {
		return err
	}
	for n := range dovecotLines {
		f, err := c.line()
		if err != nil {
			return err
		}
		switch {
		case n == 0 && (len(f) < 2 || f[0] != "VERSION" || f[1] != "1"):
			return errDovecot
		case f[0] == "MECH" && len(f) >= 2:
			c.offered = append(c.offered, strings.ToUpper(f[1]))
		case f[0] == "DONE":
			return nil
		}
	}
	return errDovecot
}

// begin asks Dovecot to check a login. response is nil when the client has sent none yet.
func (c *dovecotConn) begin(mechanism string, ch Channel, response []byte) error {
	line := "AUTH\t" + loginID + "\t" + mechanism + "\tservice=smtp\tsecured"
	if a := host(ch.Remote); a != "" {
		line += "\trip=" + a
	}
	if a := host(ch.Local); a != "" {
		line += "\tlip=" + a
	}
	if response != nil {
		line += "\tresp=" + base64.StdEncoding.EncodeToString(response) // must be the last
	}
	return c.send(line + "\n")
}

// host is the IP address in s, with or without a port; "" when there is none. Nothing else goes into a line.
func host(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return ""
		}
		a = withPort.Addr()
	}
	return a.Unmap().WithZone("").String()
}

// proceed passes a response on.
func (c *dovecotConn) proceed(response []byte) error {
	return c.send("CONT\t" + loginID + "\t" + base64.StdEncoding.EncodeToString(response) + "\n")
}

func (c *dovecotConn) send(s string) error {
	c.conn.SetDeadline(time.Now().Add(c.time))
	_, err := c.conn.Write([]byte(s))
	return err
}

// line reads a line and takes it apart.
func (c *dovecotConn) line() ([]string, error) {
	b, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return strings.Split(string(b[:len(b)-1]), "\t"), nil
}

// reply waits for the reply to what was sent. Lines of other kinds are passed over.
func (c *dovecotConn) reply() (r reply, err error) {
	for range dovecotLines {
		f, err := c.line()
		if err != nil {
			return r, err
		}
		switch f[0] {
		case "OK", "CONT", "FAIL":
			return parseReply(f)
		}
	}
	return r, errDovecot
}

// reply is what Dovecot says of a login.
type reply struct {
	verdict   string // OK, CONT, FAIL
	data      []byte // for the client
	user      string // "" when none is known
	reason    string // for the log
	temporary bool
	refused   bool // although the password is right
}

// parseReply understands a line that is for us.
func parseReply(f []string) (r reply, err error) {
	if len(f) < 2 || f[1] != loginID {
		return r, errDovecot
	}
	r.verdict = f[0]
	if r.verdict == "CONT" {
		if len(f) > 2 {
			r.data, err = base64.StdEncoding.DecodeString(f[2])
		}
		if r.data == nil {
			r.data = []byte{}
		}
		return r, err
	}
	for _, parameter := range f[2:] {
		name, value, _ := strings.Cut(parameter, "=")
		switch value = unescape(value); name {
		case "user":
			if r.user = value; value != status.Clean(value, maxName) {
				return r, errDovecot
			}
		case "resp":
			if r.data, err = base64.StdEncoding.DecodeString(value); err != nil {
				return r, err
			}
		case "temp":
			r.temporary = true
		case "code":
			r.temporary = r.temporary || value == "temp_fail"
			r.reason = strings.TrimSpace(r.reason + " " + status.Clean(value, status.MaxText))
		case "reason":
			r.reason = strings.TrimSpace(r.reason + " " + status.Clean(value, status.MaxText))
		case "nologin", "proxy":
			r.refused = true
		}
	}
	if r.reason == "" {
		r.reason = "no"
	}
	return r, nil
}

// unescape takes away what keeps tabs and line ends out of parameters.
func unescape(s string) string {
	return strings.NewReplacer("\x010", "\x00", "\x011", "\x01", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n", "\x01", "").Replace(s)
}
