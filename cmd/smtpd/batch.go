package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"postrider/internal/status"
)

// batch gives a session commands that nobody waits to see answered ("sendmail -bS"). A text belongs to the DATA before
// it even when that was refused: no line of it is ever taken for a command.
type batch struct {
	in      *bufio.Reader
	conn    *net.UnixConn
	out     *bufio.Writer
	replies *bufio.Reader
	err     io.Writer
	line    int // which was read last
	exit    int // of the first refusal
}

// Sizes of what is read.
const (
	maxBatchLine = 16 << 10 // a command; the session has a narrower mind
	maxReply     = 4 << 10  // a line of it
)

func newBatch(in io.Reader, conn *net.UnixConn, errw io.Writer) *batch {
	return &batch{in: bufio.NewReaderSize(in, maxBatchLine), conn: conn, out: bufio.NewWriter(conn),
		replies: bufio.NewReaderSize(conn, maxReply), err: errw}
}

var errCutText = errors.New("the input ends within a message, which was not accepted")

// run goes through the batch. Each refusal is told; the error has the exit status of the first.
func (b *batch) run() error {
	_, err := b.answer(220)
	if err == nil {
		_, err = b.send("HELO localhost", 250) // a batch need not begin with it
	}
	for err == nil {
		err = b.command()
	}
	switch {
	case err == io.EOF:
	case errors.Is(err, errCutText):
		return status.Fail("smtpd", status.ExitDataErr, fmt.Sprintf("line %d", b.line), err)
	case b.exit == 0:
		return status.Fail("smtpd", status.ExitTempFail, fmt.Sprintf("line %d: the session has ended", b.line), err)
	}
	if b.exit != 0 {
		return exitStatus(b.exit)
	}
	return nil
}

// command does one command. The error is io.EOF at the end of the batch.
func (b *batch) command() error {
	line, err := b.readLine()
	if err == io.EOF && len(line) == 0 {
		b.send("QUIT", 221)
		return err
	}
	if err != nil && err != io.EOF {
		return err
	}
	if len(line) == 0 {
		return nil
	}
	word, args, _ := strings.Cut(string(line), " ")
	switch verb := strings.ToUpper(word); verb {
	case "DATA":
		return b.data(string(line))
	case "BDAT":
		return b.chunk(string(line), args)
	case "QUIT":
		b.send("QUIT", 221)
		return io.EOF
	}
	_, err = b.send(string(line), 250)
	return err
}

// readLine reads a line without its end: LF, and CRs before it.
func (b *batch) readLine() ([]byte, error) {
	line, err := b.in.ReadSlice('\n')
	if len(line) > 0 {
		b.line++
	}
	if err == bufio.ErrBufferFull {
		return nil, fmt.Errorf("a command of more than %d bytes", maxBatchLine)
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// send sends a command and waits for its reply.
func (b *batch) send(line string, want int) (good bool, err error) {
	b.out.WriteString(line + "\r\n")
	return b.answer(want)
}

// answer tells whether the reply is a good one, of the class of want. The error is that of a session that has ended.
func (b *batch) answer(want int) (good bool, err error) {
	b.out.Flush() // when it fails the session has said why
	code, text, err := b.reply()
	if err != nil {
		return false, err
	}
	good = code/100 == want/100
	if !good {
		b.refused(code, text)
	}
	switch code {
	case 334: // a dialogue about a login, which a batch cannot have
		_, err = b.send("*", 501)
	case 421:
		err = io.ErrUnexpectedEOF
	}
	return good, err
}

func (b *batch) refused(code int, text string) {
	fmt.Fprintf(b.err, "smtpd: line %d: %d %s\n", b.line, code, status.Clean(text, status.MaxText))
	if b.exit == 0 {
		b.exit = status.Remote("smtpd.batch", code, text).Exit()
	}
}

// reply reads a reply; its text is that of the last line.
func (b *batch) reply() (code int, text string, err error) {
	for {
		line, err := b.replies.ReadSlice('\n')
		if err != nil {
			return 0, "", err
		}
		s := strings.TrimRight(string(line), "\r\n")
		if len(s) < 3 {
			return 0, "", fmt.Errorf("bad reply %q", s)
		}
		if code, err = strconv.Atoi(s[:3]); err != nil {
			return 0, "", err
		}
		if len(s) == 3 || s[3] != '-' {
			return code, strings.TrimSpace(s[3:]), nil
		}
	}
}

// data sends a text, or passes over it when DATA is refused.
func (b *batch) data(line string) error {
	wanted, err := b.send(line, 354)
	if err != nil {
		return err
	}
	for more := true; more && err == nil; {
		more, err = b.textLine(wanted)
	}
	if err != nil || !wanted {
		return err
	}
	b.out.WriteString(".\r\n")
	_, err = b.answer(250)
	return err
}

// textLine reads a line of a text, and sends it on when it is wanted; false for the line that ends the text.
func (b *batch) textLine(wanted bool) (more bool, err error) {
	for start := true; ; start = false {
		piece, err := b.in.ReadSlice('\n')
		whole := err != bufio.ErrBufferFull
		if !whole && piece[len(piece)-1] == '\r' {
			b.in.UnreadByte() // an LF may follow
			piece = piece[:len(piece)-1]
		}
		if whole {
			if len(piece) > 0 {
				b.line++
			}
			piece = bytes.TrimRight(piece, "\r\n")
			if start && string(piece) == "." {
				return false, nil
			}
			if err != nil {
				return false, errCutText
			}
		}
		if wanted {
			b.out.Write(piece)
		}
		if !whole {
			continue
		}
		if wanted {
			b.out.WriteString("\r\n")
		}
		return true, nil
	}
}

// chunk sends a chunk, which the session takes even when it refuses it.
func (b *batch) chunk(line, args string) error {
	size, _, _ := strings.Cut(args, " ")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("BDAT %q: no size", status.Clean(size, 40))
	}
	b.out.WriteString(line + "\r\n")
	if _, err := io.CopyN(b.out, b.in, n); err == io.EOF {
		return errCutText
	}
	_, err = b.answer(250)
	return err
}
