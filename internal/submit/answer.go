package submit

import (
	"errors"
	"strconv"
	"strings"

	"postrider/internal/status"
	"postrider/queue"
)

// The caps of an answer.
const (
	maxTold   = 10 // bad addresses that are told of one by one
	maxReason = 256
)

const queuedAs = "Ok: queued as "

// Discarded is the last line of the reply to a message that the server's policy has accepted and thrown away.
const Discarded = "Ok: discarded"

// Answer makes the lines of a reply of what Submit returned; ParseAnswer reads them. The last line is the outcome for
// anybody who reads it, the ones before it are
//
//	bad "field" "text" "why"   an address that could not be read
//	more 12                    the number of those that are not listed
//	exit 64                    the exit status of a message that was refused
//	text "..."                 and what is to be said of that to a user of this machine
func Answer(res Result, err error) (lines []string) {
	for _, b := range res.Bad[:min(len(res.Bad), maxTold)] {
		lines = append(lines, "bad "+strconv.Quote(b.Field)+" "+strconv.Quote(b.Text)+" "+strconv.Quote(status.Clean(b.Err.Error(), maxReason)))
	}
	if more := res.More + len(res.Bad) - maxTold; more > 0 {
		lines = append(lines, "more "+strconv.Itoa(more))
	}
	if err == nil {
		return append(lines, queuedAs+string(res.Entry.ID))
	}
	st := status.From(err)
	return append(lines, "exit "+strconv.Itoa(st.Exit()), "text "+strconv.Quote(status.Clean(st.Error(), 2*status.MaxText)), st.Text())
}

var errAnswer = errors.New("answer not understood")

// ParseAnswer reads the texts of the lines that Answer made, and the codes that the reply had. An error that is not what
// the answer tells of is no *status.Status.
func ParseAnswer(reply int, code status.Code, lines []string) (res Result, err error) {
	last := len(lines) - 1
	if last < 0 {
		return Result{}, errAnswer
	}
	exit, text := 0, ""
	for _, line := range lines[:last] {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "bad":
			var b BadRcpt
			if b, err = parseBad(rest); err == nil && len(res.Bad) < maxTold {
				res.Bad = append(res.Bad, b)
			}
		case "more":
			res.More, err = strconv.Atoi(rest)
		case "exit":
			exit, err = strconv.Atoi(rest)
		case "text":
			text, err = strconv.Unquote(rest)
		}
		if err != nil {
			return Result{}, errAnswer
		}
	}
	if reply/100 != 2 {
		return res, refusal(reply, code, exit, text, lines[last])
	}
	if lines[last] == Discarded && exit == 0 {
		return res, nil
	}
	id, ok := strings.CutPrefix(lines[last], queuedAs)
	if res.Entry.ID, err = queue.ParseID(id); !ok || err != nil || exit != 0 || res.More < 0 {
		return Result{}, errAnswer
	}
	return res, nil
}

func parseBad(text string) (b BadRcpt, err error) {
	var words [3]string
	for i := range words {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return b, err
		}
		if words[i], err = strconv.Unquote(quoted); err != nil {
			return b, err
		}
		text = strings.TrimPrefix(text[len(quoted):], " ")
	}
	return BadRcpt{words[0], words[1], errors.New(words[2])}, nil
}

// refusal is the status of a message that was refused. What the server did not tell comes from the reply.
func refusal(reply int, code status.Code, exit int, text, last string) error {
	if text == "" {
		text = last
	}
	st := status.Remote("submit", reply, strings.TrimPrefix(code.String()+" ", " ")+text)
	if exit == st.Exit() || exit < status.ExitUsage || exit > status.ExitConfig {
		return st
	}
	return status.Fail("submit", exit, st.Text(), nil)
}
