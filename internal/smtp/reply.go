package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"postrider/internal/status"
)

// replyCaps are the caps on a reply.
type replyCaps struct {
	line  int // bytes of a line; a longer one is not SMTP
	keep  int // bytes of a line that are kept
	lines int // lines of a reply
	text  int // bytes of a reply that are kept
}

// peerCaps are those for everybody. RFC 5321 section 4.5.3.1.5 allows 512 bytes a line; more is read, and cut.
var peerCaps = replyCaps{line: 2048, keep: keepReplyLine, lines: 100, text: 16 << 10}

const (
	keepReplyLine = 512
	quoteReply    = 100 // bytes that are shown of a line that is no reply
)

var (
	errReplySyntax = errors.New("not an SMTP reply")
	errReplyLong   = errors.New("reply line too long")
	errReplyLines  = errors.New("too many lines in a reply")
	errReplyCodes  = errors.New("reply codes of one reply differ")
)

// reply is a reply as it came: text holds its lines without codes, joined by "\n". It is neither clean nor trusted.
type reply struct {
	code int
	text string
}

// class is the first digit, which decides what a reply means (RFC 5321 section 4.2.1).
func (r reply) class() int { return r.code / 100 }

// status is the outcome that r expresses.
func (r reply) status() *status.Status { return status.Remote(OpReply, r.code, r.flat()) }

// flat is the text on one line. An enhanced code that stands on each line, as RFC 2034 section 4 has it, is kept once.
func (r reply) flat() string {
	if !strings.Contains(r.text, "\n") {
		return r.text
	}
	lines := strings.Split(r.text, "\n")
	code, _, ok := status.ParseCode(lines[0])
	for i, line := range lines[1:] {
		if c, rest, has := status.ParseCode(line); ok && has && c == code {
			lines[i+1] = rest
		}
	}
	return strings.Join(lines, " ")
}

// readReply reads one reply. r must hold lines of caps.line. see, when not nil, is shown each line.
func readReply(r *bufio.Reader, caps replyCaps, see func(line []byte)) (reply, error) {
	var text []byte
	for n, code := 0, 0; ; n++ {
		if n == caps.lines {
			return reply{}, errReplyLines
		}
		line, err := readReplyLine(r)
		if err != nil {
			return reply{}, err
		}
		if see != nil {
			see(line)
		}
		c, more, rest, ok := parseReplyLine(line)
		rest = rest[:min(len(rest), caps.keep)]
		if !ok {
			return reply{}, fmt.Errorf("%w: %s", errReplySyntax, line[:min(len(line), quoteReply)])
		}
		if n > 0 && c != code {
			return reply{}, errReplyCodes
		}
		code = c
		if n == 0 && !more {
			return reply{code, string(rest)}, nil
		}
		if n > 0 && len(text) < caps.text {
			text = append(text, '\n')
		}
		text = append(text, rest[:min(len(rest), max(0, caps.text-len(text)))]...)
		if !more {
			return reply{code, string(text)}, nil
		}
	}
}

// readReplyLine returns a line without its line end, valid until the next read. Bare LF ends a line too: nothing
// depends on where a reply's lines end, and some peers know no better.
func readReplyLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return nil, errReplyLong
	case err == io.EOF && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// parseReplyLine takes a line apart: code, whether another line follows, text. "250" alone is a last line too
// (RFC 5321 section 4.2: a receiver must take it).
func parseReplyLine(line []byte) (code int, more bool, text []byte, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, false, nil, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false, nil, false
		}
		code = code*10 + int(c-'0')
	}
	if len(line) == 3 {
		return code, false, nil, true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, nil, false
	}
	return code, line[3] == '-', line[4:], true
}
