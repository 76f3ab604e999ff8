package server

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"postrider/internal/address"
)

// command is one line of a client.
type command struct {
	verb   string // in capitals
	path   address.Address
	params []param
	arg    string // of other verbs than MAIL and RCPT
}

type param struct{ key, value string }

var (
	errSyntax = errors.New("syntax error")
	errParam  = errors.New("unknown parameter")
)

// parseCommand reads a line without its end.
func parseCommand(line string) (command, error) {
	verb, arg, _ := strings.Cut(line, " ")
	c := command{verb: strings.ToUpper(verb), arg: strings.TrimSpace(arg)}
	word := ""
	switch c.verb {
	case "MAIL":
		word = "FROM:"
	case "RCPT":
		word = "TO:"
	default:
		return c, nil
	}
	if len(c.arg) < len(word) || !strings.EqualFold(c.arg[:len(word)], word) {
		return c, errSyntax
	}
	var rest string
	var err error
	if c.path, rest, err = address.ParsePath(strings.TrimLeft(c.arg[len(word):], " ")); err != nil {
		return c, err
	}
	if rest != "" && rest[0] != ' ' {
		return c, errSyntax
	}
	for _, w := range strings.Fields(rest) {
		key, value, has := strings.Cut(w, "=")
		if key == "" || has && value == "" {
			return c, errSyntax
		}
		c.params = append(c.params, param{strings.ToUpper(key), value})
	}
	return c, nil
}

// mail is what MAIL says.
type mail struct {
	from    string
	id      string
	arrival time.Time
	size    int64
}

// mail reads the parameters of MAIL.
func (c command) mail() (mail, error) {
	m := mail{from: c.path.String()}
	for _, p := range c.params {
		ok := true
		switch p.key {
		case "SIZE":
			n, err := strconv.ParseUint(p.value, 10, 63)
			m.size, ok = int64(n), err == nil
		case "BODY":
			ok = oneOf(p.value, "7BIT", "8BITMIME", "BINARYMIME")
		case "RET", "ENVID", "SMTPUTF8": // reports are the client's business
		case "XID":
			m.id, ok = p.value, isID(p.value)
		case "XARRIVAL":
			n, err := strconv.ParseUint(p.value, 10, 62)
			m.arrival, ok = time.UnixMicro(int64(n)), err == nil
		default:
			return m, errParam
		}
		if !ok {
			return m, errSyntax
		}
	}
	return m, nil
}

func oneOf(s string, words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(s, w) {
			return true
		}
	}
	return false
}

// isID tells whether s can be a queue ID: it becomes part of file names.
func isID(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// wish is what RCPT says.
type wish struct {
	to       address.Address
	number   int
	original string
	mailbox  bool   // straight into the mailbox
	member   string // "": the user
}

// maxNumber is the highest number of a recipient.
const maxNumber = 1 << 30

// wish reads the parameters of RCPT.
func (c command) wish() (wish, error) {
	w := wish{to: c.path}
	if c.path.IsNull() {
		return w, errSyntax
	}
	for _, p := range c.params {
		ok := true
		switch p.key {
		case "NOTIFY":
		case "ORCPT":
			kind, text, _ := strings.Cut(p.value, ";")
			if text, ok = decodeXtext(text); ok && oneOf(kind, "rfc822", "utf-8") {
				w.original = text
			}
		case "XRCPT":
			n, err := strconv.ParseUint(p.value, 10, 31)
			w.number, ok = int(n), err == nil && n <= maxNumber
		case "XMAILBOX":
			w.mailbox, ok = true, p.value == ""
		case "XMEMBER":
			w.member, ok = decodeXtext(p.value)
			ok = ok && w.member != ""
		default:
			return w, errParam
		}
		if !ok {
			return w, errSyntax
		}
	}
	if w.mailbox && w.member != "" {
		return w, errSyntax
	}
	return w, nil
}

// encodeXtext writes any bytes as xtext (RFC 3461 section 4).
func encodeXtext(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < '!' || c > '~' || c == '+' || c == '=' {
			b.WriteByte('+')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func decodeXtext(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			b.WriteByte(byte(n))
			i += 2
		case c < '!' || c == '=' || c == 0x7f:
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}
