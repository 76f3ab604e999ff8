// Package server is the delivery agent: an LMTP server (RFC 2033) that gives each message to a process of the user who is
// to get it.
//
// The server runs as root and opens nothing of a user's. For each delivery, and to read a .forward, it has a child: this
// program once more, which the kernel makes the user (setgroups, setgid, setuid) before it runs. A child has no environment,
// no descriptor but its end of a socket, and the message as a descriptor that it can only read. It is kept for a few
// seconds, for the next delivery to the same user. When the server does not run as root it delivers to its own user
// only, by the same code.
//
// Rules:
//
//   - Whom a client may make us deliver to, and what, is looked up here: a command or a file is run or written only when an
//     alias in our own reading of the aliases, or the user's own .forward, names it. The client is believed about messages
//     and recipients, and nothing else.
//   - Only root and the owner of the spool may connect, as the kernel says (SO_PEERCRED).
//   - A user gets one delivery at a time, over all sessions; local.concurrency bounds how many users do.
//   - What a child says is capped and checked: its user may have got hold of it.
//   - A child that dies, or does not answer in time, is a temporary failure.
//
// The engine is not go-smtp's: that refuses parameters that it does not know, such as XID and XMEMBER, and has no way to
// answer RCPT with 251 and several lines without accepting the recipient.
package server

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/maillog"
)

// op names what is done here, in a Status.
const op = "local"

const (
	maxSessions   = 200
	maxRecipients = 1000
	commandTime   = 5 * time.Minute  // for the next command, or piece of a message
	turnTime      = 4 * time.Minute  // for other deliveries to the same user
	forwardTime   = 30 * time.Second // to read a .forward
	mailboxTime   = 5 * time.Minute  // to write a mailbox
	beyondCommand = 30 * time.Second // what a child gets to kill a command that was too long
)

// Server is a delivery agent. Config and Accounts must be set.
type Server struct {
	Config   config.Config
	Accounts Accounts
	Log      *maillog.Logger
	Shells   string   // file of the shells that users may have; "": /etc/shells
	Args     []string // of a child; nil: our own name and ChildArg
	TempDir  string   // for large messages; "": /var/tmp

	aliases *aliases.Database
	pool    *pool
	lanes   lanes
	slots   chan struct{}

	ctx      context.Context // of deliveries
	sessions sync.WaitGroup
	mu       sync.Mutex
	open     map[*session]bool
	draining bool
}

func (s *Server) init(ctx context.Context) {
	if s.Args == nil {
		s.Args = []string{"local", ChildArg}
	}
	if s.TempDir == "" {
		s.TempDir = "/var/tmp"
	}
	s.ctx, s.open = ctx, map[*session]bool{}
	s.aliases = aliases.Open(s.Config.Aliases, aliases.Options{Local: s.isLocal, User: s.isUser, Root: s.Config.Local.Root})
	s.slots = make(chan struct{}, s.Config.Local.Concurrency)
	s.pool = newPool(s.Args, idlePerSlot*s.Config.Local.Concurrency)
}

// Serve serves the connections of l until stop is done, and closes it. Deliveries that are under way then go on until they
// end or ctx is done.
func (s *Server) Serve(ctx, stop context.Context, l net.Listener) error {
	s.init(ctx)
	defer s.pool.close()
	defer context.AfterFunc(stop, func() { s.drain(); l.Close() })()
	defer s.sessions.Wait()
	for {
		conn, err := l.Accept()
		switch {
		case stop.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // out of descriptors, or the client is gone
			s.Log.Warning("", "cannot accept a connection: "+err.Error())
			pause(stop, 100*time.Millisecond)
		default:
			s.admit(conn)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// admit begins a session, if the client may have one.
func (s *Server) admit(conn net.Conn) {
	uid, err := peer(conn)
	if err == nil && !s.trusts(uid) {
		err = errors.New("a client of user " + itoa(uid) + " is refused")
	}
	x := newSession(s, conn)
	s.mu.Lock()
	full := len(s.open) >= maxSessions || s.draining
	if err == nil && !full {
		s.open[x] = true
		s.sessions.Add(1)
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		s.Log.Warning("", err.Error())
		x.refuse("550 5.7.1 this is for the mail system only")
	case full:
		x.refuse("421 4.3.2 too many sessions")
	default:
		go func() {
			defer s.sessions.Done()
			x.serve()
			s.mu.Lock()
			delete(s.open, x)
			s.mu.Unlock()
		}()
	}
}

// drain ends the sessions that wait for a command, and the others when they do.
func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for x := range s.open {
		x.drain()
	}
}

// peer is the user at the other end.
func peer(conn net.Conn) (int, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return -1, errors.New("a client that comes by no Unix socket is refused")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, failed); err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}

// trusts tells whether a user is root, ourselves or the owner of the spool.
func (s *Server) trusts(uid int) bool {
	if uid == 0 || uid == os.Geteuid() {
		return true
	}
	var st syscall.Stat_t
	err := syscall.Lstat(s.Config.Spool, &st)
	return err == nil && int(st.Uid) == uid
}

// isLocal tells whether an address is one of this machine, for the aliases.
func (s *Server) isLocal(a address.Address) bool {
	if ip, literal := a.Literal(); literal {
		return ip.IsLoopback() || ownAddress(ip.String())
	}
	return s.Config.IsLocalDomain(a.Domain())
}

// ownAddress tells whether a network interface of this machine has the address.
func ownAddress(ip string) bool {
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && n.IP.String() == ip {
			return true
		}
	}
	return false
}

// isUser tells whether there is a user of a name, for the aliases.
func (s *Server) isUser(name string) (bool, error) {
	if aliases.StandsForRoot(name) {
		return true, nil
	}
	_, ok, err := s.Accounts.ByName(name)
	return ok, err
}
