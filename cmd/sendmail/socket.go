package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"

	"postrider/internal/status"
)

// The caps of what a server may say.
const (
	maxReplyLine = 8 << 10
	maxReplies   = 256 << 10
)

// conn is a connection to a Unix socket. Package net would cost every start more.
type conn struct {
	fd     int
	sent   int64     // bytes written
	until  time.Time // when the last reply must have come
	buf    []byte    // what was read and is in no reply yet
	unread int64     // bytes that may still be read
}

// dial connects to a socket where root or the given user listens: anybody else would take our mail. wait is for each
// thing that the server does, and for all that it says.
func dial(path string, owner int, wait time.Duration) (c *conn, err error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			syscall.Close(fd)
		}
	}()
	tv := syscall.NsecToTimeval(int64(wait))
	for _, side := range []int{syscall.SO_SNDTIMEO, syscall.SO_RCVTIMEO} {
		if err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, side, &tv); err != nil {
			return nil, err
		}
	}
	if err = again(func() error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}) }); err != nil {
		return nil, err
	}
	peer, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err == nil && peer.Uid != 0 && int(peer.Uid) != owner {
		err = fmt.Errorf("user %d listens there, who is neither root nor the owner of the queue", peer.Uid)
	}
	return &conn{fd: fd, until: time.Now().Add(wait), unread: maxReplies}, err
}

// again repeats a system call that a signal has interrupted; a call that took too long is errTime.
func again(call func() error) error {
	for {
		switch err := call(); err {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return errTime
		default:
			return err
		}
	}
}

var (
	errTime     = errors.New("it takes too long")
	errNonsense = errors.New("it does not speak SMTP")
)

// write writes all of p.
func (c *conn) write(p []byte) error {
	for len(p) > 0 {
		var n int
		err := again(func() (err error) {
			n, err = syscall.Write(c.fd, p)
			return err
		})
		if err != nil {
			return err
		}
		p = p[n:]
		c.sent += int64(n)
	}
	return nil
}

// fill reads more.
func (c *conn) fill() error {
	if !time.Now().Before(c.until) {
		return errTime
	}
	if c.unread <= 0 {
		return errNonsense
	}
	if len(c.buf) == cap(c.buf) {
		c.buf = append(make([]byte, 0, max(4<<10, 2*len(c.buf))), c.buf...)
	}
	room := c.buf[len(c.buf):cap(c.buf)]
	var n int
	err := again(func() (err error) {
		n, err = syscall.Read(c.fd, room)
		return err
	})
	if err == nil && n <= 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	c.buf = c.buf[:len(c.buf)+n]
	c.unread -= int64(n)
	return nil
}

func (c *conn) line() (string, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(c.buf[seen:], '\n'); i >= 0 {
			line := string(c.buf[:seen+i])
			c.buf = c.buf[seen+i+1:]
			return strings.TrimSuffix(line, "\r"), nil
		}
		if seen = len(c.buf); seen > maxReplyLine {
			return "", errNonsense
		}
		if err := c.fill(); err != nil {
			return "", err
		}
	}
}

// reply is what a server says to one command.
type reply struct {
	code     int
	enhanced status.Code // of the last line
	lines    []string    // without codes
}

func (r reply) String() string {
	return status.Clean(strconv.Itoa(r.code)+" "+strings.TrimPrefix(r.enhanced.String()+" ", " ")+r.lines[len(r.lines)-1], status.MaxText)
}

func (c *conn) reply() (r reply, err error) {
	for {
		line, err := c.line()
		if err != nil {
			return r, err
		}
		if len(line) == 3 {
			line += " "
		}
		code, err := strconv.ParseUint(line[:min(len(line), 3)], 10, 16)
		if err != nil || len(line) < 4 || code < 200 || line[3] != ' ' && line[3] != '-' {
			return r, errNonsense
		}
		enhanced, text, ok := status.ParseCode(line[4:])
		if !ok {
			text = line[4:]
		}
		r.code, r.enhanced, r.lines = int(code), enhanced, append(r.lines, text)
		if line[3] == ' ' {
			return r, nil
		}
	}
}

func (c *conn) close() { syscall.Close(c.fd) }
