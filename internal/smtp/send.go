package smtp

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postrider/internal/status"
)

// A group of pipelined commands is written, then its replies are read. These bounds keep the replies that nobody has
// read yet well below what a socket buffers, so that never both sides wait for the other to read (RFC 2920
// section 3.1), and a group within one write.
const (
	maxGroup      = 64
	maxGroupBytes = 8 << 10
)

// Send runs one transaction. The error is not nil when the session cannot be used any more; the outcomes in Result
// stand all the same, save for ErrStale, after which there is no Result. Recipients that the peer puts off because
// there are too many in one transaction are temporary (RFC 5321 section 4.5.3.1.10): send to them again at once.
func (s *Session) Send(ctx context.Context, m Message) (Result, error) {
	if s.err != nil {
		return Result{}, s.err
	}
	defer s.watch(ctx)()
	s.until = time.Now().Add(s.opt.Timeouts.Transaction + time.Duration(m.Body.Size()/minRate)*time.Second)
	first := s.sent == 0
	s.sent++
	if !first && s.stale() {
		return Result{}, s.goneStale(nil)
	}
	t := s.begin(m)
	t.run()
	if t.unknownParameter && t.parameters() {
		t = t.askForLess()
	}
	if s.err == nil {
		return t.result(), nil
	}
	if !first && t.replies == 0 {
		return Result{}, s.goneStale(s.err)
	}
	return t.result(), s.err
}

// askForLess repeats a transaction whose parameters the peer has offered to take and then not taken. Where that
// helps, the session goes on without them. Where the message cannot go without, the peer's own words stand.
func (t *transaction) askForLess() *transaction {
	offered := t.ext
	t.ext = t.ext.withoutParameters()
	again := t.begin(t.m)
	if len(again.offered) == 0 {
		t.ext = offered
		return t
	}
	again.replies = t.replies
	if again.run(); !again.started {
		t.ext = offered
	}
	return again
}

// goneStale ends the session with ErrStale.
func (s *Session) goneStale(why *status.Status) error {
	err := ErrStale
	if why != nil {
		if s.aborted.Load() {
			return why
		}
		err = fmt.Errorf("%w: %s", ErrStale, why.Text())
	}
	s.err = status.New("smtp.idle", 451, status.Code{4, 4, 2}, "session ended by the peer", err)
	s.conn.Close()
	return s.err
}

// transaction is one Send.
type transaction struct {
	*Session
	m    Message
	plan plan
	utf8 bool // SMTPUTF8 is wanted

	offered  []int            // indexes into m.Rcpts of those that go on the wire
	outcome  []*status.Status // by recipient; nil: no outcome yet
	accepted []int            // indexes of those the peer has said 2yz to
	members  [][]string       // Result.Members
	named    int              // bytes of them

	replies          int   // replies that have come, RSET's not counted
	started          bool  // MAIL was taken
	unknownParameter bool  // MAIL was refused with 555, 504 or 501
	data             reply // the reply to DATA; zero: none
	begun            bool  // some of the message was sent
}

// begin prepares a transaction and gives every recipient its outcome who has one before anything is said.
func (s *Session) begin(m Message) *transaction {
	t := &transaction{Session: s, m: m, outcome: make([]*status.Status, len(m.Rcpts))}
	t.utf8 = s.ext.utf8 && (m.UTF8 || !ascii(m.Sender) || slices.ContainsFunc(m.Rcpts, Rcpt.needsUTF8))
	var st *status.Status
	if t.plan, st = planBody(m, s.ext, t.utf8); st == nil {
		st = t.checkSender()
	}
	if st != nil {
		t.settle(st)
		return t
	}
	t.offered = make([]int, 0, len(m.Rcpts))
	for i, r := range m.Rcpts {
		switch st := t.checkRcpt(r); {
		case st != nil:
			t.outcome[i] = st
		case s.ext.rcptMax > 0 && len(t.offered) >= s.ext.rcptMax: // RFC 9422
			t.outcome[i] = status.New("smtp.rcpt", 452, status.Code{4, 5, 3}, "more recipients than the peer takes at once", nil)
		default:
			t.offered = append(t.offered, i)
		}
	}
	return t
}

// settle gives st to every recipient without an outcome.
func (t *transaction) settle(st *status.Status) {
	for i := range t.outcome {
		if t.outcome[i] == nil {
			t.outcome[i] = st
		}
	}
}

// result is what Send returns; whoever has no outcome gets the session's.
func (t *transaction) result() Result {
	if t.err != nil {
		t.settle(t.err)
	}
	return Result{Rcpts: t.outcome, DSN: t.ext.dsn && !t.target.Agent, By: t.ext.deliverBy, Begun: t.begun, Members: t.members}
}

// parameters tells whether MAIL had any.
func (t *transaction) parameters() bool {
	return t.ext.sizeKnown || t.plan.body8 || t.utf8 || t.ext.dsn || t.saysAuth() || t.ext.deliverBy && !t.m.By.IsZero()
}

