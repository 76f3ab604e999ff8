// Package mailq makes the listings of the queue: it reads the spool, selects messages and hands them to one of
// the layouts that other programs read. It takes no lock and changes nothing, and holds one message at a time.
package mailq

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"postrider/compat"
	"postrider/internal/status"
	"postrider/queue"
)

// Options say what is listed, and how. The zero value lists what waits and what is held in Sendmail's layout.
type Options struct {
	Format  string // "sendmail" (also ""), "postfix" or "json"
	Verbose bool   // Sendmail's layout with a reason for each recipient
	States  queue.State
	Filters []compat.QueueFilter // see Match
}

func (o *Options) states() queue.State {
	if o.States == 0 {
		return queue.New | queue.Cur | queue.Held
	}
	return o.States
}

// Print lists the messages of a spool, oldest first, and then the damaged files if they are asked for.
func Print(w io.Writer, s *queue.Spool, o Options) error {
	list, err := newListing(s, o)
	if err != nil {
		return err
	}
	switch o.Format {
	case "json":
		return list.print(newJSON(w))
	case "postfix":
		return list.print(&rows{layout: compat.PostfixLayout(w)})
	case "sendmail", "":
		n, err := list.count()
		if err != nil {
			return err
		}
		return list.print(&rows{layout: compat.SendmailLayout(w, shown(s.Root()), n, o.Verbose)})
	}
	return status.Fail("mailq", status.ExitUsage, fmt.Sprintf("unknown format %q: sendmail, postfix or json", o.Format), nil)
}

// shown is the queue directory for Sendmail's layout. Monitoring programs know its line by the word mqueue (check_mailq:
// /mqueue/), so a directory without it is shown as one of that name in it.
func shown(root string) string {
	if strings.Contains(root, "mqueue") {
		return root
	}
	return strings.TrimSuffix(root, "/") + "/mqueue"
}

// Count is how many messages Print would list.
func Count(s *queue.Spool, o Options) (int, error) {
	list, err := newListing(s, o)
	if err != nil {
		return 0, err
	}
	return list.count()
}

// listing is the messages that are to be listed.
type listing struct {
	*queue.Snapshot
	filters []compat.QueueFilter
	corrupt []string // names of damaged files
}

func newListing(s *queue.Spool, o Options) (*listing, error) {
	x, err := s.Snapshot(o.states())
	if err != nil {
		return nil, err
	}
	l := &listing{Snapshot: x, filters: o.Filters}
	if o.states()&queue.Corrupt != 0 {
		err = s.Scan(queue.Corrupt, func(e queue.Entry) error {
			if matchName(e.Name, o.Filters) {
				l.corrupt = append(l.corrupt, e.Name)
			}
			return nil
		})
		slices.Sort(l.corrupt)
	}
	return l, err
}

func (l *listing) count() (int, error) {
	if len(l.filters) == 0 {
		return l.Len() + len(l.corrupt), nil
	}
	n := len(l.corrupt)
	err := l.Each(func(m *queue.Message, err error) error {
		if err == nil && Match(m, l.filters) {
			n++
		}
		return nil
	})
	return n, err
}

// printer is a form of listing.
type printer interface {
	message(m *queue.Message) error
	lost(e queue.Entry, err error) error // err is ErrGone or ErrCorrupt
	end() error
}

func (l *listing) print(p printer) error {
	err := l.Each(func(m *queue.Message, err error) error {
		switch {
		case err != nil && len(l.filters) == 0:
			return p.lost(m.Entry, err)
		case err == nil && Match(m, l.filters):
			return p.message(m)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range l.corrupt {
		if err := p.lost(queue.Entry{State: queue.Corrupt, Name: name}, queue.ErrCorrupt); err != nil {
			return err
		}
	}
	return p.end()
}
