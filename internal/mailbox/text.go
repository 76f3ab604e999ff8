package mailbox

import (
	"bufio"
	"io"
	"strings"
	"time"
)

const (
	fromMark   = "From "
	bufferSize = 64 << 10
)

// textWriter turns wire form into the lines of Unix, and quotes them when they go into an mbox. A CR that no
// LF follows is content and stays.
type textWriter struct {
	w     *bufio.Writer
	quote bool
	cr    bool // a CR is held back until it is known what follows
	mark  int  // how much of fromMark is held back; -1: the line cannot begin with it any more
	last  byte // the last byte written, to know whether the last line has its end
	n     int64
}

func newTextWriter(w io.Writer, quote bool) *textWriter {
	return &textWriter{w: bufio.NewWriterSize(w, bufferSize), quote: quote, last: '\n'}
}

// Write implements io.Writer.
func (t *textWriter) Write(p []byte) (int, error) {
	for _, c := range p {
		if t.cr && c != '\n' {
			t.put('\r')
		}
		if t.cr = c == '\r'; !t.cr {
			t.put(c)
		}
	}
	// bufio keeps its first error; an empty write asks for it without a flush.
	_, err := t.w.Write(nil)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// put takes a byte of a line in, and lets go of it as soon as it is clear whether the line needs a '>'.
func (t *textWriter) put(c byte) {
	if t.quote && t.mark >= 0 {
		switch {
		case c == fromMark[t.mark]:
			if t.mark++; t.mark == len(fromMark) {
				t.emit('>')
				t.release()
			}
			return
		case c == '>' && t.mark == 0: // one more '>' reads the same wherever in the row it stands
			t.emit(c)
			return
		}
		t.release()
	}
	t.emit(c)
	if c == '\n' {
		t.mark = 0
	}
}

// release writes what was held back; the rest of the line is free.
func (t *textWriter) release() {
	for i := range max(t.mark, 0) {
		t.emit(fromMark[i])
	}
	t.mark = -1
}

func (t *textWriter) emit(c byte) {
	t.w.WriteByte(c)
	t.last = c
	t.n++
}

// raw writes s as it is.
func (t *textWriter) raw(s string) {
	t.w.WriteString(s)
	t.n += int64(len(s))
}

// endLine gives the last line its end.
func (t *textWriter) endLine() {
	if t.cr {
		t.put('\r')
		t.cr = false
	}
	t.release()
	if t.last != '\n' {
		t.put('\n')
	}
}

func (t *textWriter) flush() error { return t.w.Flush() }

// fromLine is the line that starts a message in an mbox: sender and date, as ctime(3) writes it. A null
// reverse-path is MAILER-DAEMON. What would end the word or the line becomes a '-', as in qmail.
func fromLine(sender string, date time.Time) string {
	if sender == "" {
		sender = "MAILER-DAEMON"
	}
	word := strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '-'
		}
		return r
	}, sender)
	return fromMark + word + " " + date.Format(time.ANSIC) + "\n"
}

// WritePlain writes a message as programs get it on their standard input: From_ line, then the content with the line ends
// of Unix. Nothing is quoted.
func WritePlain(w io.Writer, m Message) error {
	t := newTextWriter(w, false)
	t.raw(fromLine(m.Sender, m.Date))
	if _, err := io.Copy(t, m.Content); err != nil {
		return err
	}
	t.endLine()
	return t.flush()
}
