package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"postrider/internal/config"
	"postrider/internal/status"
)

// firstPassed is the descriptor at which those that systemd passes begin (sd_listen_fds(3)).
const firstPassed = 3

// maxPassed caps how many they can be.
const maxPassed = 1000

// passed is a socket that systemd has passed to us.
type passed struct {
	name      string // from LISTEN_FDNAMES
	file      *os.File
	listening bool
	addr      net.Addr // ours
}

// takePassed takes the sockets that systemd has passed to this process, and what tells of them out of the environment,
// so that no child believes that they are its own.
func takePassed() ([]passed, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, key := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(key)
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxPassed {
		return nil, status.Fail("smtpd", status.ExitOSErr, "LISTEN_FDS="+status.Clean(count, 40)+" makes no sense", nil)
	}
	words := strings.Split(names, ":")
	var list []passed
	for i := range n {
		name := ""
		if i < len(words) {
			name = words[i]
		}
		x, err := takeSocket(firstPassed+i, name)
		if err != nil {
			return nil, status.Fail("smtpd", status.ExitOSErr, fmt.Sprintf("cannot use descriptor %d that systemd has passed", firstPassed+i), err)
		}
		list = append(list, x)
	}
	return list, nil
}

// takeSocket looks at a socket that somebody else has opened.
func takeSocket(fd int, name string) (passed, error) {
	syscall.CloseOnExec(fd)
	x := passed{name: name}
	accepts, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil {
		return x, err
	}
	kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err == nil && kind != syscall.SOCK_STREAM {
		err = fmt.Errorf("no stream socket")
	}
	if err != nil {
		return x, err
	}
	x.listening = accepts != 0
	x.file = os.NewFile(uintptr(fd), "socket "+strconv.Itoa(fd))
	if x.listening {
		l, err := net.FileListener(x.file)
		if err != nil {
			return x, err
		}
		x.addr = l.Addr()
		return x, l.Close()
	}
	c, err := net.FileConn(x.file)
	if err != nil {
		return x, err
	}
	x.addr = c.LocalAddr()
	return x, c.Close()
}

// serves tells whether a [[listen]] table is about the socket: it has its name, its port or its path.
func (x passed) serves(l config.Listen) bool {
	if name, ok := strings.CutPrefix(l.Address, "systemd:"); ok {
		return name == x.name
	}
	switch a := x.addr.(type) {
	case *net.UnixAddr:
		return l.Address == a.Name && a.Name != ""
	case *net.TCPAddr:
		host, port, err := net.SplitHostPort(l.Address)
		if err != nil || port != strconv.Itoa(a.Port) {
			return false
		}
		ip := net.ParseIP(host)
		return host == "" || a.IP.IsUnspecified() || ip != nil && ip.Equal(a.IP)
	}
	return false
}

// listen is the table for a socket that no table is about: its port tells what it is for.
func (x passed) listen() config.Listen {
	l := config.Listen{Address: x.addr.String(), Mode: "smtp"}
	switch a := x.addr.(type) {
	case *net.UnixAddr:
		l.Mode = "local"
	case *net.TCPAddr:
		switch a.Port {
		case 587:
			l.Mode = "submission"
		case 465:
			l.Mode = "submissions"
		}
	}
	return l
}

// place makes a listener of a copy of the socket, so that it can be had again when the configuration has left it out and
// taken it in again.
func (x passed) place(l config.Listen) place {
	return place{listen: l, key: "passed " + x.file.Name(), where: x.addr.String(), bind: func() (net.Listener, error) {
		return net.FileListener(x.file)
	}}
}

// listenFor is the [[listen]] table that a connection belongs to which somebody else has accepted.
func (x passed) listenFor(conf config.Config) config.Listen {
	for _, l := range conf.Listen {
		if x.serves(l) {
			return l
		}
	}
	return x.listen()
}
