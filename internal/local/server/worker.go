package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"postrider/internal/local"
)

// identity is whom a child becomes.
type identity struct {
	uid, gid int
	groups   []int
}

func (id identity) key() string { return fmt.Sprint(id.uid, id.gid, id.groups) }

// worker is a child. One caller at a time may use it.
type worker struct {
	key   string
	cmd   *exec.Cmd
	conn  *net.UnixConn
	ended chan struct{}
	idle  time.Time // since when
}

// own is our own program, which children are too. It is the file that we were started from, even if another version
// has taken its place.
const own = "/proc/self/exe"

// environment is all that a child gets.
var environment = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "GOTRACEBACK=none"}

// start starts a child. The kernel makes it the user before anything of it is run: it does nothing as root, and has nothing
// of ours but its end of a socket.
func start(id identity, args []string) (*worker, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	defer theirs.Close()
	conn, err := socketOf(pair[0])
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: own, Args: args, Env: environment, Dir: "/", ExtraFiles: []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: id.credential()},
	}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot start a process of user %d: %w", id.uid, err)
	}
	w := &worker{key: id.key(), cmd: cmd, conn: conn, ended: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(w.ended)
	}()
	return w, nil
}

// credential is what the kernel is to change; nil when we are not root, and nobody else can be become.
func (id identity) credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	c := &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	for _, g := range id.groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// errUnsent says that the child has not been told, and so has done nothing.
var errUnsent = errors.New("nobody hears")

// call has the child do something. On an error the worker is of no use any more.
func (w *worker) call(ctx context.Context, r *request, messages []*os.File, limit time.Duration) (*response, error) {
	w.conn.SetDeadline(time.Now().Add(limit))
	stop := context.AfterFunc(ctx, func() { w.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := send(w.conn, r, messages...); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	}
	var answer response
	files, err := receive(w.conn, &answer, maxResponse)
	closeAll(files) // none are asked for
	return &answer, err
}

// grace is how long a child has to end by itself.
const grace = 5 * time.Second

// stop ends the child: it goes when nobody is at the other end of its socket, with the command that it runs, and else it
// is killed. It does not wait.
func (w *worker) stop() {
	w.conn.Close()
	go func() {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-w.ended:
		case <-t.C:
			w.cmd.Process.Kill()
		}
	}()
}

// alive tells whether the child is there, as far as is known.
func (w *worker) alive() bool {
	select {
	case <-w.ended:
		return false
	default:
		return true
	}
}

// request completes a request with what holds for all.
func (s *Server) request(act int, u local.User) *request {
	c := s.Config.Local
	return &request{act: act, limit: c.CommandTimeLimit, directory: c.CommandDirectory, shells: s.Shells, user: u}
}
