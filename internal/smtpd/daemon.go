package smtpd

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Listener is a socket at which connections arrive, and the port that they come to.
type Listener struct {
	net.Listener
	Port *Port
}

// Settings are what a Daemon works by.
type Settings struct {
	Server    *Server
	Sessions  int // at once; users of this machine may have three quarters of them
	PerUser   int // at once of one user of this machine; root may have more
	Listeners []Listener
}

// Daemon accepts connections and runs a session on each. It begins with NewDaemon, and ends with Shutdown.
//
// Its settings may be replaced at any time: sessions to come get the new ones, and those under way keep theirs. Nothing
// that goes wrong with a connection or for want of descriptors ends it.
type Daemon struct {
	TurnedAway  atomic.Int64 // connections for which there was no session left
	AcceptFails atomic.Int64 // connections that could not be accepted

	now   func() time.Time
	ctx   context.Context // done when sessions are to end
	stop  context.CancelFunc
	spare spare

	mu     sync.Mutex
	set    Settings
	loops  map[net.Listener]struct{} // which run
	conns  map[net.Conn]int          // of sessions, with the user of this machine; -1: none
	users  map[int]int               // sessions of each of them
	here   int                       // and of all
	last   time.Time                 // the last coming or going of one
	warned time.Time                 // of too many
	closed bool

	accepting, serving sync.WaitGroup
}

// NewDaemon makes a Daemon and lets it accept.
func NewDaemon(set Settings) *Daemon {
	d := &Daemon{now: time.Now, loops: map[net.Listener]struct{}{}, conns: map[net.Conn]int{}, users: map[int]int{}, last: time.Now()}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.spare.open()
	d.Use(set)
	return d
}

// Use replaces the settings. Listeners that are not among the new ones are closed, those that are new accept from now
// on, and the others go on with the port that is given now.
func (d *Daemon) Use(set Settings) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.set.Listeners {
		if _, stays := set.port(l.Listener); !stays {
			l.Close()
		}
	}
	d.set = set
	for _, l := range set.Listeners {
		if _, runs := d.loops[l.Listener]; !runs && !d.closed {
			d.loops[l.Listener] = struct{}{}
			d.accepting.Go(func() { d.accept(l.Listener) })
		}
	}
}

// port is that of a listener; false when it is none of ours.
func (s Settings) port(l net.Listener) (*Port, bool) {
	i := slices.IndexFunc(s.Listeners, func(x Listener) bool { return x.Listener == l })
	if i < 0 {
		return nil, false
	}
	return s.Listeners[i].Port, true
}

// Alive tells whether connections are accepted at all places where they should be.
func (d *Daemon) Alive() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.loops) >= len(d.set.Listeners)
}

// Listeners are those at which connections are accepted.
func (d *Daemon) Listeners() []Listener {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.set.Listeners
}

// Sessions is how many sessions go on now.
func (d *Daemon) Sessions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns)
}

// WaitIdle returns when there has been no session for so long, or when ctx is done.
func (d *Daemon) WaitIdle(ctx context.Context, quiet time.Duration) {
	for wait := quiet; wait > 0 && sleep(ctx, wait); {
		d.mu.Lock()
		wait = quiet
		if len(d.conns) == 0 {
			wait -= d.now().Sub(d.last)
		}
		d.mu.Unlock()
	}
}

// Serve runs one session on a connection that was accepted elsewhere, and returns when it is over.
func (d *Daemon) Serve(conn net.Conn, p *Port) {
	d.mu.Lock()
	server, closed := d.set.Server, d.closed
	if !closed {
		d.admit(conn, userOf(conn))
	}
	d.mu.Unlock()
	if closed {
		conn.Close()
		return
	}
	d.session(server, conn, p)
}

