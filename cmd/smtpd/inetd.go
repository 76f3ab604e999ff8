package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"postrider/internal/config"
	"postrider/internal/status"
)

// idleTime is how long a server that inetd has started with a listening socket waits for another client.
const idleTime = 5 * time.Minute

// inetd serves at the socket that is standard input: one session when it is a connection ("nowait"), all that come when
// it is listening ("wait").
func (p *program) inetd() error {
	x, err := takeStdin()
	if err != nil {
		return status.Fail("smtpd", status.ExitUsage, "--inetd: standard input is no socket", err)
	}
	conf, err := p.configure()
	if !x.listening {
		if err != nil {
			return p.sorry(x, conf, err)
		}
		return p.single(conf, x)
	}
	if err != nil {
		return err
	}
	return p.wait(conf, x)
}

// takeStdin moves the socket away from standard input, and whatever is the same socket gives to /dev/null: no word of
// ours but the session's may get to the client.
func takeStdin() (passed, error) {
	fd, err := syscall.Dup(0)
	if err != nil {
		return passed{}, err
	}
	x, err := takeSocket(fd, "")
	if err != nil {
		syscall.Close(fd)
		return passed{}, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return passed{}, err
	}
	defer null.Close()
	for std := range 3 {
		if sameFile(std, fd) {
			if err := syscall.Dup3(int(null.Fd()), std, 0); err != nil {
				return passed{}, err
			}
		}
	}
	return x, nil
}

func sameFile(a, b int) bool {
	var x, y syscall.Stat_t
	return syscall.Fstat(a, &x) == nil && syscall.Fstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

// sorry tells a client that there is no session for it.
func (p *program) sorry(x passed, conf config.Config, err error) error {
	host := conf.Hostname
	if host == "" {
		host = "this server"
	}
	if conn, err := net.FileConn(x.file); err == nil {
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		conn.Write([]byte("421 4.3.5 " + host + " is not configured correctly\r\n"))
		conn.Close()
	}
	p.log.Warning("", "smtpd: "+status.From(err).Error())
	return err
}

// wait serves at a listening socket until nobody has come for a while.
func (p *program) wait(conf config.Config, x passed) error {
	s, err := p.prepare(conf, &sockets{passed: []passed{x}, only: true})
	if err != nil {
		return err
	}
	s.idle = idleTime
	return s.serve(context.Background())
}

// single serves one connection, as the mail user.
func (p *program) single(conf config.Config, x passed) error {
	port, err := p.newPort(x.listenFor(conf))
	var who *identity
	if err == nil {
		who, err = worker(conf)
	}
	var s *site
	if err == nil {
		s, err = p.settle(conf, who, false)
	}
	if err != nil {
		return p.sorry(x, conf, err)
	}
	defer s.close()
	conn, err := net.FileConn(x.file)
	if err != nil {
		return status.Fail("smtpd", status.ExitOSErr, "cannot use the connection", err)
	}
	x.file.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	s.server.Serve(ctx, conn, port)
	return nil
}
