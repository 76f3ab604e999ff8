package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

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
	made     []string  // directories, for those to come away again when the start fails
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
			undo(l)
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
		if u, ours := l.(*unixListener); !open || ours && !u.fits(p.listen) {
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
			undo(l)
		}
	}
	s.open = before
}

// undo closes a socket as if it had never been opened.
func undo(l net.Listener) {
	if u, ours := l.(*unixListener); ours {
		u.undo()
	} else {
		l.Close()
	}
}

// unmake removes the directories that were made for sockets, as far as they are empty.
func (s *sockets) unmake() {
	for _, dir := range slices.Backward(s.made) {
		syscall.Rmdir(dir)
	}
	s.made = nil
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
			// The backlog is as long as the kernel allows, and ":25" is both versions of IP. Sessions have time limits of
			// their own, so that the kernel need not look whether clients are alive.
			l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", a)
			return l, bare(err)
		}})
	}
	return list
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
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
