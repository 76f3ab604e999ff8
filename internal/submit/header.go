package submit

import (
	"bytes"
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
)

// The caps of a header: ten thousand recipients of the longest kind fit.
const (
	maxHeader = 4 << 20
	maxFields = 1 << 16
)

// role is what a field means to a submission.
type role uint16

const (
	isAddress role = 1 << iota // its body is an address list
	isRcpt                     // -t takes recipients from it
	isVisible                  // and its readers see them: To, Cc
	isResent                   // its name begins with Resent-
	isDropped                  // it does not go into the spool
	isDate
	isFrom
	isMessageID
	isReceived // a hop
)

// roleOf tells the role of a field by its name.
func roleOf(name string) role {
	base, resent := strings.CutPrefix(strings.ToLower(name), "resent-")
	var r role
	if resent {
		r = isResent
	}
	switch base {
	case "to", "cc":
		return r | isAddress | isRcpt | isVisible
	case "bcc":
		return r | isAddress | isRcpt | isDropped
	case "from":
		return r | isAddress | isFrom
	case "reply-to", "sender":
		return r | isAddress
	case "date":
		return r | isDate
	case "message-id":
		return r | isMessageID
	case "received":
		return r | isReceived
	case "return-path", "content-length":
		if !resent {
			return isDropped
		}
	}
	return r
}

// field is one field of a header, as offsets in its text.
type field struct {
	start, nameEnd uint32
	body, end      uint32 // from behind the colon to behind the last CRLF
	role           role
}

// header is what the caller wrote of a header.
type header struct {
	text     []byte // the lines with CRLF ends
	fields   []field
	seen     role     // of all fields that are not Resent-
	reseen   role     // of all that are; 0 when there are none
	received int      // hops
	inserts  []uint32 // where in text the origin completes an address, ascending
	utf8     bool     // an address in a field that stays needs SMTPUTF8
}

func (h *header) name(f field) string { return string(h.text[f.start:f.nameEnd]) }

// read reads a header: From_ lines, fields with their continuations, and the empty line after them, if there is
// one. What follows is left in the input.
func (h *header) read(in *input) error {
	line := in.peekLine()
	for ; isFromLine(line); line = in.peekLine() {
		in.skipLine()
	}
	for ; !in.isEnd(line); line = in.peekLine() {
		nameEnd, body := fieldName(line)
		switch {
		case len(h.fields) > 0 && (line[0] == ' ' || line[0] == '\t'):
		case body == 0:
			if len(trimEnd(line)) == 0 && len(line) < blockSize {
				in.consume(len(line))
			}
			return nil
		default:
			h.begin(string(line[:nameEnd]), body)
		}
		if err := h.takeLine(in); err != nil {
			return err
		}
	}
	return nil
}

// isFromLine tells whether a line is an envelope line of mbox or UUCP, "From a@b Sun Nov 22 ...", and not a From
// field with blanks before its colon.
func isFromLine(line []byte) bool {
	_, body := fieldName(line)
	return body == 0 && (bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From ")))
}

// fieldName finds where the name of the field that begins in line ends, and where its body begins; 0 when none
// begins there. RFC 5322 section 2.2 and, for the blanks before the colon, section 4.5.
func fieldName(line []byte) (nameEnd, body int) {
	colon := bytes.IndexByte(line, ':')
	name := bytes.TrimRight(line[:max(colon, 0)], " \t")
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return 0, 0
		}
	}
	if len(name) == 0 {
		return 0, 0
	}
	return len(name), colon + 1
}

// begin opens a field whose first line comes next; body is where in that line its body begins.
func (h *header) begin(name string, body int) {
	f := field{start: uint32(len(h.text)), role: roleOf(name)}
	f.nameEnd, f.body = f.start+uint32(len(name)), f.start+uint32(body)
	h.fields = append(h.fields, f)
	if f.role&isResent != 0 {
		h.reseen |= f.role
	} else {
		h.seen |= f.role
	}
	if f.role == isReceived {
		h.received++
	}
}

// takeLine adds the next line to the last field.
func (h *header) takeLine(in *input) error {
	start := len(h.text)
	for more := true; more; {
		piece := in.peekLine()
		if len(h.text)+len(piece) > maxHeader || len(h.fields) > maxFields {
			return status.Fail("submit.header", status.ExitDataErr, "message header too large", nil)
		}
		h.text = append(h.text, piece...)
		in.consume(len(piece))
		more = len(piece) > 0 && piece[len(piece)-1] != '\n'
	}
	h.text = append(h.text[:start+len(trimEnd(h.text[start:]))], crlf...)
	h.fields[len(h.fields)-1].end = uint32(len(h.text))
	return nil
}

// addressList is the body of a field and what was read in it.
type addressList struct {
	text  string
	boxes []address.Mailbox
	err   error
}

// parse reads the lists of all address fields, hands them to take, and notes what completes those that stay.
func (h *header) parse(take func(field, addressList) error) error {
	for _, f := range h.fields {
		if f.role&isAddress == 0 {
			continue
		}
		list := parseList(string(h.text[f.body:f.end]))
		if err := take(f, list); err != nil {
			return err
		}
		if f.role&isDropped == 0 {
			h.note(f, list)
		}
	}
	return nil
}

func parseList(text string) addressList {
	boxes, err := address.ParseList(text, address.Lenient)
	return addressList{text, boxes, err}
}

func (h *header) note(f field, list addressList) {
	for _, m := range list.boxes {
		if m.Err != nil {
			continue
		}
		h.utf8 = h.utf8 || m.Address.NeedsUTF8()
		if m.Address.Domain() == "" {
			h.inserts = append(h.inserts, f.body+uint32(m.End))
		}
	}
}

// write writes the fields that stay. completion is what follows an address without a domain.
func (h *header) write(w *writer, completion string) {
	inserts := h.inserts
	for _, f := range h.fields {
		if f.role&isDropped != 0 {
			continue
		}
		w.write(h.text[f.start:f.nameEnd])
		w.writeString(":")
		at := f.body
		for len(inserts) > 0 && inserts[0] < f.end {
			w.write(h.text[at:inserts[0]])
			w.writeString(completion)
			at, inserts = inserts[0], inserts[1:]
		}
		w.write(h.text[at:f.end])
	}
}
