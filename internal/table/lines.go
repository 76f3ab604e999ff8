package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"postrider/internal/status"
)

// Lines gives each line of a table that is neither empty nor a comment to fn, cut into key and value. What fn finds wrong
// is told with file and line, and of the lines after it as well, to a limit. name is the file's in errors.
func Lines(name string, r io.Reader, fn func(line int, key, value string) error) error {
	s := scanner{name: name}
	return s.scan(r, func(text string) error {
		key, value, err := split(text)
		if err != nil {
			return err
		}
		return fn(s.line, key, value)
	})
}

// split cuts a line at the first blanks.
func split(line string) (key, value string, err error) {
	if blank(line[0]) {
		return "", "", errors.New("a line begins with a blank; none continues another")
	}
	end := strings.IndexAny(line, " \t")
	if end < 0 {
		return "", "", fmt.Errorf("%s has no value", shown(line))
	}
	return line[:end], strings.TrimLeft(line[end:], " \t"), nil
}

// words calls fn with each word of a line and where it begins.
func words(line string, fn func(at int, word string) error) error {
	line, _, _ = strings.Cut(line, "#")
	for i := 0; i < len(line); {
		if blank(line[i]) {
			i++
			continue
		}
		end := strings.IndexAny(line[i:], " \t")
		if end < 0 {
			end = len(line) - i
		}
		if err := fn(i, line[i:i+end]); err != nil {
			return err
		}
		i += end
	}
	return nil
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// scanner reads the lines of a table.
type scanner struct {
	name string
	line int   // the number of the line that is being read, from 1
	at   int64 // where it begins

	begin func() // called at the beginning of each line; may be nil
	errs  []error
}

var errNotText = errors.New("not text: it has a zero byte")

// scan calls fn with each line that says something, without blanks at its end.
func (s *scanner) scan(r io.Reader, fn func(text string) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for len(s.errs) < maxErrors {
		line, err := readLine(in)
		if len(line) == 0 && err == io.EOF {
			break
		}
		if err != nil && err != io.EOF && !errors.Is(err, errLong) {
			return fmt.Errorf("cannot read %s: %w", s.name, err)
		}
		s.line++
		if s.begin != nil {
			s.begin()
		}
		if err := s.take(line, err, fn); err != nil {
			s.errs = append(s.errs, fmt.Errorf("%s: %w", place(s.name, s.line), err))
		}
		s.at += int64(len(line))
	}
	return errors.Join(s.errs...)
}

func (s *scanner) take(line []byte, err error, fn func(string) error) error {
	switch {
	case errors.Is(err, errLong):
		s.at += int64(err.(tooLong)) - int64(len(line))
		return err
	case bytes.IndexByte(line, 0) >= 0:
		return errNotText
	}
	line = bytes.TrimRight(line, "\r\n \t")
	if len(line) == 0 || line[0] == '#' {
		return nil
	}
	return fn(string(line))
}

// tooLong is the length of a line that is longer than maxLine.
type tooLong int64

var errLong error = tooLong(0)

func (tooLong) Error() string        { return fmt.Sprintf("the line is longer than %d bytes", maxLine) }
func (tooLong) Is(target error) bool { return target == errLong }

// readLine is the next line with its end, good until the next call. Of one that is too long it is the beginning, with an
// error.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	n := int64(len(line))
	for errors.Is(err, bufio.ErrBufferFull) {
		var more []byte
		more, err = in.ReadSlice('\n')
		n += int64(len(more))
		line = nil
	}
	if n > maxLine && (err == nil || err == io.EOF) {
		return line, tooLong(n)
	}
	return line, err
}

// place is a file and a line in it.
func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

func shown(s string) string { return status.Clean(s, 100) }
