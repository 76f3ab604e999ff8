package server

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"postrider/internal/local"
	"postrider/internal/maillog"
	"postrider/internal/status"
)

// canBecome tells whether we can deliver as a user.
func (s *Server) canBecome(uid int) bool { return os.Geteuid() == 0 || uid == os.Geteuid() }

// ask has a child of a user do something. The error is a temporary *status.Status.
func (s *Server) ask(ctx context.Context, id identity, r *request, messages []*os.File, limit time.Duration) (*response, error) {
	for {
		w, fresh, err := s.pool.get(id)
		if err != nil {
			return nil, status.New(op, 451, status.Code{4, 3, 0}, "no delivery process could be started", err)
		}
		answer, err := w.call(ctx, r, messages, limit)
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
	var list []*pending
	users := map[int][]*pending{}
	for _, r := range x.rcpts {
		r.delivery.ID, r.delivery.Sender, r.delivery.Arrival = x.mail.id, x.mail.from, x.mail.arrival
		p := &pending{recipient: r, message: message, size: x.store.size, outcome: make(chan *status.Status, 1)}
		list = append(list, p)
		users[r.account.UID] = append(users[r.account.UID], p)
	}
	for uid, mine := range users {
		go x.s.toUser(uid, mine)
	}
	for _, p := range list { // nobody needs the message after its last outcome
		select {
		case st := <-p.outcome:
			x.outcome(st)
		default:
			x.flush()
			x.outcome(<-p.outcome)
		}
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

// toUser delivers what is one user's, one after the other.
func (s *Server) toUser(uid int, mine []*pending) {
	wait, cancel := context.WithTimeout(s.ctx, turnTime)
	defer cancel()
	leave, err := s.lanes.enter(wait, uid, mine)
	defer leave()
	if err != nil {
		s.withdraw(uid, mine, "other deliveries to this user take long", err)
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-wait.Done():
		s.withdraw(uid, mine, "too many deliveries at once", wait.Err())
		return
	}
	most := maxBatch
	if strings.HasPrefix(s.Config.Local.Mailbox, "command:") {
		most = 1 // each may take its time
	}
	for batch := s.lanes.next(uid, mine, most); batch != nil; batch = s.lanes.next(uid, mine, most) {
		s.work(batch)
	}
}

// withdraw answers for those of mine that nobody does yet.
func (s *Server) withdraw(uid int, mine []*pending, why string, err error) {
	for _, p := range s.lanes.withdraw(uid, mine) {
		p.outcome <- status.New(op, 450, status.Code{4, 2, 0}, why, err)
	}
}

// work does one delivery, or several to one mailbox.
func (s *Server) work(batch []*pending) {
	began, first := time.Now(), batch[0]
	q := s.request(first.act, first.account.User)
	who, limit, into := first.account.identity(), q.limit+beyondCommand, "mailbox"
	if first.act == actMember {
		q.member, q.origin, into = first.member, first.origin, first.member
	} else {
		q.spec = s.Config.Local.Mailbox
		who, limit = s.forMailbox(first.account), max(limit, mailboxTime)
	}
	var files []*os.File
	for _, p := range batch {
		q.items = append(q.items, item{p.delivery, p.size})
		files = append(files, p.message)
	}
	answer, err := s.ask(s.ctx, who, q, files, limit)
	for i, p := range batch {
		var st *status.Status
		if err != nil {
			st = status.From(err)
		} else {
			st = answer.status(i)
		}
		s.Log.Local(p.delivery.ID, maillog.LocalDelivery{
			To: p.delivery.Rcpt, User: p.account.Name, UID: p.account.UID, Into: into, Took: time.Since(began), Code: st.Code(), Text: st.Error(),
		})
		p.outcome <- st
	}
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
