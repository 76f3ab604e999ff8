package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"postrider/internal/config"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// stdio runs a session for the user who has called us, on standard input and output or from a batch of commands.
//
// A socket of the network may be there in the place of a pipe: "sendmail -bs" was what inetd started. Whoever is at its
// other end is no user of this machine, and gets the session of a stranger.
func (p *program) stdio() error {
	if fromNetwork(0) {
		if p.opts.mode == modeBatch {
			return usage("--batch does not take commands from the network")
		}
		return p.inetd()
	}
	conf, err := p.configure()
	var l *link
	if err == nil {
		l, err = p.connect(conf)
	}
	if err != nil {
		return p.noSession(conf, err)
	}
	if p.opts.mode == modeBatch {
		err = newBatch(p.in, l.conn, p.err).run()
	} else {
		relay(p.in, p.out, l.conn)
	}
	l.conn.Close()
	l.wait()
	return err
}

// fromNetwork tells whether a descriptor is a socket that leads to another host, or may.
func fromNetwork(fd int) bool {
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		return false
	}
	_, unix := addr.(*syscall.SockaddrUnix)
	return !unix
}

// noSession tells the caller in the language that it expects. What is wrong is said on standard error.
func (p *program) noSession(conf config.Config, err error) error {
	if p.opts.mode == modeStdio {
		st := status.From(err)
		code := "4.3.0"
		if st.Exit() == status.ExitConfig {
			code = "4.3.5"
		}
		host := conf.Hostname
		if host == "" {
			host = "localhost"
		}
		io.WriteString(p.out, "421 "+code+" "+host+" cannot take mail now\r\n")
	}
	return err
}

// link is the way to a session.
type link struct {
	conn *net.UnixConn
	wait func() // until the session has ended
}

// connect begins a session of mode local: one of our own where the spool is ours, else one of the server's, to which the
// kernel tells who we are.
func (p *program) connect(conf config.Config) (*link, error) {
	uid := os.Getuid()
	owner, err := ownerOf(conf.Spool)
	if uid != 0 && !conf.User && (err != nil || owner != uid) {
		return p.dial(conf)
	}
	var who *identity
	if uid == 0 && !conf.User {
		if who, err = spoolUser(conf, owner); err != nil {
			return nil, err
		}
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, status.Fail("smtpd", status.ExitOSErr, "cannot begin a session", err)
	}
	s, err := p.settle(conf, who, true)
	if err != nil {
		ours.Close()
		theirs.Close()
		return nil, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.server.Serve(ctx, caller{theirs, uid}, &smtpd.Port{Name: p.opts.mode, Mode: smtpd.Local})
	}()
	return &link{ours, func() {
		<-over
		stop()
		s.close()
	}}, nil
}

// spoolUser is whom root becomes to write to the spool: its owner, so that nothing in it is root's that others have to
// work on. A spool that does not exist is made for the mail user, if there is one.
func spoolUser(conf config.Config, owner int) (*identity, error) {
	if owner == 0 {
		return nil, nil
	}
	if owner > 0 {
		id, err := identify(strconv.Itoa(owner))
		return &id, err
	}
	id, err := identify(conf.Smtpd.User)
	if err != nil || id.uid == 0 {
		return nil, nil
	}
	return &id, nil
}

// dial connects to the server's socket for users of this machine.
func (p *program) dial(conf config.Config) (*link, error) {
	path := conf.Submit()
	conn, err := net.Dial("unix", path)
	if err == nil {
		if err = ourServer(conn.(*net.UnixConn), conf); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		return nil, status.Fail("smtpd", status.ExitTempFail, "cannot reach the mail server at "+path, bare(err))
	}
	return &link{conn.(*net.UnixConn), func() {}}, nil
}

// ourServer tells whether the server at a socket is root's or that of the owner of the spool: nobody else is to read what
// is submitted.
func ourServer(conn *net.UnixConn, conf config.Config) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *syscall.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		peer, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); cerr != nil {
		return cerr
	}
	if err != nil || peer.Uid == 0 {
		return err
	}
	if owner, err := ownerOf(conf.Spool); err != nil || owner != int(peer.Uid) {
		return fmt.Errorf("user %d listens there, who is neither root nor the owner of the queue", peer.Uid)
	}
	return nil
}

// caller is the connection of a user of this machine who has called us.
type caller struct {
	*net.UnixConn
	uid int
}

// RemoteAddr is the user.
func (c caller) RemoteAddr() net.Addr { return smtpd.LocalAddr{UID: c.uid} }

// socketPair makes two sockets that are connected. They have what pipes and terminals have not: deadlines that leave the
// files of our caller as they are.
func socketPair() (a, b *net.UnixConn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	var conns [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "session")
		conn, fault := net.FileConn(f)
		f.Close()
		if fault != nil {
			err = fault
			continue
		}
		conns[i] = conn.(*net.UnixConn)
	}
	return conns[0], conns[1], err
}

// relay copies what comes in to a session, and its replies out, until the session has ended. The end of the input is
// passed on, and the replies that are still to come are waited for.
func relay(in io.Reader, out io.Writer, conn *net.UnixConn) {
	go func() {
		io.Copy(conn, in)
		conn.CloseWrite()
	}()
	io.Copy(out, conn)
}
