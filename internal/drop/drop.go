// Package drop is the way into a spool that is another user's, when no server listens: the program drop, which has the
// rights of the spool's group, takes a message from sendmail, which has none but its caller's.
//
// # Rules
//
//   - Whoever calls drop is a stranger: all that he gives it is what stands on its standard input, and none of that is a
//     path or a name. The spool and the limits come from a file that only root writes.
//   - A message counts when its last frame has come. One that was cut off, be it in the middle of its last byte, leaves
//     nothing.
//   - Who submitted a message is the user who runs the program, never what the input says.
//   - The input is framed, and so is the answer: a line with the ID, before anything is read, and the exit status.
package drop

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"postrider/internal/status"
	"postrider/queue"
)

// maxEnvelope is the longest envelope that is taken, in bytes: a hundred thousand recipients.
const maxEnvelope = 8 << 20

// Request is who calls, and what is allowed to him.
type Request struct {
	Box   *queue.Dropbox
	Spool string // of which the caller must know that it is this one
	Limit int64  // bytes of a message; 0: any number
	UID   int
	User  string // his login name, "" when it is not known
	Now   func() time.Time
}

// Take answers with an ID, reads a message and commits it. When the error is nil the message is accepted, and otherwise
// nothing of it is left. Errors are *status.Status: data (65) for what is no message of sendmail's, input (74) for one that
// was cut off, unavailable (69) for one that is too large, and else what the spool says.
func (r *Request) Take(in io.Reader, answer io.Writer) error {
	if err := r.Box.Room(0); err != nil {
		return err
	}
	id := r.Box.NewID()
	if _, err := fmt.Fprintf(answer, "%s\n", id); err != nil {
		return status.Fail("drop.answer", status.ExitIOErr, "nobody wants to know the message's ID", err)
	}
	f := newReader(in)
	if err := f.greet(r.Spool); err != nil {
		return err
	}
	e, rest, err := f.envelope()
	if err != nil {
		return err
	}
	d, err := r.Box.NewDraft(id, r.submitted(e))
	if err != nil {
		return err
	}
	if err := f.copy(d, rest, r.Limit); err != nil {
		d.Abort()
		return err
	}
	_, err = d.Commit()
	return err
}

// submitted is the envelope that is kept: what a user says, and what is known of him.
func (r *Request) submitted(e queue.Envelope) queue.Envelope {
	return queue.Envelope{
		Arrival: r.Now(), UID: r.UID, User: r.User, Proto: "local",
		Sender: e.Sender, Rcpts: e.Rcpts, Ret: e.Ret, EnvID: e.EnvID, Body: e.Body, UTF8: e.UTF8, Tag: e.Tag, NoAlias: e.NoAlias,
	}
}

// envelope reads as many frames as the envelope has, and returns what of the message was in them.
func (r *reader) envelope() (e queue.Envelope, rest []byte, err error) {
	var b []byte
	for seen := 0; ; {
		p, err := r.text()
		if err != nil {
			return e, nil, err
		}
		if p == nil {
			return e, nil, malformed("the message ends in its envelope")
		}
		b = append(b, p...)
		if ended := bytes.Contains(b[max(0, seen-1):], []byte("\n\n")); !ended && len(b) < maxEnvelope {
			seen = len(b)
			continue
		}
		e, n, err := queue.ParseEnvelope(b)
		if err != nil || n < 0 {
			return e, nil, malformed("there is no envelope")
		}
		return e, b[n:], nil
	}
}

// copy copies the message, of which some bytes have been read, to its end.
func (r *reader) copy(d *queue.Draft, p []byte, limit int64) (err error) {
	for ; p != nil; p, err = r.text() {
		if limit > 0 && d.Size()+int64(len(p)) > limit {
			return status.New("drop.size", 552, status.Code{5, 3, 4}, fmt.Sprintf("message size exceeds limit of %d bytes", limit), nil)
		}
		if _, err := d.Write(p); err != nil {
			return err
		}
	}
	return err
}
