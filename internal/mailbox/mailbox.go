// Package mailbox appends messages to mailboxes: mbox files and Maildirs.
//
// Rules that hold for both:
//
//   - What comes in is in wire form (CRLF line ends); what is stored has the line ends of Unix. A last line
//     without an end gets one.
//   - When a delivery returns nil the message survives a power cut. When it returns an error, an mbox is as it
//     was before and a Maildir's new/ holds nothing of the message.
//   - The caller runs as the mailbox's owner; nothing here changes ids.
//   - A message is streamed; the memory needed does not grow with it.
//
// An mbox is quoted the "mboxrd" way: a line that consists of any number of '>', then "From ", gets one more
// '>' in front, so that a reader can take exactly one away again and nothing in a message can look like the
// start of another. Locks are taken in the order of Debian Policy 11.6: fcntl(2) first, then path.lock.
//
// A Maildir delivery is idempotent: the file's name follows from the queue ID and the recipient's number, so
// repeating a delivery whose success nobody recorded does not make a second copy. An mbox has no such memory:
// a crash between the append and its record gives a second copy.
package mailbox

import (
	"errors"
	"io"
	"time"

	"postrider/internal/fsys"
)

var (
	// ErrBusy says that somebody else held the mailbox's lock for as long as we were ready to wait.
	ErrBusy = errors.New("mailbox is locked by another program")
	// ErrUnsafe says that the name leads to something that no mail is written to: a link, a device, a file
	// with other names or with another owner.
	ErrUnsafe = errors.New("not a safe mailbox")
)

// Message is what is delivered.
type Message struct {
	Sender  string    // reverse-path as on the wire, without < and >; "" when null
	Date    time.Time // of delivery, for an mbox's From_ line, in the location it is to be shown in
	Content io.Reader // header, empty line, body; CRLF
}

// syncDir makes the names in a directory durable. The "/." follows a link: /var/mail is one on many systems, and a
// Maildir may be one.
func syncDir(fs fsys.FS, dir string) error { return fs.SyncDir(dir + "/.") }

func orReal(fs fsys.FS) fsys.FS {
	if fs == nil {
		return fsys.OS{}
	}
	return fs
}
