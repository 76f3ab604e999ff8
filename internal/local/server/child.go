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
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // from here on the user can send signals, but neither trace us nor read our memory; what he could do before changes his own mail only
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
			if a.files, err = receive(conn, &a.request, maxRequest); err != nil {
				return
			}
			asked <- a
		}
	}()
	for a := range asked {
		answer := a.answer(ctx)
		if send(conn, &answer) != nil {
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

// asking is a request with its messages.
type asking struct {
	request
	files []*os.File
}

func (a asking) answer(ctx context.Context) (r response) {
	defer closeAll(a.files)
	agent := local.Agent{CommandTimeLimit: a.limit, CommandDirectory: a.directory, Shells: a.shells}
	var outcomes []*status.Status
	switch deliveries := a.deliveries(); {
	case a.act == actForward:
		forward, err := agent.ReadForward(a.user, a.extension)
		r.forward, outcomes = forward, []*status.Status{status.New(op, 250, status.Code{2, 0, 0}, "", nil)}
		if err != nil {
			outcomes[0] = status.From(err)
		}
	case len(deliveries) == 0 || len(a.files) != len(a.items):
		outcomes = []*status.Status{status.New(op, 451, status.Code{4, 3, 0}, "the message was lost on the way", nil)}
	case a.act == actMailbox:
		outcomes = agent.Mailboxes(ctx, a.spec, a.user, deliveries)
	default:
		outcomes = []*status.Status{agent.Member(ctx, a.member, a.origin, a.user, deliveries[0])}
	}
	for _, s := range outcomes {
		r.outcomes = append(r.outcomes, resultOf(s))
	}
	return r
}

// deliveries are the items with their messages.
func (a asking) deliveries() (list []local.Delivery) {
	for i := range min(len(a.items), len(a.files)) {
		d := a.items[i].delivery
		d.Body = io.NewSectionReader(a.files[i], 0, a.items[i].size)
		list = append(list, d)
	}
	return list
}
