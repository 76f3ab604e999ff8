package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// inetd plays inetd: "inetd nowait|wait|pair [smtpd argument ...]". With nowait the connection "inetd" is standard input,
// output and error of the server, with wait a listening socket, at $INETD, and with pair a Unix socket.
func inetd(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(ts.MkAbs("bin/smtpd"), args[1:]...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	var theirs *os.File
	switch args[0] {
	case "wait":
		ts.Setenv("INETD", l.Addr().String())
		theirs, err = l.(*net.TCPListener).File()
	case "nowait":
		open(ts, false, []string{"inetd", l.Addr().String()})
		var conn net.Conn
		conn, err = l.Accept()
		ts.Check(err)
		defer conn.Close()
		theirs, err = conn.(*net.TCPConn).File()
	case "pair":
		var fds [2]int
		fds, err = syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		ts.Check(err)
		theirs = os.NewFile(uintptr(fds[0]), "theirs")
		ours := os.NewFile(uintptr(fds[1]), "ours")
		defer ours.Close()
		var conn net.Conn
		conn, err = net.FileConn(ours)
		ts.Check(err)
		staged(ts).conns["inetd"] = newTalk(conn)
	}
	ts.Check(err)
	defer theirs.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	start(ts, cmd)
}

// activate plays systemd: "activate name=address ... [-- smtpd argument ...]". An address is host:port, a path, or
// "connection:", which is one connection, the client's end of which is "systemd".
func activate(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(ts.MkAbs("bin/activate"))
	var names []string
	for i, arg := range args {
		if arg == "--" {
			cmd.Args = append(cmd.Args, args[i+1:]...)
			break
		}
		name, address, _ := strings.Cut(arg, "=")
		names = append(names, name)
		f, err := passedSocket(ts, address)
		ts.Check(err)
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	ts.Setenv("NAMES", strings.Join(names, ":"))
	start(ts, cmd)
}

func passedSocket(ts *testscript.TestScript, address string) (*os.File, error) {
	if strings.HasPrefix(address, "/") {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
		if err != nil {
			return nil, err
		}
		defer l.Close()
		l.SetUnlinkOnClose(false)
		return l.File()
	}
	if address != "connection:" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, err
		}
		defer l.Close()
		return l.(*net.TCPListener).File()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	open(ts, false, []string{"systemd", l.Addr().String()})
	conn, err := l.Accept()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*net.TCPConn).File()
}

// activated becomes smtpd as systemd starts it.
func activated() {
	names := os.Getenv("NAMES")
	os.Unsetenv("NAMES")
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	os.Setenv("LISTEN_FDS", strconv.Itoa(strings.Count(names, ":")+1))
	os.Setenv("LISTEN_FDNAMES", names)
	become("smtpd", os.Args[1:])
}

// become executes another name of this program.
func become(name string, args []string) {
	err := syscall.Exec("/proc/self/exe", append([]string{name}, args...), os.Environ())
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// canMount tells whether this process may make a system of its own.
var canMount = sync.OnceValue(func() bool {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	return os.Getuid() == 0 && cmd.Run() == nil
})

// sandbox starts a server, as root, in a system of its own; see sandboxed.
func sandbox(ts *testscript.TestScript, _ bool, args []string) {
	start(ts, exec.Command(ts.MkAbs("bin/sandbox"), args...))
}

// sandboxed makes a system in which $WORK/etc is /etc, $WORK/run is /run, and $WORK/var is /var/spool, and becomes smtpd
// there, as the user $AS. With $TMPFS, /var/spool is a file system of its own with these options.
func sandboxed() {
	runtime.LockOSThread()
	work := os.Getenv("WORK")
	err := syscall.Unshare(syscall.CLONE_NEWNS)
	if err == nil {
		err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	}
	for dir, over := range map[string]string{"etc": "/etc", "run": "/run", "var": "/var/spool"} {
		if err == nil {
			err = syscall.Mount(filepath.Join(work, dir), over, "", syscall.MS_BIND, "")
		}
	}
	if options := os.Getenv("TMPFS"); err == nil && options != "" {
		err = syscall.Mount("tmpfs", "/var/spool", "tmpfs", 0, options)
	}
	if as, _ := strconv.Atoi(os.Getenv("AS")); err == nil && as > 0 {
		err = errors.Join(syscall.Setgroups(nil), syscall.Setgid(as), syscall.Setuid(as))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Unsetenv("POSTRIDER_CONFIG")
	become("smtpd", os.Args[1:])
}
