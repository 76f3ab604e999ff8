package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"postrider/internal/status"
)

func itoa(n int) string { return strconv.Itoa(n) }

// session is one connection of a client.
type session struct {
	s    *Server
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer

	greeted bool
	mail    *mail // of the transaction; nil: none
	rcpts   []*recipient
	store   *store // of the chunks that have come; nil: none
	quit    bool

	mu       sync.Mutex // guards the deadline and what follows
	idle     bool
	draining bool
}

func newSession(s *Server, conn net.Conn) *session {
	return &session{s: s, conn: conn, r: bufio.NewReaderSize(conn, maxLine), w: bufio.NewWriterSize(conn, 8<<10)}
}

// refuse ends a session before it has begun.
func (x *session) refuse(reply string) {
	x.conn.SetDeadline(time.Now().Add(time.Second))
	io.WriteString(x.conn, reply+"\r\n")
	x.conn.Close()
}

// drain ends the session where it waits for a command.
func (x *session) drain() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.draining = true
	if x.idle {
		x.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// wait sets the time for what the client sends next. A session that is drained waits for no command.
func (x *session) wait(idle bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.idle = idle
	if idle && x.draining {
		return false
	}
	x.conn.SetDeadline(time.Now().Add(commandTime))
	return true
}

// serve is the whole session.
func (x *session) serve() {
	defer x.conn.Close()
	defer x.reset()
	x.reply("220 " + x.s.Config.Hostname + " LMTP postrider local")
	for !x.quit {
		if !x.complete() && x.w.Flush() != nil {
			return
		}
		if !x.wait(x.mail == nil) {
			x.reply("421 4.3.2 the service goes down")
			break
		}
		line, err := readLine(x.r)
		x.wait(false)
		switch {
		case errors.Is(err, errLong):
			x.reply("500 5.5.2 line too long")
			x.quit = true
		case errors.Is(err, errSyntax):
			x.reply("500 5.5.2 a line must end in CRLF")
			x.quit = true
		case errors.Is(err, os.ErrDeadlineExceeded):
			x.reply("421 4.4.2 no command in time")
			x.quit = true
		case err != nil:
			return
		default:
			x.command(line)
		}
	}
	x.conn.SetWriteDeadline(time.Now().Add(time.Second))
	x.w.Flush()
}

// complete tells whether the client has sent a whole line more, so that the replies can go together (RFC 2920).
func (x *session) complete() bool {
	waiting, _ := x.r.Peek(x.r.Buffered())
	return bytes.IndexByte(waiting, '\n') >= 0
}

func (x *session) reply(line string) { x.w.WriteString(line + "\r\n") }

// outcome is a status as a reply.
func (x *session) outcome(s *status.Status) {
	text := strings.TrimRight(status.Clean(s.Text(), 450), " ")
	x.reply(strings.TrimRight(itoa(s.Reply())+" "+s.Code().String()+" "+text, " "))
}

var verbs = map[string]func(*session, command){
	"LHLO": (*session).lhlo,
	"MAIL": (*session).mailFrom,
	"RCPT": (*session).rcptTo,
	"DATA": (*session).data,
	"BDAT": (*session).bdat,
	"RSET": func(x *session, _ command) { x.reset(); x.reply("250 2.0.0 ok") },
	"NOOP": func(x *session, _ command) { x.reply("250 2.0.0 ok") },
	"VRFY": func(x *session, _ command) { x.reply("252 2.5.2 try RCPT") },
	"QUIT": func(x *session, _ command) { x.quit = true; x.reply("221 2.0.0 bye") },
}

func (x *session) command(line string) {
	c, err := parseCommand(line)
	act, known := verbs[c.verb]
	switch {
	case !known:
		x.reply("500 5.5.1 unknown command")
	case err != nil:
		x.reply("501 5.5.4 " + status.Clean(err.Error(), 200))
	case !x.greeted && (c.verb == "MAIL" || c.verb == "RCPT" || c.verb == "DATA"):
		x.reply("503 5.5.1 say LHLO first")
	default:
		act(x, c)
	}
}

func (x *session) lhlo(c command) {
	if c.arg == "" {
		x.reply("501 5.5.4 a name is missing")
		return
	}
	x.reset()
	x.greeted = true
	size := ""
	if n := x.s.Config.MessageSizeLimit; n > 0 {
		size = " " + strconv.FormatInt(int64(n), 10)
	}
	for _, word := range []string{x.s.Config.Hostname, "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "DSN", "SIZE" + size} {
		x.reply("250-" + word)
	}
	x.reply("250 XLOCAL")
}

func (x *session) mailFrom(c command) {
	m, err := c.mail()
	limit := int64(x.s.Config.MessageSizeLimit)
	switch {
	case x.mail != nil:
		x.reply("503 5.5.1 there is a transaction already")
	case errors.Is(err, errParam):
		x.reply("555 5.5.4 unknown parameter")
	case err != nil:
		x.reply("501 5.5.4 " + err.Error())
	case limit > 0 && m.size > limit:
		x.reply("552 5.3.4 the message is too large")
	default:
		if m.arrival.IsZero() {
			m.arrival = time.Now()
		}
		if m.id == "" {
			m.id = strings.ToUpper(strconv.FormatInt(time.Now().UnixNano(), 36))
		}
		x.mail = &m
		x.reply("250 2.1.0 ok")
	}
}

func (x *session) rcptTo(c command) {
	w, err := c.wish()
	switch {
	case x.mail == nil:
		x.reply("503 5.5.1 MAIL first")
	case x.store != nil:
		x.reply("503 5.5.1 the message has begun")
	case errors.Is(err, errParam):
		x.reply("555 5.5.4 unknown parameter")
	case err != nil:
		x.reply("501 5.5.4 " + err.Error())
	case len(x.rcpts) >= maxRecipients:
		x.reply("452 4.5.3 too many recipients")
	default:
		x.decided(x.s.decide(x.mail.id, w))
	}
}

// decided answers a RCPT.
func (x *session) decided(d decision) {
	switch {
	case d.refusal != nil:
		x.outcome(d.refusal)
	case d.instead != nil:
		for i, member := range d.instead {
			mark := "-"
			if i == len(d.instead)-1 {
				mark = " "
			}
			x.reply("251" + mark + "2.1.5 " + encodeXtext(member))
		}
	default:
		x.rcpts = append(x.rcpts, d.rcpt)
		x.reply("250 2.1.5 ok")
	}
}

func (x *session) data(command) {
	switch {
	case len(x.rcpts) == 0 || x.store != nil:
		x.reply("503 5.5.1 no recipients, or the message has begun")
		return
	}
	x.reply("354 go on")
	if x.w.Flush() != nil {
		x.quit = true
		return
	}
	x.begin()
	if err := copyText(x.store, &patient{x}); err != nil {
		x.quit = true
		return
	}
	x.deliver()
}

// begin makes room for a message.
func (x *session) begin() {
	x.store = &store{dir: x.s.TempDir, most: int64(x.s.Config.MessageSizeLimit)}
}

// bdat takes a chunk in (RFC 3030 section 2). It is read whatever becomes of it.
func (x *session) bdat(c command) {
	number, last, _ := strings.Cut(c.arg, " ")
	size, err := strconv.ParseUint(number, 10, 62)
	final := strings.EqualFold(strings.TrimSpace(last), "LAST")
	if err != nil || last != "" && !final {
		x.reply("501 5.5.4 syntax error")
		x.quit = true // where the next command begins nobody knows
		return
	}
	ok := len(x.rcpts) > 0
	var to io.Writer = io.Discard
	if ok {
		if x.store == nil {
			x.begin()
		}
		to = x.store
	}
	if _, err := io.CopyN(to, &patient{x}, int64(size)); err != nil {
		x.quit = true
		return
	}
	switch {
	case !ok:
		x.reply("503 5.5.1 no recipients")
	case final:
		x.deliver()
	default:
		x.reply("250 2.0.0 ok")
	}
}

// patient reads what the client sends of a message. Each piece has its time.
type patient struct{ x *session }

func (p *patient) Read(b []byte) (int, error) {
	p.x.wait(false)
	return p.x.r.Read(b)
}

// ReadSlice is bufio.Reader's.
func (p *patient) ReadSlice(delim byte) ([]byte, error) {
	if p.x.r.Buffered() < 4<<10 {
		p.x.wait(false)
	}
	return p.x.r.ReadSlice(delim)
}

// reset forgets the transaction.
func (x *session) reset() {
	if x.store != nil {
		x.store.drop()
	}
	x.mail, x.rcpts, x.store = nil, nil, nil
}
