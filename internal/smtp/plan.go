package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"postrider/internal/status"
)

// plan is how a message goes to a peer: as it is, or converted to 7 bits.
type plan struct {
	size   int64   // bytes before dot-stuffing, for SIZE
	body8  bool    // say BODY=8BITMIME
	survey *survey // not nil: convert
}

// planBody decides by what the peer offers. 8-bit text in a message that is no MIME goes out raw and without BODY=,
// as Sendmail and Postfix do: there is no label that a conversion could change. MIME goes as 8BITMIME, and is converted
// where that is not offered (RFC 6152 section 3).
func planBody(m Message, ext extensions, utf8 bool) (plan, *status.Status) {
	p := plan{size: int64(len(m.Header)) + m.Body.Size()}
	if !m.EightBit {
		p.body8 = ext.eightBit && (m.BodyType == "8BITMIME" || utf8)
		return p, nil
	}
	isMIME, err := hasMIMEVersion(m)
	switch {
	case err != nil:
		return p, unreadable(err)
	case ext.eightBit:
		p.body8 = isMIME || utf8 || m.BodyType == "8BITMIME"
		return p, nil
	case !isMIME:
		return p, nil
	}
	return p.converted(m)
}

// converted surveys the message and measures what becomes of it.
func (p plan) converted(m Message) (plan, *status.Status) {
	var err error
	if p.survey, err = surveyBody(start(m)); err == nil {
		p.size, err = io.Copy(io.Discard, p.open(m))
	}
	switch {
	case errors.Is(err, errOpaque):
		return p, status.New("smtp.body", 554, status.Code{5, 6, 3},
			"the message holds 8-bit parts that cannot be converted, and the peer does not offer 8BITMIME", err)
	case err != nil:
		return p, unreadable(err)
	}
	return p, nil
}

// open is the message from its start, as planned.
func (p plan) open(m Message) io.Reader {
	if p.survey == nil {
		return start(m)
	}
	return newDowngrade(start(m), p.survey)
}

// start reads the message from its start and leaves the body's own offset alone.
func start(m Message) io.Reader {
	body := io.NewSectionReader(m.Body, 0, m.Body.Size())
	if m.Header == "" {
		return body
	}
	return io.MultiReader(strings.NewReader(m.Header), body)
}

func unreadable(err error) *status.Status {
	return status.New("smtp.body", 451, status.Code{4, 3, 0}, "cannot read the message", err)
}

// hasMIMEVersion looks for the field in the header, or the first maxHeader bytes of it.
func hasMIMEVersion(m Message) (bool, error) {
	r := bufio.NewReader(io.LimitReader(start(m), maxHeader))
	for bol := true; ; {
		line, err := r.ReadSlice('\n')
		if bol && (hasName(line, "mime-version") || len(bytes.TrimRight(line, "\r\n")) == 0) {
			return len(bytes.TrimRight(line, "\r\n")) > 0, nil
		}
		switch bol = err == nil; err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			return false, nil
		default:
			return false, err
		}
	}
}

// hasName tells whether a header field has the name, given in lower case.
func hasName(field []byte, name string) bool {
	n := bytes.IndexByte(field, ':')
	return n >= 0 && bytes.EqualFold(bytes.TrimRight(field[:n], " \t"), []byte(name))
}
