package queuerun

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"postrider/internal/address"
	"postrider/internal/route"
	"postrider/internal/status"
)

// deliveredTo is what goes before the message for a recipient whom a .forward names, so that a loop over other machines is
// seen: a field for each who has forwarded it. One whose name is not ASCII has none, as the field would make the message need
// SMTPUTF8; such a loop ends with the number of hops.
func (a *attempt) deliveredTo(i int) string {
	var fields strings.Builder
	for ; i >= 0; i = a.c.Envelope.Rcpts[i].Parent - 1 {
		if via := a.c.Envelope.Forwarder(i); via != "" && isASCII(via) {
			fmt.Fprintf(&fields, "Delivered-To: %s\r\n", status.Clean(via, status.MaxText))
		}
	}
	if fields.Len() > 0 && a.headless() {
		fields.WriteString("\r\n")
	}
	return fields.String()
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= utf8.RuneSelf })
}

// wasAt tells whether the message has been with a user before: a Delivered-To field names him, in whatever domain of this
// machine.
func (a *attempt) wasAt(user address.Address) (bool, error) {
	h, err := a.scanned()
	if err != nil {
		return false, err
	}
	own := a.Router.Final(route.Member{Address: user.String()})
	for _, s := range h.deliveredTo {
		seen, err := address.Parse(s)
		if err != nil || !strings.EqualFold(seen.Unquoted(), user.Unquoted()) { // so that strangers ask for no other user
			continue
		}
		d := a.Router.Final(route.Member{Address: s})
		if d.Key() != "" && d.Key() == own.Key() {
			return true, nil
		}
	}
	return len(h.deliveredTo) == maxDeliveredTo, nil
}

// headless tells whether the message has no header, and not even the empty line that ends one.
func (a *attempt) headless() bool {
	h, err := a.scanned()
	return err == nil && h.headless
}

// header is what a message tells of where it was.
type header struct {
	deliveredTo []string
	headless    bool
}

// maxDeliveredTo is how many Delivered-To fields are looked at. A message with so many goes in circles, whoever is named.
const maxDeliveredTo = 100

// scanned is the message's header. It is read once.
func (a *attempt) scanned() (*header, error) {
	if a.header == nil {
		h, err := scanHeader(a.c.Body())
		if err != nil {
			return nil, fmt.Errorf("cannot read the message: %w", err)
		}
		a.header = &h
	}
	return a.header, nil
}

// scanHeader reads up to the end of the header, in bounded memory.
func scanHeader(body io.Reader) (h header, err error) {
	r := bufio.NewReaderSize(body, 4<<10)
	for first, whole := true, true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return h, err
		}
		if whole {
			name, value, field := bytes.Cut(line, []byte(":"))
			folded := !first && len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
			if field = field && len(name) > 0 && !bytes.ContainsAny(bytes.TrimRight(name, " \t"), " \t"); !field && !folded {
				h.headless = first && len(bytes.TrimRight(line, "\r\n")) > 0
				return h, nil
			}
			if !folded && bytes.EqualFold(bytes.TrimRight(name, " \t"), []byte("Delivered-To")) {
				h.deliveredTo = append(h.deliveredTo, string(bytes.TrimSpace(value)))
			}
		}
		if err == io.EOF || len(h.deliveredTo) == maxDeliveredTo {
			return h, nil
		}
		whole = err == nil
	}
}
