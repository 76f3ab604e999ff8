package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"postrider/internal/config"
	"postrider/internal/status"
)

// userPort is where a user's installation listens by default: it may not have port 25.
const userPort = "127.0.0.1:2525"

// opening is a socket that is open, and the [[listen]] table that describes its sessions.
type opening struct {
	config.Listen
	listener net.Listener
}

// sockets are the listening sockets of the program. Those that stay the same over a new configuration stay open.
type sockets struct {
	loopback bool
	only     bool      // those passed to us, and no others
	owner    *identity // to whom files of sockets are given; nil: they are ours
	passed   []passed  // by systemd or inetd
	open     map[string]net.Listener
}

// listens are the [[listen]] tables that hold. A system's server always has a place at which its users can submit.
func listens(conf config.Config, sockets []passed) []config.Listen {
	list := conf.Listen
	if len(list) == 0 && len(sockets) == 0 {
		address := ":25"
		if conf.User {
			address = userPort
		}
		list = append(list, config.Listen{Address: address, Mode: "smtp"})
	}
	for _, l := range list {
		if l.Mode == "local" {
			return list
		}
	}
	if conf.User || len(sockets) > 0 {
		return list
	}
	return append(list[:len(list):len(list)], config.Listen{Address: config.SystemSubmit, Mode: "local"})
}

// use opens the sockets of a configuration, as far as they are not open. On an error nothing has changed. What is no
// longer needed is for the caller to close.
func (s *sockets) use(conf config.Config) ([]opening, error) {
	var list []opening
	fresh, all := map[string]net.Listener{}, map[string]net.Listener{}
	fail := func(err error) ([]opening, error) {
		for _, l := range fresh {
			l.Close()
		}
		return nil, err
	}
	places, err := s.places(conf)
	if err != nil {
		return fail(err)
	}
	for _, p := range places {
		if _, twice := all[p.key]; twice {
			return fail(status.Fail("smtpd", status.ExitConfig, "listen "+p.listen.Address+": there are two of this address", nil))
		}
		l, open := s.open[p.key]
		if !open {
			l, err = p.bind()
			if p.optional && err != nil && !errors.Is(err, syscall.EADDRINUSE) && len(all) > 0 {
				continue
			}
			if err != nil {
				return fail(status.Fail("smtpd", status.ExitUnavailable, "cannot listen at "+p.where, err))
			}
			fresh[p.key] = l
		}
		all[p.key] = l
		list = append(list, opening{p.listen, l})
	}
	s.open = all
	return list, nil
}

// restore closes what was opened since, when it is not to be used after all.
func (s *sockets) restore(before map[string]net.Listener) {
	for key, l := range s.open {
		if before[key] != l {
			l.Close()
		}
	}
	s.open = before
}

// place is one socket to be opened.
type place struct {
	listen   config.Listen
	key      string // the same for the same socket
	where    string // for messages
	optional bool   // the machine may not have such addresses
	bind     func() (net.Listener, error)
}

// places are the sockets that a configuration asks for.
func (s *sockets) places(conf config.Config) (list []place, err error) {
	used := make([]bool, len(s.passed))
	for _, l := range listens(conf, s.passed) {
		found := false
		for i, x := range s.passed {
			if !used[i] && x.serves(l) {
				used[i], found = true, true
				list = append(list, x.place(l))
			}
		}
		switch name, named := strings.CutPrefix(l.Address, "systemd:"); {
		case found, s.only:
		case named:
			return nil, status.Fail("smtpd", status.ExitUnavailable, "listen "+l.Address, fmt.Errorf("systemd has passed no listening socket of the name %s", name))
		case strings.HasPrefix(l.Address, "/"):
			list = append(list, s.unixPlace(l))
		default:
			list = append(list, s.tcpPlaces(l)...)
		}
	}
	for i, x := range s.passed {
		if !used[i] {
			list = append(list, x.place(x.listen()))
		}
	}
	return list, nil
}

// tcpPlaces are the sockets for "host:port": one, or with --loopback one for each version of IP.
func (s *sockets) tcpPlaces(l config.Listen) []place {
	addresses := []string{l.Address}
	if host, port, err := net.SplitHostPort(l.Address); err == nil && s.loopback && !isLoopback(host) {
		addresses = []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
	}
	var list []place
	for i, a := range addresses {
		list = append(list, place{listen: l, key: "tcp " + a, where: a, optional: i > 0, bind: func() (net.Listener, error) {
			// The backlog is as long as the kernel allows, and ":25" is both versions of IP.
			l, err := net.Listen("tcp", a)
			return l, bare(err)
		}})
	}
	return list
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// unixPlace is the socket at a path.
func (s *sockets) unixPlace(l config.Listen) place {
	mode := os.FileMode(0o660)
	if l.Mode == "local" {
		mode = 0o666 // the kernel tells who comes
	}
	return place{listen: l, key: "unix " + l.Address, where: l.Address, bind: func() (net.Listener, error) { return s.bindUnix(l.Address, mode) }}
}

// bindUnix opens a socket at a path. One that was left behind there is replaced.
func (s *sockets) bindUnix(path string, mode os.FileMode) (net.Listener, error) {
	if err := s.directory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, bare(err)
	}
	if err = os.Chmod(path, mode); err == nil && s.owner != nil {
		err = os.Lchown(path, s.owner.uid, s.owner.gid)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// directory makes the directory of a socket. It is the mail user's, who removes the socket in the end.
func (s *sockets) directory(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDirs(dir); err != nil || s.owner == nil {
		return err
	}
	return os.Lchown(dir, s.owner.uid, s.owner.gid)
}

// removeStale removes a socket at which nobody answers.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode()&os.ModeSocket == 0:
		return errors.New("there is a file that is no socket")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return syscall.EADDRINUSE
	}
	return os.Remove(path)
}

// bare is the cause of an error of package net, which repeats what is said already.
func bare(err error) error {
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
