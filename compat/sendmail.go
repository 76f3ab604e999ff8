package compat

import (
	"io"

	"postrider/internal/status"
)

// What Sendmail cuts its columns to.
const (
	sendmailSender      = 78
	sendmailRcpt        = 38
	sendmailRcptVerbose = 71
	sendmailWhy         = 60
	sendmailWhyVerbose  = 100
	sendmailBody        = 10
	sendmailID          = 13
)

type sendmailLayout struct {
	page
	dir     string
	total   int
	verbose bool
	headed  bool
	why     int // what reasons are cut to
}

// SendmailLayout writes the listing of Sendmail's mailq to w. Its heading says how many messages follow, so
// total must be known; those that leave the queue meanwhile are listed as Gone. dir is the queue directory to
// show.
func SendmailLayout(w io.Writer, dir string, total int, verbose bool) Layout {
	l := &sendmailLayout{page: newPage(w), dir: dir, total: total, verbose: verbose, why: sendmailWhy}
	if verbose {
		l.why = sendmailWhyVerbose
	}
	return l
}

// Row lists one message.
func (l *sendmailLayout) Row(r *Row) error {
	l.head()
	id := status.Clean(r.ID, maxField)
	l.space(sendmailID - len(id))
	l.str(id)
	if r.Gone {
		l.str(" (job completed)\n")
		return l.settle()
	}
	l.char(marker(r))
	l.message(r)
	for i := range r.Rcpts {
		if rcpt := &r.Rcpts[i]; !rcpt.Done {
			l.recipient(rcpt)
		}
	}
	l.char('\n')
	return l.settle()
}

func (l *sendmailLayout) head() {
	if l.headed {
		return
	}
	l.headed = true
	l.str("\t\t")
	l.clean(l.dir)
	l.str(" (")
	l.num(int64(l.total))
	l.str(" request")
	if l.total != 1 {
		l.char('s')
	}
	if l.verbose {
		l.str(")\n-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------\n")
	} else {
		l.str(")\n-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------\n")
	}
}

// marker is the character behind the queue ID.
func marker(r *Row) byte {
	switch {
	case r.Active:
		return '*'
	case r.Lost:
		return '?'
	}
	return ' '
}

// message writes size, priority, time and sender, and beneath them why the message waits.
func (l *sendmailLayout) message(r *Row) {
	l.right(r.Size, 8)
	l.char(' ')
	if l.verbose {
		l.right(r.Priority, 10)
		if r.Warned {
			l.char('+')
		} else {
			l.char(' ')
		}
		l.date(r.Arrival, "Jan _2 15:04")
	} else {
		l.date(r.Arrival, "Mon Jan _2 15:04")
	}
	l.char(' ')
	if r.Sender == "" {
		l.str(nullSender)
	} else {
		l.cut(r.Sender, sendmailSender)
	}
	if r.Held {
		l.str("\n     QUARANTINE: ")
		l.cut(r.HoldReason, l.why)
	}
	l.reason(r)
}

// reason writes "\n    %10.10s   (%.60s)": body type and the message's last status.
func (l *sendmailLayout) reason(r *Row) {
	if r.Reason == "" && r.Body == "" {
		return
	}
	l.str("\n    ")
	l.space(sendmailBody - len(r.Body))
	l.cut(r.Body, sendmailBody)
	if r.Reason != "" {
		l.str("   (")
		l.cut(r.Reason, l.why)
		l.char(')')
	}
}

func (l *sendmailLayout) recipient(rcpt *RowRcpt) {
	if !l.verbose {
		l.str("\n\t\t\t\t\t ")
		l.cut(rcpt.Address, sendmailRcpt)
		return
	}
	l.str("\n\t\t\t\t\t\t")
	l.cut(rcpt.Address, sendmailRcptVerbose)
	if rcpt.Reason != "" {
		l.str("\n\t\t (")
		l.cut(rcpt.Reason, l.why)
		l.char(')')
	}
}

// End writes the footer.
func (l *sendmailLayout) End() error {
	if l.total > 0 {
		l.head()
	} else if !l.headed {
		l.clean(l.dir)
		l.str(" is empty\n")
	}
	l.str("\t\tTotal requests: ")
	l.num(int64(l.total))
	l.char('\n')
	return l.flush()
}
