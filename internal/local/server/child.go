package server

import (
	"context"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"postrider/internal/local"
	"postrider/internal/status"
)

// ChildArg is the argument that makes the program a child.
const ChildArg = "--child"

// childSocket is the descriptor at which a child hears from the server.
const childSocket = 3

// Child does what the server says, as the user that the process runs as, until the server closes the socket. It returns
// an exit status.
func Child() int {
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // the user can send signals, but neither trace us nor read our memory
	syscall.Umask(0o077)
	syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	conn, err := socketOf(childSocket)
	if err != nil {
		return status.ExitUsage
	}
	ctx, cancel := context.WithCancel(context.Background())
	asked := make(chan asking)
	go func() {
		defer cancel() // nobody wants the outcome any more
		defer close(asked)
		for {
			var a asking
			var err error
			if a.file, err = receive(conn, &a.request, maxRequest); err != nil {
				return
			}
			asked <- a
		}
	}()
	for a := range asked {
		answer := a.answer(ctx)
		if send(conn, &answer, nil) != nil {
			break
		}
	}
	return status.ExitOK
}

func socketOf(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, syscall.ENOTSOCK
	}
	return conn, nil
}

// asking is a request with its message.
type asking struct {
	request
	file *os.File
}

func (a asking) answer(ctx context.Context) response {
	agent := local.Agent{CommandTimeLimit: a.limit, CommandDirectory: a.directory, Shells: a.shells}
	if a.file != nil {
		defer a.file.Close()
		a.delivery.Body = io.NewSectionReader(a.file, 0, a.size)
	}
	var s *status.Status
	var r response
	switch {
	case a.act == actForward:
		forward, err := agent.ReadForward(a.user, a.extension)
		r.forward, s = forward, status.From(err)
	case a.file == nil:
		s = status.New(op, 451, status.Code{4, 3, 0}, "the message was lost on the way", nil)
	case a.act == actMailbox:
		s = agent.Mailbox(ctx, a.spec, a.user, a.delivery)
	default:
		s = agent.Member(ctx, a.member, a.origin, a.user, a.delivery)
	}
	if s == nil {
		s = status.New(op, 250, status.Code{2, 0, 0}, "", nil)
	}
	r.reply, r.code, r.text = s.Reply(), s.Code(), s.Text()
	if err := s.Unwrap(); err != nil {
		r.cause = err.Error()
	}
	return r
}
