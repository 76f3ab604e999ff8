package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postrider/internal/address"
	"postrider/internal/fsys"
	"postrider/internal/status"
	"postrider/internal/submit"
)

// refuse says that a message was not accepted, in the way that the error mode asks for: printed and kept in
// dead.letter (p), told by the exit status alone (q), mailed back (m, e), written to the terminal (w).
func (p *program) refuse(in *input, o submit.Options, err error) error {
	st := status.From(err)
	o.User = user()
	p.logRefusal(o, st)
	in = p.whole(in)
	switch p.inv.ErrorMode {
	case 'q':
		return silent{st.Exit()}
	case 'w':
		if p.write(st) == nil {
			return silent{st.Exit()}
		}
		fallthrough
	case 'm', 'e':
		if in == nil || p.mailBack(in, o, st) != nil {
			p.fail(st)
			p.deadLetter(in, o)
		}
		if p.inv.ErrorMode == 'e' {
			return nil
		}
		return silent{st.Exit()}
	}
	p.fail(st)
	p.deadLetter(in, o)
	return silent{st.Exit()}
}

// logRefusal logs a refusal that was not the server's: that has logged it.
func (p *program) logRefusal(o submit.Options, st *status.Status) {
	if p.server != nil && p.server.answered {
		return
	}
	from := o.User.Name
	if o.From != nil {
		from = *o.From
	}
	p.openLog()
	p.log.Refused(from, o.User.UID, st.Code(), st.Text())
}

// whole reads to the end of a message that was refused. It returns nil when there is nothing to save or return: a
// signal ended the reading, or nothing was read and nothing need come, as the caller named no recipient or is at a
// terminal.
func (p *program) whole(in *input) *input {
	untouched := len(in.kept) == 0 && !in.lost
	nobody := len(p.inv.Recipients) == 0 && !p.inv.ExtractRecipients
	if in.stopped != nil || untouched && (nobody || in.interactive()) {
		return nil
	}
	in.drain()
	if len(in.kept) == 0 && !in.lost {
		return nil
	}
	return in
}

// write tells the caller's terminal.
func (p *program) write(st *status.Status) error {
	tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer tty.Close()
	_, err = fmt.Fprintf(tty, "\r\nMessage from sendmail: your message was not sent: %s\r\n", status.Clean(st.Error(), status.MaxText))
	return err
}

// mailBack returns a message to its sender. The report has the null reverse-path, so that it is never returned
// itself.
func (p *program) mailBack(in *input, o submit.Options, st *status.Status) error {
	to := returnTo(o)
	if to == "" || in.lost {
		return fmt.Errorf("nobody to return the message to, or too large to return")
	}
	null := ""
	back := submit.Options{Recipients: []string{to}, From: &null, IgnoreDots: true, User: o.User, Hostname: o.Hostname,
		Origin: o.Origin, IsLocal: o.IsLocal, HopLimit: o.HopLimit}
	res, err := p.store(report(to, o.Hostname, st, in.kept), back)
	if err != nil {
		return err
	}
	p.logQueued(res)
	if p.server == nil && !p.spool.Running() {
		p.start("queuerun", append(p.settings(), "--id", string(res.Entry.ID))...)
	}
	return nil
}

// returnTo is to whom a message is returned: to the sender that -f names, if that is one address, and else to the
// user. What could not be read as one sender may be any number of strangers.
func returnTo(o submit.Options) string {
	if o.From != nil {
		list, err := address.ParseList(*o.From, address.Lenient)
		if err == nil && len(list) == 1 && list[0].Err == nil {
			return list[0].Address.String()
		}
	}
	return o.User.Name
}

// report is the text of a message that returns another.
func report(to, host string, st *status.Status, message []byte) io.Reader {
	boundary := fmt.Sprintf("returned.%d.%d", os.Getpid(), time.Now().UnixNano())
	head := fmt.Sprintf("From: Mail Delivery System <MAILER-DAEMON@%s>\nTo: %s\nSubject: Returned mail: not accepted\n"+
		"Auto-Submitted: auto-replied\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"%s\"\n\n--%s\n\n"+
		"The message below was not accepted and has not been sent:\n\n    %s\n\n--%s\nContent-Type: message/rfc822\n"+
		"Content-Transfer-Encoding: 8bit\n\n", host, status.Clean(to, status.MaxText), boundary, boundary, status.Clean(st.Error(), status.MaxText), boundary)
	return io.MultiReader(strings.NewReader(head), bytes.NewReader(message), strings.NewReader("\n--"+boundary+"--\n"))
}

// deadLetter saves a message that was refused at the end of ~/dead.letter, as a mail folder.
func (p *program) deadLetter(in *input, o submit.Options) {
	if in == nil {
		return
	}
	if in.lost {
		p.say("the message is too large for dead.letter and was not saved")
		return
	}
	home := homeDir(o.User.UID)
	if !filepath.IsAbs(home) {
		return
	}
	path := filepath.Join(home, "dead.letter")
	if err := appendLetter(path, o.User.Name, in.kept, time.Now()); err != nil {
		p.say("cannot save the message in %s: %v", path, unwrapPath(err))
		return
	}
	fmt.Fprintf(p.err, "%s... Saved message in %s\n", path, path)
}

// homeDir is the home of a user by the password file, not by what the environment says: dead.letter holds mail.
var homeDir = func(uid int) string { return lookup(passwd, uid).home }

// appendLetter adds a message to a folder in mbox form. After an error the folder is as it was.
func appendLetter(path, user string, message []byte, now time.Time) error {
	f, err := fsys.OS{}.Append(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Regular {
		return fmt.Errorf("not a regular file")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From %s %s\n", user, now.Format(time.ANSIC))
	for line := range bytes.Lines(message) {
		line = bytes.TrimRight(line, "\r\n")
		if bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			b.WriteByte('>')
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	if _, err := f.Write(b.Bytes()); err != nil {
		f.Truncate(st.Size)
		if st.Size == 0 {
			os.Remove(path)
		}
		return err
	}
	return f.Sync()
}
