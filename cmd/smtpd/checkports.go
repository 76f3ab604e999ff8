package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"postrider/internal/config"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// soon is how long before its end a certificate is worth a warning.
const soon = 14 * 24 * time.Hour

// ports looks at certificates, keys, and files of passwords.
func (k *checker) ports() []finding {
	var list []finding
	for _, l := range listens(k.conf, nil) {
		port, err := k.newPort(l)
		switch {
		case err != nil:
			list = append(list, finding{fail, status.From(err).Error(), remedy(err, "correct the table, or the file")})
		case port.TLS != nil:
			list = append(list, k.certificate(l, port))
		case l.Mode == "submission":
			list = append(list, finding{warn, "listen " + l.Address + " has no certificate: nobody can log in there", "set tls.certificate and tls.key"})
		}
		if err == nil && l.Mode == "submission" && port.TLS != nil && port.Auth == nil || err == nil && l.Mode == "submissions" && port.Auth == nil {
			list = append(list, finding{warn, "listen " + l.Address + " has no auth: nobody can log in there", "set auth.file or auth.dovecot"})
		}
	}
	return list
}

// certificate looks at the certificate of a port.
func (k *checker) certificate(l config.Listen, port *smtpd.Port) finding {
	c, err := x509.ParseCertificate(port.TLS.Certificates[0].Certificate[0])
	if err != nil {
		return finding{fail, "certificate " + l.TLS.Certificate + ": " + err.Error(), "replace it"}
	}
	name := "certificate " + l.TLS.Certificate
	switch left := c.NotAfter.Sub(k.now); {
	case left <= 0:
		return finding{fail, name + " expired on " + c.NotAfter.Format(time.DateOnly), "renew it"}
	case k.now.Before(c.NotBefore):
		return finding{fail, name + " is not valid before " + c.NotBefore.Format(time.DateOnly), "see that the clock is right"}
	case left < soon:
		return finding{warn, name + " expires on " + c.NotAfter.Format(time.DateOnly), "renew it"}
	case c.VerifyHostname(k.conf.Hostname) != nil:
		return finding{warn, name + " is not for " + k.conf.Hostname, "get one for that name, or correct hostname"}
	}
	return good("%s is for %s, until %s", name, k.conf.Hostname, c.NotAfter.Format(time.DateOnly))
}

// listeners looks whether the sockets can be opened, or are the server's already. It keeps them open until it has looked
// at all, so that those that do not go together are found.
func (k *checker) listeners() []finding {
	var list []finding
	seen, held := map[string]bool{}, map[string]string{} // keys; addresses by ports
	sockets := &sockets{loopback: k.opts.loopback}
	for _, l := range listens(k.conf, nil) {
		if strings.HasPrefix(l.Address, "systemd:") {
			list = append(list, good("listen %s: a socket of systemd, if it starts the server", l.Address))
			continue
		}
		places := []place{sockets.unixPlace(l)}
		if !strings.HasPrefix(l.Address, "/") {
			places = sockets.tcpPlaces(l)
		}
		for _, p := range places {
			if seen[p.key] {
				list = append(list, finding{fail, "listen " + p.where + ": there are two of this address", "remove one of the tables"})
				continue
			}
			seen[p.key] = true
			if strings.HasPrefix(p.where, "/") {
				list = append(list, k.path(l))
				continue
			}
			open, f := k.address(p, held)
			if open != nil {
				defer open.Close()
			}
			list = append(list, f)
		}
	}
	return list
}

// address opens a socket, for the caller to close. held are those that are open already.
func (k *checker) address(p place, held map[string]string) (net.Listener, finding) {
	l, err := p.bind()
	_, port, _ := net.SplitHostPort(p.where)
	switch other, ours := held[port]; {
	case err == nil:
		held[port] = p.where
		return l, good("listen %s: it is free", p.where)
	case errors.Is(err, syscall.EADDRINUSE) && ours:
		return nil, finding{fail, "listen " + p.where + " and listen " + other + " are in each other's way", "remove one of the tables"}
	case errors.Is(err, syscall.EADDRINUSE) && k.answers("tcp", p.where, p.listen.Mode):
		return nil, good("listen %s: the server answers there", p.where)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, finding{fail, "listen " + p.where + ": another program has it", "stop that program, or choose another address"}
	case errors.Is(err, syscall.EACCES):
		return nil, finding{fail, "listen " + p.where + ": " + err.Error(), "let root start the server, or systemd open the socket"}
	case p.optional:
		return nil, good("listen %s: this machine has no such address", p.where)
	}
	return nil, finding{fail, "listen " + p.where + ": " + err.Error(), "correct the address"}
}

// metrics looks whether the address for figures can be had.
func (k *checker) metrics() []finding {
	where := k.opts.metrics
	if where == "" {
		return nil
	}
	l, err := net.Listen("tcp", where)
	switch {
	case err == nil:
		l.Close()
		return []finding{good("metrics %s: it is free", where)}
	case errors.Is(err, syscall.EADDRINUSE) && countsAt(where):
		return []finding{good("metrics %s: the server answers there", where)}
	case errors.Is(err, syscall.EADDRINUSE):
		return []finding{{fail, "metrics " + where + ": another program has it", "stop that program, or choose another address"}}
	}
	return []finding{{fail, "metrics " + where + ": " + bare(err).Error(), "correct the address"}}
}

// countsAt tells whether a server of ours shows its figures at an address.
func countsAt(address string) bool {
	web := http.Client{Timeout: 2 * time.Second}
	r, err := web.Get("http://" + address + "/metrics")
	if err != nil {
		return false
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	return err == nil && strings.Contains(string(text), "postrider_smtpd_build_info")
}

// answers tells whether a server with our name greets at an address.
func (k *checker) answers(network, address, mode string) bool {
	conn, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(k.conf.Smtpd.GreetingDelay + 5*time.Second))
	if mode == "submissions" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // whose certificate it is has been looked at in the file
	}
	line, _ := bufio.NewReaderSize(conn, 1<<10).ReadSlice('\n')
	return strings.HasPrefix(string(line), "220 "+k.conf.Hostname+" ")
}

// path looks at the place of a Unix socket, and leaves it as it is.
func (k *checker) path(l config.Listen) finding {
	st, err := os.Lstat(l.Address)
	switch {
	case err == nil && st.Mode()&os.ModeSocket == 0:
		return finding{fail, "listen " + l.Address + " is a file that is no socket", "remove it, or choose another path"}
	case err == nil && k.answers("unix", l.Address, l.Mode):
		return good("listen %s: the server answers there", l.Address)
	}
	dir := filepath.Dir(l.Address)
	for {
		_, err := os.Stat(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			break
		}
		dir = filepath.Dir(dir)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return finding{fail, fmt.Sprintf("listen %s: %s: %v", l.Address, dir, err), "let root start the server, or give it the directory"}
	}
	return good("listen %s: it can be made", l.Address)
}
