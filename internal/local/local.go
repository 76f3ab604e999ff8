// Package local is final delivery, done as the user to whom it belongs: into a mailbox, or to what a ~/.forward or
// an alias names in its place, a command, a file or a Maildir. It changes no ids. Package server has the processes
// that run as somebody else and call it.
//
// # Mailboxes
//
// A mailbox is named by a spec from the configuration, "mbox:/var/mail/{user}", "maildir:{home}/Maildir" or
// "command:/usr/bin/procmail -d {user}". What the braces stand for comes from the user database and is checked;
// nothing of an address ever gets into a path, and a command's arguments are never seen by a shell. (A spec
// "lmtp+unix:..." is a next hop and never comes here.)
//
// A delivered message begins with Return-Path and Delivered-To. Return-Path fields that it brought along are
// taken out (RFC 5321 section 4.4); a Delivered-To field that names the same recipient means that the message
// goes in circles, and returns it.
//
// Every failure but such a loop, and what a command says itself by its exit status, is temporary: what keeps a
// mailbox from being written, a full disk, a quota, wrong permissions, a wrong configuration, is put right by
// somebody, and the mail is still wanted then.
//
// # .forward
//
// Forward reads it, with the suspicion that a file deserves which decides where mail goes and what is run: see there.
// What is wrong in it never loses mail: a file that cannot be trusted does not count, and a line that cannot be
// used stands for the user's own mailbox.
//
// # Commands
//
// A command is split into words as a shell would, and run without one; only an alias of the administrator's may need
// a shell. It has nothing of our environment, descriptors or process group, and dies with all that is in its process
// group when its time is over. Nothing is run, and nothing but the mailbox written, as root.
package local

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/mailbox"
	"postrider/internal/status"
)

// User is the recipient as the user database has it.
type User struct {
	Name  string
	Home  string
	Shell string // "" is /bin/sh
	UID   int
}

// Delivery is one message for one recipient.
type Delivery struct {
	ID       string // queue ID; with N it makes repeated Maildir deliveries one
	N        int    // the recipient's number in the message
	Sender   string // reverse-path in wire form; "" when null
	Rcpt     string // forward-path in wire form, as Delivered-To is to name it
	Original string // the recipient that the sender gave, for commands; "": Rcpt
	Arrival  time.Time
	Date     time.Time         // of this delivery; zero: now
	Body     *io.SectionReader // header and body in wire form (CRLF)
}

// Agent is how an installation delivers. The zero value is one without restrictions on commands.
type Agent struct {
	CommandTimeLimit time.Duration // 0: an hour
	CommandDirectory string        // where the commands of .forward files and aliases must lie; "": anywhere
	Shells           string        // file of the shells that users may have; "": /etc/shells
	FS               fsys.FS       // nil: the real one
}

// Deliver puts d into u's mailbox. u must be the user that the process runs as. The outcome is never nil.
func Deliver(ctx context.Context, spec string, u User, d Delivery) *status.Status {
	return Agent{}.Mailbox(ctx, spec, u, d)
}

// Mailbox puts d into u's mailbox. u must be the user that the process runs as. The outcome is never nil.
func (a Agent) Mailbox(ctx context.Context, spec string, u User, d Delivery) *status.Status {
	return a.Mailboxes(ctx, spec, u, []Delivery{d})[0]
}

// Mailboxes is Mailbox for several messages. An mbox is locked and made durable once for all of them, and a Maildir gets
// them side by side, so that one write to the disk serves many. Each has an outcome of its own.
func (a Agent) Mailboxes(ctx context.Context, spec string, u User, list []Delivery) []*status.Status {
	outcomes := make([]*status.Status, len(list))
	where, err := parseSpec(spec)
	if err == nil {
		where.path, err = where.expand(u)
	}
	refused := foreign(u)
	if err != nil {
		refused = misconfigured("mailbox is not configured correctly", err)
	}
	var messages []mailbox.Message
	var of []int // whose they are
	for i, d := range list {
		m, err := prepare(d)
		switch {
		case refused != nil:
			outcomes[i] = refused
		case err != nil:
			outcomes[i] = outcome(err)
		default:
			messages, of = append(messages, m), append(of, i)
		}
	}
	if len(of) == 0 {
		return outcomes
	}
	switch where.scheme {
	case "command":
		for k, i := range of {
			outcomes[i] = a.mailboxCommand(ctx, where, u, list[i], messages[k])
		}
	case "maildir":
		var wg sync.WaitGroup
		for k, i := range of {
			wg.Go(func() { outcomes[i] = delivered(where.scheme, a.intoMaildir(where.path, list[i], messages[k])) })
		}
		wg.Wait()
	default:
		for k, err := range (mailbox.Mbox{Path: where.path, UID: u.UID, FS: a.FS}).AppendAll(ctx, messages) {
			outcomes[of[k]] = delivered(where.scheme, err)
		}
	}
	return outcomes
}

// foreign refuses what is not for the user that the process runs as; nil when it is.
func foreign(u User) *status.Status {
	if u.UID == os.Geteuid() {
		return nil
	}
	return misconfigured("delivery to another user needs the system installation", nil)
}

// delivered is the outcome of a delivery that ended with err.
func delivered(scheme string, err error) *status.Status {
	if err != nil {
		return outcome(err)
	}
	return status.New(op, 250, status.Code{2, 0, 0}, "delivered to "+words[scheme], nil)
}

func (a Agent) intoMaildir(dir string, d Delivery, m mailbox.Message) error {
	name := mailbox.MaildirName(d.ID, d.N, d.Arrival, hostname())
	return mailbox.Maildir{Dir: filepath.Clean(dir), FS: a.FS}.Deliver(name, d.Arrival, m)
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

// maxAddress bounds what is written of an address; addresses that were parsed are shorter.
const maxAddress = 1000

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}
