package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"postrider/internal/config"
	"postrider/internal/local/server"
	"postrider/internal/maillog"
	"postrider/internal/status"
)

// firstPassed is the descriptor at which those that systemd passes begin (sd_listen_fds(3)).
const firstPassed = 3

// listen takes the socket that we were given, or opens one.
func (p *program) listen(c *cli.Context, conf config.Config) (net.Listener, error) {
	count, pid := p.getenv("LISTEN_FDS"), p.getenv("LISTEN_PID")
	switch {
	case c.IsSet("fd"):
		return given(c.Int("fd"))
	case c.IsSet("socket"):
		return bind(c.String("socket"), conf)
	case count != "" && pid == strconv.Itoa(os.Getpid()):
		if count != "1" {
			return nil, status.Fail("local", status.ExitConfig, "systemd must pass one socket", nil)
		}
		return given(firstPassed)
	}
	return bind(conf.Local.Socket, conf)
}

// given is a listening Unix socket that somebody else has opened.
func given(fd int) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, status.Fail("local", status.ExitUsage, fmt.Sprintf("descriptor %d is no listening Unix socket", fd), err)
	}
	if fd < firstPassed {
		return fail(nil)
	}
	if accepts, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || accepts == 0 {
		return fail(err)
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return fail(err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return fail(nil)
	}
	return u, nil
}

// bind opens a socket. One that was left behind is replaced. Only root, and the group of the mail user, may connect; who
// really does the server asks the kernel.
func bind(path string, conf config.Config) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, status.Fail("local", status.ExitUnavailable, "cannot listen at "+path, bare(err))
	}
	if !filepath.IsAbs(path) {
		return nil, usage("%s: not an absolute path", status.Clean(path, 200))
	}
	if err := safeDirectory(filepath.Dir(path)); err != nil {
		return fail(err)
	}
	if err := removeStale(path); err != nil {
		return fail(err)
	}
	old := syscall.Umask(0o117)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return fail(err)
	}
	if gid, ok := mailGroup(conf); ok {
		if err := os.Lchown(path, -1, gid); err != nil {
			l.Close()
			return fail(err)
		}
	}
	return l, nil
}

// mailGroup is the group of the mail user, to whom root gives the socket.
func mailGroup(conf config.Config) (int, bool) {
	if os.Geteuid() != 0 {
		return 0, false
	}
	u, err := user.Lookup(conf.Smtpd.User)
	if err != nil {
		return 0, false
	}
	gid, err := strconv.Atoi(u.Gid)
	return gid, err == nil
}

// safeDirectory refuses a directory in which somebody else than root and ourselves could put a socket of his own.
func safeDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	if owner != 0 && owner != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("somebody else may write directory %s", dir)
	}
	return nil
}

// removeStale removes a socket at which nobody answers.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&os.ModeSocket == 0:
		return errors.New("there is a file that is no socket")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
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

// grace is how long deliveries may go on after we were told to stop.
const grace = 20 * time.Second

// serve serves until a signal tells us to stop. A second one interrupts what goes on.
func serve(s *server.Server, l net.Listener) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	stop, drain := context.WithCancel(ctx)
	defer drain()
	go func() {
		<-signals
		s.Log.Server(maillog.ServerStopping, "")
		drain()
		late := time.NewTimer(grace)
		defer late.Stop()
		select {
		case <-signals:
		case <-late.C:
		case <-ctx.Done():
		}
		interrupt()
	}()
	s.Log.Server(maillog.ServerStarted, l.Addr().String())
	if err := s.Serve(ctx, stop, l); err != nil {
		return status.Fail("local", status.ExitOSErr, "cannot serve", err)
	}
	s.Log.Server(maillog.ServerStopped, "")
	return nil
}
