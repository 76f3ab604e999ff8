package compat

import (
	"io"

	"postrider/internal/status"
)

// The columns of Postfix's listing. Its longer queue IDs have wider ones, and so have ours.
const (
	postfixShort = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
	postfixLong  = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"

	longID       = 15 // bytes; Postfix's short queue IDs end at 12
	reasonColumn = 76 // where reasons end
	asctime      = "Mon Jan _2 15:04:05"
)

type postfixLayout struct {
	page
	rows  int64
	total int64
	// widths of the columns, by the first message's queue ID
	id, size, day, rcpt int
}

// PostfixLayout writes the listing of Postfix's mailq to w. Its last line is the footer, so programs that read
// only that line can.
func PostfixLayout(w io.Writer) Layout { return &postfixLayout{page: newPage(w)} }

// Row lists one message; messages gone and damaged queue files have no place in this layout.
func (l *postfixLayout) Row(r *Row) error {
	if r.Gone || r.Lost {
		return nil
	}
	if l.rows == 0 {
		l.head(len(r.ID))
	} else {
		l.char('\n')
	}
	l.rows++
	l.total += r.Total
	l.message(r)
	last := ""
	for i := range r.Rcpts {
		if rcpt := &r.Rcpts[i]; !rcpt.Done {
			l.recipient(rcpt.Address, reason(r, rcpt), &last)
		}
	}
	return l.settle()
}

func (l *postfixLayout) head(id int) {
	if id < longID {
		l.id, l.size, l.day = 11, 7, 20
		l.str(postfixShort)
	} else {
		l.id, l.size, l.day = 17, 8, 19
		l.str(postfixLong)
	}
	l.rcpt = l.id + 1 + l.size + 1 + l.day + 1
}

// message writes "%-17s %8ld %19.19s %s". The marker is glued to the ID and may push the columns.
func (l *postfixLayout) message(r *Row) {
	start := len(l.buf)
	l.clean(r.ID)
	if r.Active {
		l.char('*')
	} else if r.Held {
		l.char('!')
	}
	l.space(l.id - (len(l.buf) - start))
	l.char(' ')
	l.right(r.Total, l.size)
	l.char(' ')
	l.date(r.Arrival, asctime)
	l.space(l.day - len(asctime) + 1)
	if r.Sender == "" {
		l.str(nullSender)
	} else {
		l.clean(r.Sender)
	}
	l.char('\n')
}

// recipient writes the reason where it is another than the last one, and the address. A reason is
// right-aligned.
func (l *postfixLayout) recipient(address, why string, last *string) {
	if why != *last {
		*last = why
		if why == "" {
			why = "reason unavailable"
		}
		why = status.Clean(why, maxField)
		l.space(reasonColumn - len(why))
		l.char('(')
		l.str(why)
		l.str(")\n")
	}
	l.space(l.rcpt)
	l.clean(address)
	l.char('\n')
}

// End writes the footer, or that there is nothing.
func (l *postfixLayout) End() error {
	if l.rows == 0 {
		l.str("Mail queue is empty\n")
		return l.flush()
	}
	l.str("\n-- ")
	l.num(l.total / 1024)
	l.str(" Kbytes in ")
	l.num(l.rows)
	l.str(" Request")
	if l.rows != 1 {
		l.char('s')
	}
	l.str(".\n")
	return l.flush()
}

// reason is why a recipient waits: a message that is held waits for its administrator's reason.
func reason(r *Row, rcpt *RowRcpt) string {
	if rcpt.Reason == "" && r.Held {
		return r.HoldReason
	}
	return rcpt.Reason
}