// begin starts the session of a connection that has come to l.
func (d *Daemon) begin(l net.Listener, conn net.Conn) {
	uid := userOf(conn)
	d.mu.Lock()
	server, full := d.set.Server, len(d.conns) >= d.set.Sessions || d.tooMany(uid)
	port, ours := d.set.port(l)
	if full || !ours || d.closed {
		tell := full && d.overload()
		sessions := len(d.conns)
		d.mu.Unlock()
		if tell {
			server.Log.Warning("", "smtpd: all "+itoa(sessions)+" sessions are in use; others are told to come again")
		}
		d.turnAway(server, port, conn)
		return
	}
	d.admit(conn, uid)
	d.mu.Unlock()
	go d.session(server, conn, port)
}

// userOf is the user of this machine who has connected, -1 when it was a host or nobody knows.
func userOf(conn net.Conn) int {
	if _, unix := conn.RemoteAddr().(*net.UnixAddr); unix {
		return peerUID(conn)
	}
	return -1
}

// tooMany tells whether a user of this machine has as many sessions as is good for the others. d.mu is held.
func (d *Daemon) tooMany(uid int) bool {
	if uid <= 0 {
		return false
	}
	return d.set.PerUser > 0 && d.users[uid] >= d.set.PerUser || d.here >= max(1, d.set.Sessions-d.set.Sessions/4)
}

// admit counts a session. d.mu is held.
func (d *Daemon) admit(conn net.Conn, uid int) {
	d.conns[conn] = uid
	if uid > 0 {
		d.users[uid]++
		d.here++
	}
	d.serving.Add(1)
}

// leave forgets a session. d.mu is held.
func (d *Daemon) leave(conn net.Conn) {
	uid := d.conns[conn]
	delete(d.conns, conn)
	if uid <= 0 {
		return
	}
	d.here--
	if d.users[uid]--; d.users[uid] == 0 {
		delete(d.users, uid)
	}
}

// overloadEvery is how often the log is told that there are too many sessions.
const overloadEvery = time.Minute

// overload tells whether the log is to be told of too many sessions. d.mu is held.
func (d *Daemon) overload() bool {
	now := d.now()
	if now.Sub(d.warned) < overloadEvery {
		return false
	}
	d.warned = now
	return true
}

// session runs a session. A fault of ours in it ends it, and not the others.
func (d *Daemon) session(server *Server, conn net.Conn, p *Port) {
	defer d.serving.Done()
	defer func() {
		d.mu.Lock()
		d.leave(conn)
		d.last = d.now()
		d.mu.Unlock()
	}()
	defer func() {
		if fault := recover(); fault != nil {
			conn.Close()
			reportFault(server, fault)
		}
	}()
	server.Serve(d.ctx, conn, p)
}

// writeLimit is how long a client that gets no session may take for being told.
const writeLimit = time.Second

// turnAway tells a client to come again. It costs no session and next to no time: a reply fits into the buffer of a new
// connection.
func (d *Daemon) turnAway(s *Server, p *Port, conn net.Conn) {
	d.TurnedAway.Add(1)
	if p != nil && !p.Implicit {
		conn.SetWriteDeadline(time.Now().Add(writeLimit))
		conn.Write([]byte("421 4.3.2 " + s.Hostname + " is too busy, come again later\r\n"))
	}
	conn.Close()
}

// Shutdown stops to accept, and ends the sessions: those that wait for a command at once, those in a transaction when
// that is over, or after grace, when their connections are cut. It returns how many were cut, when nothing of the daemon
// runs any more.
func (d *Daemon) Shutdown(grace time.Duration) (cut int) {
	d.mu.Lock()
	d.closed = true
	for _, l := range d.set.Listeners {
		l.Close()
	}
	d.mu.Unlock()
	d.stop()
	d.accepting.Wait()
	over := make(chan struct{})
	go func() {
		d.serving.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(grace):
		cut = d.cut()
		<-over
	}
	d.spare.close()
	return cut
}

// cut closes the connections that are left.
func (d *Daemon) cut() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		conn.Close()
	}
	return len(d.conns)
}
