package route

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/status"
)

// How a next hop uses TLS. Certificates are verified with TLSEncrypt and TLSImplicit.
const (
	TLSNone     = "none"     // never
	TLSMay      = "may"      // STARTTLS when it is offered
	TLSEncrypt  = "encrypt"  // STARTTLS or nothing
	TLSImplicit = "implicit" // from the first byte (RFC 8314)
)

// NextHop is where a message goes next. Exactly one of Domain, Host and Socket is set; Others
// are each a NextHop of their own.
type NextHop struct {
	Key    string // equal for recipients that may share a session
	Domain string // its mail exchangers, in ASCII
	Host   string // this host, by name or address
	Port   string
	Socket string // this Unix socket
	LMTP   bool
	TLS    string
	Auth   *Auth // nil: do not log in

	Mailer string    // as Sendmail calls who goes there: "esmtp", "relay", "lmtp"
	Fixed  bool      // the configuration names it: when DNS does not know it, that is no fault of the mail
	Others []NextHop // to be tried after it
}

// Auth is how to log in to a next hop. The password is fetched when it is needed; its errors are temporary.
type Auth struct {
	User     string
	Password func() (string, error)
}

// Smarthost is the next hop that t describes. Its name is a host's: it is not looked up for MX records.
func Smarthost(conf config.Config, t config.SmarthostTarget) NextHop {
	return smarthostHop(conf.Smarthost, t)
}

// smarthostHop is the next hop that t, of s, describes.
func smarthostHop(s config.Smarthost, t config.SmarthostTarget) NextHop {
	next := hop(t)
	if t.User != "" {
		next.Auth = &Auth{User: t.User, Password: func() (string, error) { return password(s) }}
		next.Key += ":" + t.User
	}
	return next
}

// hop is the next hop that t describes, without a login.
func hop(t config.SmarthostTarget) NextHop {
	next := NextHop{Mailer: "relay", Host: t.Host, Port: t.Port, Socket: t.Socket, TLS: TLSMay}
	switch t.Scheme {
	case "submission":
		next.TLS = TLSEncrypt
	case "submissions":
		next.TLS = TLSImplicit
	case "lmtp":
		next.LMTP, next.Mailer = true, "lmtp"
	case "lmtp+unix":
		next.LMTP, next.Mailer, next.TLS = true, "lmtp", TLSNone
	}
	next.Key = t.Scheme + ":" + next.where()
	return next
}

// where is the place of a next hop that is one host or socket.
func (n NextHop) where() string {
	if n.Socket != "" {
		return "unix:" + n.Socket
	}
	return net.JoinHostPort(strings.ToLower(n.Host), n.Port)
}

// howTLS says in words what a next hop's TLS is.
var howTLS = map[string]string{
	TLSNone:     "",
	TLSMay:      " with TLS when it is offered",
	TLSEncrypt:  " with STARTTLS required and the certificate verified",
	TLSImplicit: " with TLS from the start and the certificate verified",
}

// toSmarthost decides for the smarthost.
func (r *Router) toSmarthost(t config.SmarthostTarget, d *Decision) {
	next := Smarthost(r.conf, t)
	d.step("smarthost.url is set: mail that is not local goes to %s", next.described())
	d.Kind, d.Next, d.Default = Relay, next, true
}

// described is in words where a smarthost is and how mail goes there.
func (n NextHop) described() string {
	how := howTLS[n.TLS]
	if n.LMTP {
		how = " by LMTP" + how
	}
	if n.Auth != nil {
		how += ", as user " + n.Auth.User
	}
	return n.where() + how
}

// toExchangers decides for the hosts that take mail for a's domain.
func (r *Router) toExchangers(a address.Address, d *Decision) {
	next := NextHop{Mailer: "esmtp", Port: "25", TLS: TLSMay}
	if ip, ok := a.Literal(); ok {
		next.Host = ip.Unmap().String()
		next.Key = "host:" + net.JoinHostPort(next.Host, next.Port)
		d.step("smarthost.url is not set: mail goes straight to the address %s", ip)
		d.Kind, d.Next, d.Default = Relay, next, true
		return
	}
	name, err := address.ASCIIDomain(a.Domain())
	if err != nil {
		d.refuse(status.New("route", 550, status.Code{5, 1, 2}, "the domain cannot be looked up: "+a.Domain(), err))
		return
	}
	next.Domain, next.Key = name, "mx:"+name
	d.step("smarthost.url is not set: mail goes to the mail exchangers (MX) of %s", name)
	d.Kind, d.Next, d.Default = Relay, next, true
}

// Caps on what a password source may give.
const (
	maxPassword     = 4 << 10
	passwordTimeout = 30 * time.Second
)

// password is the smarthost's, the first line of its source. Mail waits while there is none.
func password(s config.Smarthost) (string, error) {
	text, err := readPassword(s)
	if err == nil {
		if line, _, _ := bytes.Cut(text, []byte("\n")); len(bytes.TrimSuffix(line, []byte("\r"))) > 0 {
			return string(bytes.TrimSuffix(line, []byte("\r"))), nil
		}
		err = errors.New("the password is empty")
	}
	return "", status.New("route.password", 451, status.Code{4, 3, 5}, "the smarthost's password is not available", err)
}

func readPassword(s config.Smarthost) ([]byte, error) {
	switch {
	case s.PasswordFile != "":
		f, err := os.Open(s.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("smarthost.password_file: %w", err)
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxPassword))
	case s.PasswordCommand != "":
		return runPasswordCommand(s.PasswordCommand)
	}
	return nil, errors.New("smarthost.url names a user, but neither password_file nor password_command is set")
}

// runPasswordCommand runs the administrator's command by the shell, with nothing on its standard input.
func runPasswordCommand(command string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), passwordTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.WaitDelay = time.Second
	var out, diag capped
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("smarthost.password_command: %w: %s", err, status.Clean(strings.TrimSpace(diag.buf.String()), 200))
	}
	return out.buf.Bytes(), nil
}

// capped keeps the first maxPassword bytes that are written. (The buffer is no embedded one: its ReadFrom
// would go round the cap.)
type capped struct{ buf bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	c.buf.Write(p[:min(len(p), maxPassword-c.buf.Len())])
	return len(p), nil
}
