package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"postrider/internal/status"
	"postrider/internal/submit"
	"postrider/queue"
)

const (
	serverTime = 10 * time.Minute // for what the server has to say (RFC 5321 section 4.5.3.2.6)
	keepAlive  = 10 * time.Second // after which it is told that there is more to come
)

// server takes the messages where the spool is another user's, by the extension XSUBMIT of package smtpd.
type server struct {
	path     string
	owner    int // of the spool; -1 when that cannot be seen
	wait     time.Duration
	conn     *conn // while it waits for the rest of a message
	failed   error // it could not be reached
	away     bool  // and has nothing of the message
	answered bool  // it has said what became of the message
	spool    string
	dropped  bool // the message went to the spool by drop
}

// open opens the spool, or finds the server.
func (p *program) open() {
	path := p.socket()
	if path == "" {
		p.spool, p.closed = queue.Open(p.cfg.Spool, queue.Options{})
		return
	}
	p.server = &server{path: path, owner: -1, wait: serverTime, spool: p.cfg.Spool}
	var st syscall.Stat_t
	err := syscall.Stat(p.cfg.Spool, &st)
	if err == nil {
		p.server.owner = int(st.Uid)
	}
	if err == nil && int(st.Uid) != os.Geteuid() || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) && p.others() {
		return
	}
	if p.spool, p.closed = queue.Open(p.cfg.Spool, queue.Options{}); errors.Is(p.closed, fs.ErrPermission) {
		p.closed = nil // the server has more rights
	} else {
		p.server = nil
	}
}

// others tells whether a spool that is still missing is to be another user's: in a system that has a mail user neither
// we nor root make it.
func (p *program) others() bool {
	if p.cfg.User {
		return false
	}
	uid, ok := uidOf(passwd, p.cfg.Smtpd.User)
	return ok && uid != os.Geteuid()
}

// socket is where there may be a server; "" where the message can go to the spool alone. What names another spool, or
// comes from whoever wrote our command line, has none.
func (p *program) socket() string {
	if p.inv.ConfigFile != "" || p.inv.QueueDir != "" {
		return ""
	}
	return p.cfg.Submit()
}

// store puts a message where it is to go.
func (p *program) store(from io.Reader, o submit.Options) (submit.Result, error) {
	switch {
	case p.server != nil:
		return p.server.submit(from, o)
	case p.closed != nil:
		return submit.Result{}, p.closed
	}
	return submit.Submit(from, p.spool, o)
}

// submit hands a message over. It is read as a whole before the server is troubled, unless it is larger than what is
// kept in memory anyway: a job may take hours to write. When nobody listens the message goes to drop, and so it does when
// all of it is still there and the server has not taken it.
func (s *server) submit(from io.Reader, o submit.Options) (submit.Result, error) {
	switch {
	case s.away:
		return s.drop(from, o, s.failed)
	case s.failed != nil:
		return submit.Result{}, s.failed
	}
	m := outgoing{from: from, whole: o.Whole, dots: lineOfDot{off: o.IgnoreDots}}
	text, err := m.gather(keepLimit)
	if err != nil {
		return submit.Result{}, err
	}
	block := o.AppendBlock(nil)
	if len(block) > submit.MaxBlock {
		return submit.Result{}, status.Fail("sendmail.server", status.ExitUsage, "command line too long", nil)
	}
	var rest io.Reader = bytes.NewReader(text)
	whole := m.ended
	if !whole {
		rest = io.MultiReader(rest, from)
	}
	c, err := dial(s.path, s.owner, s.wait)
	if err != nil {
		return s.drop(rest, o, s.unreachable(err))
	}
	defer c.close()
	res, err := s.talk(c, &m, block, text)
	if err != nil && s.away && whole {
		return s.drop(rest, o, err)
	}
	return res, err
}

// talk hands a message over by a connection.
func (s *server) talk(c *conn, m *outgoing, block, text []byte) (submit.Result, error) {
	s.conn, m.conn = c, c
	err := m.send(append([]byte("EHLO localhost\r\nXSUBMIT "+strconv.Itoa(len(block))+"\r\n"), block...), text)
	s.conn = nil
	if ours := (*status.Status)(nil); errors.As(err, &ours) {
		return submit.Result{}, err
	}
	return s.outcome(c, m.last, err)
}

// stillWaiting tells the server that there is more to come.
func (s *server) stillWaiting() {
	if s.conn != nil {
		s.conn.write([]byte("BDAT 0\r\n")) // an error comes again with what is written next
	}
}

// outcome reads what became of a message. sent is why not all of it was written, last tells whether its end was.
func (s *server) outcome(c *conn, last bool, sent error) (submit.Result, error) {
	if errors.Is(sent, errTime) {
		return submit.Result{}, s.unreachable(sent)
	}
	c.until = time.Now().Add(s.wait)
	answer, greeted, err := s.answer(c)
	if err == nil {
		res, err := submit.ParseAnswer(answer.code, answer.enhanced, answer.lines)
		if known := (*status.Status)(nil); err == nil || errors.As(err, &known) {
			s.answered = true
			return res, err
		}
		return res, s.silent(err)
	}
	if sent != nil && !errors.Is(err, errNotUs) {
		err = sent
	}
	if greeted && last && !errors.Is(err, errNotUs) {
		return submit.Result{}, s.silent(err)
	}
	return submit.Result{}, s.unreachable(err)
}

// errNotUs is what a server says that does not take our message in the first place.
var errNotUs = errors.New("it says")

// answer reads the reply to XSUBMIT, and those before it. Before its greeting a server has read nothing.
func (s *server) answer(c *conn) (r reply, greeted bool, err error) {
	if r, err = c.reply(); err == nil && r.code != 220 {
		err = fmt.Errorf("%w %v", errNotUs, r)
	}
	if err != nil {
		return r, false, err
	}
	if r, err = c.reply(); err == nil && (r.code != 250 || !slices.Contains(r.lines, "XSUBMIT")) {
		err = fmt.Errorf("%w %v", errNotUs, r)
	}
	if err != nil {
		return r, true, err
	}
	if r, err = c.reply(); err == nil && r.code == 421 {
		err = fmt.Errorf("%w %v", errNotUs, r)
	}
	return r, true, err
}

func (s *server) unreachable(err error) error {
	s.away = true
	s.failed = status.Fail("sendmail.server", status.ExitTempFail, "cannot reach the mail server at "+s.path, fmt.Errorf("%w; nothing was queued", err))
	return s.failed
}

// silent is the outcome of a message of which only the server knows what became of it.
func (s *server) silent(err error) error {
	s.failed = status.Fail("sendmail.server", status.ExitTempFail, "no answer from the mail server at "+s.path, fmt.Errorf("%w; it may have queued the message", err))
	return s.failed
}
