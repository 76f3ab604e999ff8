// Package maillog writes every log line of the project: one function per event, and nothing else logs.
//
// A line is "ID: key=value, key=value, word (text)", in the shape that readers of Postfix logs know: identity
// first, then figures, free text last. ID is the queue ID, so that one grep tells the whole story of a message;
// lines that belong to no message carry NOQUEUE instead. Only four words tell the outcome of an attempt: sent,
// deferred, bounced, expired. postrider-log(7) documents each line, and a test holds it to that.
//
// Everything that reaches a line is taken for hostile. Values are cleaned (status.Clean) and capped; in text
// lines, what could end a value or look like the next key (blanks, angle brackets, commas) is escaped as well. A
// value can therefore neither start a line nor forge a field.
//
// Logging never fails an operation and never blocks one for long: a line that cannot be written is dropped,
// and the next one that can be is preceded by the number of lines lost.
package maillog

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Logger writes log lines to one destination. Its methods may be called by several goroutines at once. A nil
// *Logger is valid and writes nothing.
type Logger struct {
	origin origin
	now    func() time.Time
	format formatter

	mu   sync.Mutex
	sink sink
	lost int
}

// origin says where lines come from.
type origin struct {
	host    string
	program string
	pid     int
}

// tag is how a line begins after its time.
func (o origin) tag() string { return "postrider/" + o.program + "[" + strconv.Itoa(o.pid) + "]: " }

// formatter makes a line, without its line end.
type formatter func(origin, time.Time, event) []byte

// sink takes whole lines, to which it adds the line end where there is to be one.
type sink interface {
	write(line []byte) error
	close() error
}

// Open makes the Logger of a program. dest is a value of the configuration key "log": "syslog" (the mail
// facility, by /dev/log), "stderr" (text), "json" (JSON lines on standard error), "/path" (text, appended) or
// "json:/path". A nil now means time.Now. Only a file can fail to open; its missing directory is made.
func Open(program, dest string, now func() time.Time) (*Logger, error) {
	format, s, err := newSink(dest)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	o := origin{host: token(host), program: token(program), pid: os.Getpid()}
	return &Logger{origin: o, now: now, format: format, sink: s}, nil
}

func newSink(dest string) (formatter, sink, error) {
	switch {
	case dest == "syslog":
		return syslogLine, newSyslog(devLog), nil
	case dest == "stderr":
		return textLine, stream{os.Stderr}, nil
	case dest == "json":
		return jsonLine, stream{os.Stderr}, nil
	case strings.HasPrefix(dest, "/"):
		f, err := openFile(dest)
		return textLine, f, err
	case strings.HasPrefix(dest, "json:/"):
		f, err := openFile(strings.TrimPrefix(dest, "json:"))
		return jsonLine, f, err
	}
	return nil, nil, fmt.Errorf("unknown log destination %q", dest)
}

// Close releases the destination. The Logger must not be used afterwards.
func (l *Logger) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sink.close()
}

// emit writes the line of e, or counts it as lost.
func (l *Logger) emit(e event) {
	if l == nil {
		return
	}
	now := l.now()
	line := l.format(l.origin, now, e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost > 0 {
		if l.sink.write(l.format(l.origin, now, lostLines(l.lost))) != nil {
			l.lost++
			return
		}
		l.lost = 0
	}
	if l.sink.write(line) != nil {
		l.lost++
	}
}
