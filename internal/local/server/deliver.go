package server

import (
	"context"
	"errors"
	"os"
	"time"

	"postrider/internal/local"
	"postrider/internal/maillog"
	"postrider/internal/status"
)

// canBecome tells whether we can deliver as a user.
func (s *Server) canBecome(uid int) bool { return os.Geteuid() == 0 || uid == os.Geteuid() }

// ask has a child of a user do something. The error is a temporary *status.Status.
func (s *Server) ask(ctx context.Context, id identity, r *request, message *os.File, limit time.Duration) (*response, error) {
	for {
		w, fresh, err := s.pool.get(id)
		if err != nil {
			return nil, status.New(op, 451, status.Code{4, 3, 0}, "no delivery process could be started", err)
		}
		answer, err := w.call(ctx, r, message, limit)
		if err == nil {
			s.pool.put(w)
			return answer, nil
		}
		w.stop()
		switch {
		case !fresh && errors.Is(err, errUnsent): // it had died while it had nothing to do
			continue
		case ctx.Err() != nil:
			return nil, status.New(op, 451, status.Code{4, 3, 2}, "delivery was interrupted", err)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, status.New(op, 451, status.Code{4, 3, 0}, "the delivery process took too long", err)
		}
		return nil, status.New(op, 451, status.Code{4, 3, 0}, "the delivery process died", err)
	}
}

// deliver delivers the message to all that were accepted, and answers for each in order (RFC 2033 section 4.2).
func (x *session) deliver() {
	defer x.reset()
	message, err := x.store.open()
	if err != nil {
		x.failed(err)
		return
	}
	defer message.Close()
	size := x.store.size
	outcomes := make([]chan *status.Status, len(x.rcpts))
	users := map[int][]int{}
	var order []int
	for i, r := range x.rcpts {
		outcomes[i] = make(chan *status.Status, 1)
		r.delivery.ID, r.delivery.Sender, r.delivery.Arrival = x.mail.id, x.mail.from, x.mail.arrival
		if users[r.account.UID] == nil {
			order = append(order, r.account.UID)
		}
		users[r.account.UID] = append(users[r.account.UID], i)
	}
	rcpts := x.rcpts
	done := make(chan struct{}, len(order))
	for _, uid := range order {
		go func() {
			defer func() { done <- struct{}{} }()
			x.s.toUser(uid, users[uid], rcpts, message, size, outcomes)
		}()
	}
	for _, c := range outcomes {
		select {
		case st := <-c:
			x.outcome(st)
		default:
			x.flush()
			x.outcome(<-c)
		}
	}
	for range order {
		<-done // the message is theirs until then
	}
}

// flush sends what there is to be said. A client that is gone is found out by the next read.
func (x *session) flush() {
	x.conn.SetWriteDeadline(time.Now().Add(commandTime))
	x.w.Flush()
}

// failed answers for all recipients of a message that could not be taken in.
func (x *session) failed(err error) {
	st := status.New(op, 452, status.Code{4, 3, 1}, "the message cannot be held", err)
	if errors.Is(err, errTooLarge) {
		st = status.New(op, 552, status.Code{5, 3, 4}, "the message is too large", nil)
	} else {
		x.s.Log.Warning(x.mail.id, st.Error())
	}
	for range x.rcpts {
		x.outcome(st)
	}
}

// toUser delivers to the recipients that are one user's, one after the other.
func (s *Server) toUser(uid int, list []int, rcpts []*recipient, message *os.File, size int64, outcomes []chan *status.Status) {
	fail := func(st *status.Status) {
		for _, i := range list {
			outcomes[i] <- st
		}
	}
	wait, cancel := context.WithTimeout(s.ctx, turnTime)
	defer cancel()
	done, err := s.turns.take(wait, uid)
	if err != nil {
		fail(status.New(op, 450, status.Code{4, 2, 0}, "other deliveries to this user take long", err))
		return
	}
	defer done()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-wait.Done():
		fail(status.New(op, 450, status.Code{4, 3, 2}, "too many deliveries at once", wait.Err()))
		return
	}
	for _, i := range list {
		outcomes[i] <- s.one(rcpts[i], message, size)
	}
}

// one is one delivery.
func (s *Server) one(r *recipient, message *os.File, size int64) *status.Status {
	began := time.Now()
	q := s.request(r.act, r.account.User)
	q.delivery, q.size = r.delivery, size
	who, limit, agent := r.account.identity(), mailboxTime, "mailbox"
	if r.act == actMember {
		q.member, q.origin = r.member, r.origin
		limit, agent = q.limit+beyondCommand, r.member
	} else {
		q.spec = s.Config.Local.Mailbox
		who = s.forMailbox(r.account)
		limit = max(limit, q.limit+beyondCommand)
	}
	var st *status.Status
	answer, err := s.ask(s.ctx, who, q, message, limit)
	if err != nil {
		st = status.From(err)
	} else {
		st = answer.status()
	}
	s.Log.Local(r.delivery.ID, maillog.LocalDelivery{
		To: r.delivery.Rcpt, User: r.account.Name, UID: r.account.UID, Into: agent, Took: time.Since(began), Code: st.Code(), Text: st.Error(),
	})
	return st
}

// forMailbox is as whom a mailbox is written: as the user, and in the group mail where that group, and not everybody, may
// make files in the spool of mailboxes, as on Debian. It is then the first group, which keeps the user's own processes
// from getting hold of this one. A mailbox that only root can make is made.
func (s *Server) forMailbox(a Account) identity {
	id := a.identity()
	path, ok := local.SpoolFile(s.Config.Local.Mailbox, a.User)
	if !ok || os.Geteuid() != 0 {
		return id
	}
	group, known, err := s.Accounts.GroupID("mail")
	if err != nil || !known {
		group = -1
	}
	switch spoolKind(path, group) {
	case groupSpool:
		return identity{id.uid, group, append([]int{id.gid}, id.groups...)}
	case rootSpool:
		if err := makeMailbox(path, id.uid, id.gid); err != nil {
			s.Log.Warning("", "cannot make a mailbox: "+err.Error())
		}
	}
	return id
}