// run says everything there is to say. Errors are in t.err, outcomes in t.outcome.
func (t *transaction) run() {
	if len(t.offered) == 0 || t.envelope() != nil {
		return
	}
	if t.data.code == 0 { // DATA was not sent, or its reply not waited for
		return
	}
	if t.data.class() != 3 {
		t.refuseData()
		return
	}
	if len(t.accepted) == 0 {
		t.nobody()
		return
	}
	t.body()
}

// envelope sends MAIL, RCPT for each recipient and DATA, in groups when the peer takes that (RFC 2920), else one by
// one, and hears the replies. Step 0 is MAIL, steps 1 to n are recipients, step n+1 is DATA.
func (t *transaction) envelope() error {
	group := 1
	if t.ext.pipelining {
		group = maxGroup
	}
	last := len(t.offered) + 1
	for next := 0; next <= last; {
		if next == last && len(t.accepted) == 0 {
			return nil // nobody to send it to; DATA can still be left unsaid
		}
		from, reset := next, false
		if next == 0 && t.dirty {
			if reset = t.ext.pipelining; !reset {
				if err := t.reset(); err != nil {
					return err
				}
			} else {
				t.command("RSET")
			}
		}
		for next <= last && next-from < group && len(t.out) < maxGroupBytes {
			t.command(t.step(next))
			next++
		}
		if err := t.exchange(from, next, reset); err != nil {
			return err
		}
		if !t.started {
			return nil
		}
	}
	return nil
}

// step is the command of a step.
func (t *transaction) step(n int) string {
	switch {
	case n == 0:
		return t.mailCommand()
	case n <= len(t.offered):
		return t.rcptCommand(t.m.Rcpts[t.offered[n-1]])
	}
	return "DATA"
}

// exchange flushes the commands of steps from to next and hears their replies.
func (t *transaction) exchange(from, next int, reset bool) error {
	if err := t.flush(t.opt.Timeouts.Command); err != nil {
		return err
	}
	if reset {
		if err := t.hearReset(); err != nil {
			return err
		}
	}
	for n := from; n < next; n++ {
		if err := t.hear(n); err != nil {
			return err
		}
	}
	return nil
}

// hear reads and judges the reply to a step.
func (t *transaction) hear(n int) error {
	verb, limit := "RCPT", t.opt.Timeouts.Command
	switch {
	case n == 0:
		verb = "MAIL"
	case n > len(t.offered):
		verb, limit = "DATA", t.opt.Timeouts.Data
	}
	r, err := t.reply(limit, verb)
	if err != nil {
		return err
	}
	t.replies++
	switch {
	case verb == "DATA" && r.class() != 2:
		t.data = r
		return nil
	case verb == "DATA" || r.class() == 3:
		return t.unexpected(r, verb)
	case verb == "MAIL":
		t.hearMail(r)
	case t.started && t.target.Agent && r.code == 251:
		return t.hearMembers(t.offered[n-1], r)
	case t.started:
		t.hearRcpt(t.offered[n-1], r)
	}
	return nil
}

func (t *transaction) hearMail(r reply) {
	if t.started = r.class() == 2; t.started {
		t.dirty = true
		return
	}
	// RFC 5321 section 4.1.1.11 has 555; 501 and 504 are what older peers say.
	t.unknownParameter = r.code == 555 || r.code == 501 || r.code == 504
	t.settle(r.status())
}

func (t *transaction) hearRcpt(i int, r reply) {
	if r.class() == 2 {
		t.accepted = append(t.accepted, i)
		return
	}
	st := r.status()
	// RFC 5321 section 4.5.3.1.10: 452 is for too many recipients, and 552 what older peers say. Without an enhanced
	// code either may mean something else, but hardly after other recipients were accepted.
	coded := st.Code()[1] == 5 && st.Code()[2] == 3
	bare := st.Code()[1] == 0 && st.Code()[2] == 0 && len(t.accepted) > 0
	if (r.code == 452 || r.code == 552) && (coded || bare) {
		st = status.New(OpReply, 452, status.Code{4, 5, 3}, st.Text(), nil)
	}
	t.outcome[i] = st
}

// reset makes the peer forget a transaction that was not finished.
func (s *Session) reset() error {
	s.command("RSET")
	if err := s.flush(s.opt.Timeouts.Command); err != nil {
		return err
	}
	return s.hearReset()
}

func (s *Session) hearReset() error {
	r, err := s.reply(s.opt.Timeouts.Command, "RSET")
	if err != nil {
		return err
	}
	if r.class() != 2 {
		return s.unexpected(r, "RSET")
	}
	s.dirty = false
	return nil
}

// refuseData gives those who were accepted the reply that refused DATA. When there are none, it only says so.
func (t *transaction) refuseData() {
	st := t.data.status()
	for _, i := range t.accepted {
		t.outcome[i] = st
	}
}

// nobody ends a DATA that the peer has let us begin although it took no recipient: an empty message for nobody, as
// RFC 2920 section 3.1 has it. LMTP has no reply to that, so there the session ends.
func (t *transaction) nobody() {
	if t.target.LMTP {
		t.settle(t.unexpected(t.data, "DATA"))
		return
	}
	t.command(".")
	if t.flush(t.opt.Timeouts.Block) == nil {
		if _, err := t.reply(t.opt.Timeouts.Final, "the final dot"); err == nil {
			t.dirty = false
		}
	}
}
