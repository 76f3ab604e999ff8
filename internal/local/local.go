// Package local is final delivery into the mailbox of the user that runs it.
//
// A mailbox is named by a spec from the configuration, "mbox:/var/mail/{user}" or "maildir:{home}/Maildir".
// What the braces stand for comes from the user database and is checked; nothing of an address ever gets into a
// path. (A spec "lmtp+unix:..." is a next hop and never comes here.)
//
// A delivered message begins with Return-Path and Delivered-To. Return-Path fields that it brought along are
// taken out (RFC 5321 section 4.4); a Delivered-To field that names the same recipient means that the message
// goes in circles, and returns it.
//
// Every failure but such a loop is temporary: what keeps a mailbox from being written, a full disk, a quota,
// wrong permissions, a wrong configuration, is put right by somebody, and the mail is still wanted then.
package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"postrider/internal/mailbox"
	"postrider/internal/status"
)

// User is the recipient as the user database has it.
type User struct {
	Name string
	Home string
	UID  int
}

// Delivery is one message for one recipient.
type Delivery struct {
	ID      string // queue ID; with N it makes repeated Maildir deliveries one
	N       int    // the recipient's number in the message
	Sender  string // reverse-path in wire form; "" when null
	Rcpt    string // forward-path in wire form, as Delivered-To is to name it
	Arrival time.Time
	Date    time.Time         // of this delivery; zero: now
	Body    *io.SectionReader // header and body in wire form (CRLF)
}

// Deliver puts d into u's mailbox. u must be the user that the process runs as. The outcome is never nil.
func Deliver(ctx context.Context, spec string, u User, d Delivery) *status.Status {
	where, err := parseSpec(spec)
	if err == nil {
		where.path, err = where.expand(u)
	}
	if err != nil {
		return status.New(op, 451, status.Code{4, 3, 5}, "mailbox is not configured correctly", err)
	}
	if u.UID != os.Geteuid() {
		return status.New(op, 451, status.Code{4, 3, 5}, "delivery to another user needs the system installation", nil)
	}
	m, err := prepare(d)
	if err != nil {
		return outcome(err)
	}
	if where.maildir {
		name := mailbox.MaildirName(d.ID, d.N, d.Arrival, hostname())
		err = mailbox.Maildir{Dir: where.path}.Deliver(name, d.Arrival, m)
	} else {
		err = mailbox.Mbox{Path: where.path, UID: u.UID}.Append(ctx, m)
	}
	if err != nil {
		return outcome(err)
	}
	return status.New(op, 250, status.Code{2, 0, 0}, "delivered to "+where.kind(), nil)
}

// prepare looks at the header and makes of d what is to be stored.
func prepare(d Delivery) (mailbox.Message, error) {
	h, err := scanHeader(d.Body, d.Rcpt)
	if err != nil {
		return mailbox.Message{}, err
	}
	if h.looped {
		return mailbox.Message{}, status.New(op, 554, status.Code{5, 4, 6}, "mail forwarding loop for "+
			status.Clean(d.Rcpt, maxAddress), nil)
	}
	top := "Return-Path: <" + status.Clean(d.Sender, maxAddress) + ">\r\n" +
		"Delivered-To: " + status.Clean(d.Rcpt, maxAddress) + "\r\n"
	if h.headless {
		top += "\r\n"
	}
	date := d.Date
	if date.IsZero() {
		date = time.Now()
	}
	content := io.MultiReader(append([]io.Reader{strings.NewReader(top)}, h.kept(d.Body)...)...)
	return mailbox.Message{Sender: d.Sender, Date: date.Local(), Content: content}, nil
}

// op names what is done here, in a Status.
const op = "local"

// maxAddress bounds what is written of an address; addresses that were parsed are shorter.
const maxAddress = 1000

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}

// outcome classifies what a mailbox said. Its text is public; the cause keeps the path.
func outcome(err error) *status.Status {
	var s *status.Status
	if errors.As(err, &s) {
		return s
	}
	for _, row := range causes {
		for _, cause := range row.causes {
			if errors.Is(err, cause) {
				return status.New(op, row.reply, row.code, row.text, err)
			}
		}
	}
	return status.New(op, 451, status.Code{4, 3, 0}, "cannot write the mailbox", err)
}

var causes = []struct {
	causes []error
	reply  int
	code   status.Code
	text   string
}{
	{[]error{syscall.EDQUOT, syscall.EFBIG}, 452, status.Code{4, 2, 2}, "mailbox is over its quota"},
	{[]error{syscall.ENOSPC}, 452, status.Code{4, 3, 1}, "no space left on the mailbox's disk"},
	{[]error{mailbox.ErrBusy}, 450, status.Code{4, 2, 0}, "mailbox is locked by another program"},
	{[]error{mailbox.ErrUnsafe}, 450, status.Code{4, 2, 0}, "mailbox is not a plain file of its owner"},
	{[]error{fs.ErrPermission, syscall.EROFS}, 450, status.Code{4, 2, 0}, "mailbox cannot be written: permission denied"},
	{[]error{fs.ErrNotExist}, 450, status.Code{4, 2, 0}, "mailbox's directory does not exist"},
	{[]error{syscall.ENOTDIR, syscall.ELOOP}, 450, status.Code{4, 2, 0}, "mailbox's path leads through something that is no directory"},
	{[]error{context.Canceled, context.DeadlineExceeded}, 451, status.Code{4, 3, 2}, "delivery was interrupted"},
}
