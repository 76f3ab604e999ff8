package server

import (
	"context"
	"os"
	"slices"
	"sync"

	"postrider/internal/status"
)

// pending is a delivery that waits for its user.
type pending struct {
	*recipient
	message *os.File
	size    int64
	outcome chan *status.Status // gets one
	taken   bool                // somebody does it
}

// lanes let one at a time deliver to each user. Who has the turn also does what others have put there: mailboxes are
// written faster when several messages come together.
type lanes struct {
	mu sync.Mutex
	m  map[int]*lane // by user
}

type lane struct {
	token   chan struct{}
	users   int
	waiting []*pending // in order
}

// enter puts deliveries into a user's lane and waits for the turn. leave must be called, whatever err is.
func (l *lanes) enter(ctx context.Context, uid int, mine []*pending) (leave func(), err error) {
	l.mu.Lock()
	if l.m == nil {
		l.m = map[int]*lane{}
	}
	x := l.m[uid]
	if x == nil {
		x = &lane{token: make(chan struct{}, 1)}
		l.m[uid] = x
	}
	x.users++
	x.waiting = append(x.waiting, mine...)
	l.mu.Unlock()
	gone := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if x.users--; x.users == 0 {
			delete(l.m, uid)
		}
	}
	select {
	case x.token <- struct{}{}:
		return func() { <-x.token; gone() }, nil
	case <-ctx.Done():
		return gone, ctx.Err()
	}
}

// next takes what is to be done next for one of mine to be done: one delivery, or several to the mailbox. nil: all of mine
// are done, or somebody else has them.
func (l *lanes) next(uid int, mine []*pending, most int) (batch []*pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.ContainsFunc(mine, func(p *pending) bool { return !p.taken }) {
		return nil
	}
	x := l.m[uid]
	for len(x.waiting) > 0 && len(batch) < most {
		p := x.waiting[0]
		if len(batch) > 0 && (p.act != actMailbox || batch[0].act != actMailbox || p.account.key() != batch[0].account.key()) {
			break
		}
		p.taken = true
		x.waiting, batch = x.waiting[1:], append(batch, p)
	}
	return batch
}

// withdraw takes those of mine back that nobody does yet.
func (l *lanes) withdraw(uid int, mine []*pending) (back []*pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range mine {
		if !p.taken {
			p.taken, back = true, append(back, p)
		}
	}
	if x := l.m[uid]; x != nil {
		x.waiting = slices.DeleteFunc(x.waiting, func(p *pending) bool { return p.taken })
	}
	return back
}
