package main

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"postrider/internal/status"
	"postrider/internal/submit"
)

// uucpLines is how many From_ lines a message may have passed through.
const uucpLines = 64

// rmail reads the From_ lines that lead a message from a UUCP site, "From user date remote from site", newest
// first, and takes the reverse-path of them: site1!site2!user. It returns the message behind them.
func (p *program) rmail(in io.Reader, o *submit.Options) (io.Reader, error) {
	r := bufio.NewReaderSize(in, 4096)
	var path []string
	user := ""
	for range uucpLines {
		start, err := r.Peek(6)
		if err != nil || !bytes.HasPrefix(start, []byte("From ")) && !bytes.HasPrefix(start, []byte(">From ")) {
			break
		}
		line, err := r.ReadString('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		fields := strings.Fields(strings.TrimPrefix(line, ">"))
		if len(fields) < 2 {
			return nil, status.Fail("rmail", status.ExitDataErr, "malformed From_ line", nil)
		}
		user = fields[1]
		if i := strings.LastIndex(line, " remote from "); i >= 0 {
			path = append(path, strings.TrimSpace(line[i+len(" remote from "):]))
		}
	}
	if user == "" {
		return nil, status.Fail("rmail", status.ExitDataErr, "no From_ line leads the message", nil)
	}
	from := strings.Join(append(path, user), "!")
	if strings.Contains(user, "@") {
		from = user
	}
	o.From = &from
	if len(path) > 0 {
		o.ReceivedHost = path[0]
	}
	return r, nil
}
