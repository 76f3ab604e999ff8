package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// judge is a session that says yes to a command that begins with an even byte, and no to the others. It notes the
// commands that it gets and the texts.
type judge struct {
	commands, texts []string
}

func (j *judge) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	io.WriteString(conn, "220 judge\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		j.commands = append(j.commands, line)
		verb := strings.ToUpper(line)
		switch {
		case strings.HasPrefix(verb, "QUIT"):
			io.WriteString(conn, "221 bye\r\n")
			return
		case (verb == "DATA" || strings.HasPrefix(verb, "DATA ")) && line[0]%2 == 0:
			io.WriteString(conn, "354 go on\r\n")
			if !j.text(in) {
				return
			}
			io.WriteString(conn, "250 taken\r\n")
		case line[0]%2 == 0 || strings.HasPrefix(verb, "HELO"):
			io.WriteString(conn, "250-yes\r\n250 yes\r\n")
		default:
			io.WriteString(conn, "550 5.0.0 no\r\n")
		}
	}
}

func (j *judge) text(in *bufio.Reader) bool {
	text := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			j.texts = append(j.texts, text)
			return true
		}
		text += line
	}
}

// play runs a batch before a judge.
func play(t *testing.T, input string) (j *judge, said string, err error) {
	t.Helper()
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	ours.SetDeadline(time.Now().Add(patience))
	j = &judge{}
	over := make(chan struct{})
	go func() {
		defer close(over)
		j.serve(theirs)
	}()
	var errs bytes.Buffer
	err = newBatch(strings.NewReader(input), ours, &errs).run()
	ours.Close()
	<-over
	return j, errs.String(), err
}

func TestBatchOfLongLines(t *testing.T) {
	long := strings.Repeat("x", 3*maxBatchLine)
	edge := strings.Repeat("y", maxBatchLine-1)
	j, said, err := play(t, "DATA\n"+long+"\r\n"+edge+"\r\n"+edge+"\n.\r\n..\r\nlast\n.\r\n")
	if err != nil || said != "" || len(j.texts) != 1 {
		t.Fatalf("%d texts, %q, %v", len(j.texts), said, err)
	}
	if want := long + "\r\n" + edge + "\r\n" + edge + "\r\n"; j.texts[0] != want {
		t.Errorf("a text of %d bytes, want %d", len(j.texts[0]), len(want))
	}
	if _, _, err = play(t, long+"\nDATA\n"); err == nil {
		t.Error("a command may be as long as it likes")
	}
}

// FuzzBatch sees that no line of a text is ever a command, whether the text is wanted or not, and that a text passes as
// it is.
func FuzzBatch(f *testing.F) {
	f.Add("HELO x\nMAIL FROM:<a@b>\nDATA\nMAIL FROM:<c@d>\n.\nQUIT\n")
	f.Add("dATA\r\nRSET\r\n.\r\nRSET\r\n")
	f.Add("data\n.\r\r\nDATA\n.")
	f.Add("DATA x\n\r\n..\n")
	f.Add("\n\nBDAT 3\nabcNOOP\n")
	f.Fuzz(func(t *testing.T, input string) {
		if len(input) > 4<<10 || strings.Contains(strings.ToUpper(input), "BDAT") && len(input) > 100 {
			return
		}
		j, _, _ := play(t, input)
		if strings.Contains(strings.ToUpper(input), "BDAT") {
			return // the judge knows no chunks; that it comes to an end is enough
		}
		commands, texts := expected(input)
		got := strings.Join(j.commands, "\n")
		if len(j.commands) == 0 || !strings.HasPrefix("HELO localhost\n"+strings.Join(commands, "\n")+"\n", got+"\n") {
			t.Fatalf("commands %q, want %q", j.commands, commands)
		}
		if strings.Join(j.texts, "|") != strings.Join(texts, "|") {
			t.Fatalf("texts %q, want %q", j.texts, texts)
		}
	})
}

// expected reads a batch in the plain way.
func expected(input string) (commands, texts []string) {
	lines := strings.SplitAfter(input, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], "\r\n")
		word, _, _ := strings.Cut(line, " ")
		switch verb := strings.ToUpper(word); {
		case line == "":
		case verb == "QUIT":
			return append(commands, "QUIT"), texts
		default:
			commands = append(commands, line)
			if verb != "DATA" {
				continue
			}
			text, ended := "", false
			for i++; i < len(lines); i++ {
				l := strings.TrimRight(lines[i], "\r\n")
				if ended = l == "."; ended {
					break
				}
				text += l + "\r\n"
			}
			if !ended {
				return commands, texts
			}
			if line[0]%2 == 0 {
				texts = append(texts, text)
			}
		}
	}
	return append(commands, "QUIT"), texts
}
