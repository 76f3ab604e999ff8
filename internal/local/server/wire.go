package server

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"postrider/internal/local"
	"postrider/internal/status"
)

// What the server and a child may say at once, in bytes. An answer can hold a whole .forward.
const (
	maxRequest  = 1 << 20
	maxResponse = 2 << 20
)

// maxBatch is how many messages one request may have.
const maxBatch = 32

// The acts of a child.
const (
	actForward = iota + 1 // read the .forward
	actMailbox
	actMember
)

// request is what a child is to do. The messages come along as descriptors.
type request struct {
	act       int
	limit     time.Duration // of commands
	directory string        // of commands
	shells    string
	user      local.User
	extension string       // actForward
	spec      string       // actMailbox
	member    string       // actMember
	origin    local.Origin // actMember
	items     []item       // what is to be delivered; several for actMailbox only
}

// item is one delivery.
type item struct {
	delivery local.Delivery
	size     int64 // of the message
}

// response is what came of it. It comes from a process that its user may have got hold of.
type response struct {
	forward  local.Forward
	outcomes []result // of each item, or of reading the .forward
}

type result struct {
	reply int
	code  status.Code
	text  string
	cause string // for the log
}

// fields writes and reads what is to be said, in one order for both. Text is any bytes.
type fields struct {
	b    []byte
	read bool
	err  error
}

func (f *fields) number(n *int64) {
	if !f.read {
		f.b = binary.AppendVarint(f.b, *n)
		return
	}
	v, used := binary.Varint(f.b)
	if used <= 0 {
		f.err = errMalformed
		return
	}
	*n, f.b = v, f.b[used:]
}

func (f *fields) int(n *int) {
	v := int64(*n)
	f.number(&v)
	if f.read {
		*n = int(v)
	}
}

func (f *fields) text(s *string) {
	n := len(*s)
	f.int(&n)
	switch {
	case !f.read:
		f.b = append(f.b, *s...)
	case f.err != nil || n < 0 || n > len(f.b):
		f.err = errMalformed
	default:
		*s, f.b = string(f.b[:n]), f.b[n:]
	}
}

// each is a list. One that is read is no longer than the bytes that are there.
func each[T any](f *fields, list *[]T, one func(*T, *fields)) {
	n := len(*list)
	f.int(&n)
	if f.read {
		if f.err != nil || n < 0 || n > len(f.b) {
			f.err = errMalformed
			return
		}
		*list = nil
		for range n {
			if f.err != nil {
				return
			}
			var t T
			one(&t, f)
			*list = append(*list, t)
		}
		return
	}
	for i := range *list {
		one(&(*list)[i], f)
	}
}

func (f *fields) time(t *time.Time) {
	n := t.UnixMicro()
	f.number(&n)
	if f.read {
		*t = time.UnixMicro(n)
	}
}

var errMalformed = errors.New("malformed")

func (r *request) fields(f *fields) {
	f.int(&r.act)
	f.number((*int64)(&r.limit))
	f.text(&r.directory)
	f.text(&r.shells)
	f.text(&r.user.Name)
	f.text(&r.user.Home)
	f.text(&r.user.Shell)
	f.int(&r.user.UID)
	f.text(&r.extension)
	f.text(&r.spec)
	f.text(&r.member)
	f.int((*int)(&r.origin))
	each(f, &r.items, (*item).fields)
}

func (i *item) fields(f *fields) {
	d := &i.delivery
	f.text(&d.ID)
	f.int(&d.N)
	f.text(&d.Sender)
	f.text(&d.Rcpt)
	f.text(&d.Original)
	f.time(&d.Arrival)
	f.number(&i.size)
}

func (r *response) fields(f *fields) {
	f.text(&r.forward.Path)
	each(f, &r.forward.Members, func(s *string, f *fields) { f.text(s) })
	each(f, &r.forward.Notes, func(s *string, f *fields) { f.text(s) })
	each(f, &r.outcomes, (*result).fields)
}

func (r *result) fields(f *fields) {
	f.int(&r.reply)
	for i := range r.code {
		f.int(&r.code[i])
	}
	f.text(&r.text)
	f.text(&r.cause)
}

// resultOf is an outcome to be sent.
func resultOf(s *status.Status) result {
	r := result{reply: s.Reply(), code: s.Code(), text: s.Text()}
	if err := s.Unwrap(); err != nil {
		r.cause = err.Error()
	}
	return r
}

// status is the outcome of item i, whatever was answered.
func (r *response) status(i int) *status.Status {
	if i >= len(r.outcomes) {
		return (&result{}).status()
	}
	return r.outcomes[i].status()
}

func (r *result) status() *status.Status {
	if c := status.Class(r.reply / 100); c != status.Class(r.code[0]) || c != status.Success && c != status.Temporary && c != status.Permanent ||
		r.reply > 599 || min(r.code[1], r.code[2]) < 0 || max(r.code[1], r.code[2]) > 999 {
		return status.New(op, 451, status.Code{4, 3, 0}, "the delivery process has answered nonsense", nil)
	}
	var cause error
	if r.cause != "" {
		cause = errors.New(status.Clean(r.cause, status.MaxText))
	}
	return status.New(op, r.reply, r.code, status.Clean(r.text, status.MaxText), cause)
}

// speaker is a request or a response.
type speaker interface{ fields(*fields) }

// frame is s with its length before it.
func frame(s speaker) []byte {
	f := fields{b: make([]byte, 4, 512)}
	s.fields(&f)
	binary.BigEndian.PutUint32(f.b, uint32(len(f.b)-4))
	return f.b
}

// send sends s, and descriptors with it.
func send(conn *net.UnixConn, s speaker, files ...*os.File) error {
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	b := frame(s)
	n, _, err := conn.WriteMsgUnix(b, rights, nil)
	if err == nil && n < len(b) {
		_, err = conn.Write(b[n:])
	}
	return err
}

// receive fills s, and returns the descriptors that came along.
func receive(conn *net.UnixConn, s speaker, most int) ([]*os.File, error) {
	head, rights := make([]byte, 4), make([]byte, unix.CmsgSpace(4*maxBatch))
	n, k, _, _, err := conn.ReadMsgUnix(head, rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, err
	}
	files, err := passed(rights[:k])
	if err == nil && n < len(head) {
		_, err = io.ReadFull(conn, head[n:])
	}
	var body []byte
	if size := binary.BigEndian.Uint32(head); err == nil && size > uint32(most) {
		err = errMalformed
	} else if err == nil {
		body = make([]byte, size)
		_, err = io.ReadFull(conn, body)
	}
	if err == nil {
		f := fields{b: body, read: true}
		if s.fields(&f); f.err != nil || len(f.b) > 0 {
			err = errMalformed
		}
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// passed are the descriptors in a control message.
func passed(rights []byte) (files []*os.File, err error) {
	if len(rights) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "message"))
		}
	}
	return files, nil
}
