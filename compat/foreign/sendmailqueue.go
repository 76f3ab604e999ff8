package foreign

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// sendmailFile gathers what the lines of a qf file say of a message. A line begins with the letter of what it is; one
// that begins with a blank continues a header field; "." is the end.
type sendmailFile struct {
	*Message
	header  bytes.Buffer
	field   bool   // the last line was of a header field that is kept
	inField bool   // the last line was of a header field
	orcpt   string // of the recipient that comes next
	sender  bool
	ended   bool
}

// ReadSendmail reads a qf file of Sendmail, and takes the message's text from data when it is copied. data is nil when
// there is none.
func ReadSendmail(qf io.Reader, data io.ReaderAt) (*Message, error) {
	f := &sendmailFile{Message: &Message{}}
	r := bufio.NewReaderSize(qf, 64<<10)
	for size := 0; !f.ended; {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			if !f.sender {
				return nil, malformed("it has no sender")
			}
			return nil, ErrUnfinished
		}
		if err != nil {
			return nil, err
		}
		if size += len(line); size > maxEnvelope {
			return nil, malformed("more than %d bytes", maxEnvelope)
		}
		if err := f.line(line); err != nil {
			return nil, err
		}
	}
	switch {
	case !f.sender:
		return nil, malformed("it has no sender")
	case len(f.Rcpts) == 0:
		return nil, ErrDone
	}
	f.copy = func(w io.Writer) error { return f.copySendmail(w, data) }
	return f.Message, nil
}

// readLine reads a line of bounded length, without its end. A last line without an end is not whole.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxRecord {
			return "", malformed("a line is too long")
		}
		if err == nil {
			return strings.TrimRight(string(line), "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
	}
}

// line takes one line.
func (f *sendmailFile) line(s string) error {
	if s == "" {
		return malformed("a line is empty")
	}
	if s[0] == ' ' || s[0] == '\t' {
		if !f.inField {
			return malformed("a line continues nothing")
		}
		if f.field {
			f.header.WriteString(s + "\n")
		}
		return nil
	}
	f.inField = s[0] == 'H'
	value := s[1:]
	switch s[0] {
	case 'V':
		if n, err := strconv.Atoi(value); err != nil || n < 1 || n > 8 {
			return malformed("version %.10q is not known", value)
		}
	case 'T':
		f.Arrival = parseStamp(value)
	case 'S':
		f.sender = true
		return f.setSender(unbracket(value))
	case 'R':
		return f.recipient(value)
	case 'Q':
		f.orcpt = sendmailORcpt(value)
	case 'H':
		f.keepField(value)
	case 'F':
		f.Warned = strings.Contains(value, "w")
		if strings.Contains(value, "d") {
			f.Ret = "FULL"
			if strings.Contains(value, "n") {
				f.Ret = "HDRS"
			}
		}
	case 'B':
		if body := strings.ToUpper(value); body == "7BIT" || body == "8BITMIME" {
			f.Body = body
		}
	case 'Z':
		if isXtext(value) {
			f.EnvID = value
		} else if value != "" {
			f.EnvID = xtext(value)
		}
	case '$':
		f.macro(value)
	case '!':
		f.Notes = append(f.Notes, "its deadline (DELIVERBY) is not carried over")
	case '.':
		f.ended = true
	}
	return nil
}

// unbracket takes the brackets of a path away.
func unbracket(s string) string {
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, "<"); ok {
		return strings.TrimSuffix(rest, ">")
	}
	return s
}

// recipient takes "flags:address". N says that there was NOTIFY, of S, F and D; A that an alias became this.
func (f *sendmailFile) recipient(s string) error {
	flags, addr, ok := strings.Cut(s, ":")
	if !ok || strings.ContainsFunc(flags, func(r rune) bool { return r < 'A' || r > 'Z' }) {
		flags, addr = "", s
	}
	r := Rcpt{ORcpt: f.orcpt, NoAlias: strings.Contains(flags, "A")}
	f.orcpt = ""
	addr = unbracket(addr)
	if rest, escaped := strings.CutPrefix(addr, `\`); escaped {
		addr, r.NoAlias = rest, true
	}
	if strings.HasPrefix(addr, "|") || strings.HasPrefix(addr, "/") || strings.HasPrefix(addr, `"|`) || strings.HasPrefix(addr, ":include:") {
		return malformed("a recipient is a command or a file, what an alias became")
	}
	if strings.Contains(flags, "N") {
		r.Notify = notifyLetters(flags)
	}
	return f.addRcpt(addr, r)
}

// notifyLetters is NOTIFY of the letters of a recipient.
func notifyLetters(flags string) string {
	var list []string
	for _, row := range []struct{ letter, word string }{{"S", "SUCCESS"}, {"F", "FAILURE"}, {"D", "DELAY"}} {
		if strings.Contains(flags, row.letter) {
			list = append(list, row.word)
		}
	}
	if len(list) == 0 {
		return "NEVER"
	}
	return strings.Join(list, ",")
}

// sendmailORcpt is the original recipient as ORCPT had it; one that is not of that form is none.
func sendmailORcpt(s string) string {
	if kind, addr, ok := strings.Cut(s, ";"); ok && isXtext(kind) && isXtext(strings.TrimSpace(addr)) {
		return kind + ";" + strings.TrimSpace(addr)
	}
	return ""
}

// keepField takes "?flags?Name: value" or "Name: value". Fields that are only for some mailers, Return-Path and
// Full-Name, go: their values are not even known yet.
func (f *sendmailFile) keepField(s string) {
	if rest, ok := strings.CutPrefix(s, "?"); ok {
		flags, field, closed := strings.Cut(rest, "?")
		if closed {
			f.field = !strings.ContainsAny(flags, "Px")
			s = field
		}
	} else {
		f.field = true
	}
	if f.field {
		f.header.WriteString(s + "\n")
	}
}

// macro takes "_client" and "{auth_authen}login".
func (f *sendmailFile) macro(s string) {
	switch name, value := macroName(s); name {
	case "_":
		if host, addr, ok := strings.Cut(value, " ["); ok && !strings.Contains(host, "@") {
			addr, _, _ = strings.Cut(addr, "]")
			f.Client = host + "[" + addr + "]"
		}
	case "auth_authen":
		f.Login = value
	}
}

// copySendmail writes the header and the data file.
func (f *sendmailFile) copySendmail(w io.Writer, data io.ReaderAt) error {
	if _, err := w.Write(append(f.header.Bytes()[:f.header.Len():f.header.Len()], '\n')); err != nil || data == nil {
		return err
	}
	_, err := io.Copy(w, bufio.NewReader(io.NewSectionReader(data, 0, 1<<62)))
	return err
}

// ArrivalOr is the time at which the message arrived, or t when its queue does not say.
func (m *Message) ArrivalOr(t time.Time) time.Time {
	if m.Arrival.IsZero() {
		return t
	}
	return m.Arrival
}
