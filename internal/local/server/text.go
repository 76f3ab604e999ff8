package server

import (
	"bufio"
	"errors"
	"io"
)

// maxLine is the longest command: a member may be 4 KiB, and three times that in xtext.
const maxLine = 16 << 10

var errLong = errors.New("line too long")

// readLine reads one line, without its end. It ends in CRLF: an LF alone would be another line to somebody else.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errLong
	case err != nil:
		return "", err
	case len(line) < 2 || line[len(line)-2] != '\r':
		return "", errSyntax
	}
	return string(line[:len(line)-2]), nil
}

// copyText copies the text of DATA up to CRLF.CRLF, and takes the dots away that stand for dots (RFC 5321 section
// 4.5.2).
func copyText(w io.Writer, r interface{ ReadSlice(byte) ([]byte, error) }) error {
	start, cr := true, false // at the start of a line; behind a CR
	for {
		piece, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if start && piece[0] == '.' {
			if string(piece) == ".\r\n" {
				return nil
			}
			piece = piece[1:]
		}
		if len(piece) > 0 {
			w.Write(piece)
		}
		n := len(piece)
		ended := n > 0 && piece[n-1] == '\n'
		start = ended && (n > 1 && piece[n-2] == '\r' || n == 1 && cr)
		cr = n > 0 && piece[n-1] == '\r'
	}
}
