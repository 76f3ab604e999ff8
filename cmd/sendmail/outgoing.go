package main

import (
	"io"
	"strconv"

	"postrider/internal/status"
)

// atOnce is what is read of a large message at a time, and written in one piece.
const atOnce = 64 << 10

// outgoing is a message on its way to the server. An error of its input is a *status.Status, another one is the
// connection's.
type outgoing struct {
	from  io.Reader
	whole func() error // called when all has been read
	dots  lineOfDot
	conn  *conn
	ended bool // all has been read
	last  bool // and written, so that it may have been accepted
}

// gather reads up to a number of bytes.
func (m *outgoing) gather(limit int) ([]byte, error) {
	buf := make([]byte, 0, 16<<10)
	for !m.ended && len(buf) < limit {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(limit, 4*cap(buf))), buf...)
		}
		n, err := m.read(buf[len(buf):cap(buf)])
		if err != nil {
			return nil, err
		}
		buf = buf[:len(buf)+n]
	}
	return buf, nil
}

// read reads some of the message.
func (m *outgoing) read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	m.ended = err == io.EOF || m.dots.in(p[:n])
	if err != nil && err != io.EOF {
		return n, status.Fail("submit.read", status.ExitIOErr, "cannot read the message", err)
	}
	return n, nil
}

// send writes the head, what has been read, and the rest of the message.
func (m *outgoing) send(head, text []byte) error {
	var buf []byte
	for !m.ended {
		if err := m.piece(head, text, "", ""); err != nil {
			return err
		}
		if buf == nil {
			buf = make([]byte, 0, atOnce+64) // and what stands before a chunk
		}
		text = buf[64:cap(buf)]
		n, err := m.read(text)
		if err != nil {
			return err
		}
		head, text = buf[:0], text[:n]
	}
	if m.whole != nil {
		if err := m.whole(); err != nil {
			return status.From(err)
		}
	}
	return m.piece(head, text, " LAST", "QUIT\r\n")
}

// piece writes a chunk between what head has and the tail.
func (m *outgoing) piece(head, text []byte, last, tail string) error {
	head = append(head, "BDAT "...)
	head = append(strconv.AppendInt(head, int64(len(text)), 10), last+"\r\n"...)
	end := m.conn.sent + int64(len(head)+len(text))
	defer func() { m.last = last != "" && m.conn.sent >= end }()
	if len(text) <= atOnce {
		return m.conn.write(append(append(head, text...), tail...))
	}
	err := m.conn.write(head)
	if err == nil {
		err = m.conn.write(text)
	}
	if err == nil {
		err = m.conn.write([]byte(tail))
	}
	return err
}

// lineOfDot looks for a line of one dot in a text that comes in pieces: nothing behind it need ever come.
type lineOfDot struct {
	off   bool
	state byte // '.': such a line so far, 'x': another one, 0: nothing of a line
}

// in tells whether the end of such a line is in the next piece.
func (d *lineOfDot) in(p []byte) bool {
	if d.off {
		return false
	}
	for _, c := range p {
		switch {
		case c == '\n' && d.state == '.':
			return true
		case c == '\n':
			d.state = 0
		case c == '.' && d.state == 0:
			d.state = '.'
		case c != '\r' || d.state != '.':
			d.state = 'x'
		}
	}
	return false
}
