package smtpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long an accept loop rests after an error: twice as long each time.
const (
	minRest = 5 * time.Millisecond
	maxRest = time.Second
)

// accept takes connections at one listener until that is closed.
func (d *Daemon) accept(l net.Listener) {
	defer func() {
		d.mu.Lock()
		delete(d.loops, l)
		d.mu.Unlock()
	}()
	for rest := time.Duration(0); ; {
		conn, err := l.Accept()
		if err == nil {
			rest = 0
			d.begin(l, conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) || !d.listens(l) {
			return
		}
		rest = min(max(2*rest, minRest), maxRest)
		d.acceptFailed(l, err, rest)
		if !sleep(d.ctx, rest) {
			return
		}
	}
}

func (d *Daemon) listens(l net.Listener) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ours := d.set.port(l)
	return ours && !d.closed
}

// acceptFailed deals with an error of Accept. Without descriptors the client is told, and so need not wait for us.
func (d *Daemon) acceptFailed(l net.Listener, err error, rest time.Duration) {
	d.AcceptFails.Add(1)
	d.mu.Lock()
	server := d.set.Server
	port, _ := d.set.port(l)
	d.mu.Unlock()
	if rest == minRest { // the first of a row
		server.Log.Warning("", "smtpd: cannot accept at "+l.Addr().String()+": "+err.Error())
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		d.spare.lend(func() {
			if conn := acceptNow(l); conn != nil {
				d.turnAway(server, port, conn)
			}
		})
	}
}

// acceptNow accepts a connection that waits already.
func acceptNow(l net.Listener) net.Conn {
	timed, ok := l.(interface{ SetDeadline(time.Time) error })
	if !ok || timed.SetDeadline(time.Now().Add(minRest)) != nil {
		return nil
	}
	defer timed.SetDeadline(time.Time{})
	conn, err := l.Accept()
	if err != nil {
		return nil
	}
	return conn
}

// spare is a descriptor that is kept for the moment when there is no other.
type spare struct {
	mu sync.Mutex
	f  *os.File
}

func (s *spare) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.f, _ = os.Open(os.DevNull) // without it clients wait until there are descriptors again
}

// lend gives the descriptor up while fn runs.
func (s *spare) lend(fn func()) {
	s.close()
	fn()
	s.open()
}

func (s *spare) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f != nil {
		s.f.Close()
		s.f = nil
	}
}

// sleep waits, and tells whether it has not been disturbed.
func sleep(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// reportFault logs a fault of this program, and where it is. It is called while the program panics.
func reportFault(s *Server, fault any) {
	const deep = 6
	text := fmt.Sprintf("smtpd: a session has failed: %v", fault)
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for shown, more := 0, true; more && shown < deep; {
		var f runtime.Frame
		if f, more = frames.Next(); !strings.HasPrefix(f.Function, "runtime.") {
			text += fmt.Sprintf(" < %s:%d", path.Base(f.File), f.Line)
			shown++
		}
	}
	s.Log.Warning("", text)
}
