package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"postrider/internal/status"
)

// keepLimit is how much of a message is kept in memory for a dead.letter.
const keepLimit = 8 << 20

// input is standard input that a signal can cut short, and that remembers what was read.
type input struct {
	from    io.Reader
	signals chan os.Signal
	ask     chan []byte // a buffer to read into
	got     chan read   // and what came of it
	kept    []byte
	lost    bool // more was read than is kept
}

type read struct {
	n   int
	err error
}

func newInput(from io.Reader) *input {
	in := &input{from: from, signals: make(chan os.Signal, 1), ask: make(chan []byte), got: make(chan read, 1)}
	signal.Notify(in.signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for buf := range in.ask {
			n, err := from.Read(buf)
			in.got <- read{n, err}
		}
	}()
	return in
}

// Read reads, unless a signal comes first: then the message is not accepted, and nothing of it may stay.
func (in *input) Read(p []byte) (int, error) {
	select {
	case s := <-in.signals:
		return 0, in.cut(s)
	default:
	}
	in.ask <- p
	select {
	case r := <-in.got:
		in.keep(p[:r.n])
		if r.err != nil && r.err != io.EOF {
			r.err = status.Fail("sendmail", status.ExitIOErr, "cannot read the message from standard input", unwrapPath(r.err))
		}
		return r.n, r.err
	case s := <-in.signals:
		return 0, in.cut(s)
	}
}

func (in *input) cut(s os.Signal) error {
	return status.Fail("sendmail", status.ExitTempFail, "interrupted while reading the message; nothing was queued", errors.New(s.String()))
}

func (in *input) keep(p []byte) {
	if len(in.kept)+len(p) > keepLimit {
		in.lost = true
		return
	}
	in.kept = append(in.kept, p...)
}

// drain reads what is left of a message that was refused, for its dead.letter, and so that the program which
// writes it does not die of a broken pipe.
func (in *input) drain() {
	io.CopyBuffer(io.Discard, struct{ io.Reader }{in}, make([]byte, 32<<10))
}

func unwrapPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
