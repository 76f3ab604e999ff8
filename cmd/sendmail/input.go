package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

// keepLimit is how much of a message is kept in memory for a dead.letter.
const keepLimit = 2 << 20

// quickLimit is how much is read before signals matter: what a draft keeps in memory.
const quickLimit = 32 << 10

// input is standard input that a signal can cut short, and that remembers what was read. At first nothing is in the
// spool, so a signal may simply end the program; later on reading goes through another goroutine, so that the draft
// can be taken back.
type input struct {
	from    *os.File
	quick   int64  // how much is read before signals matter
	waiting func() // called every so often while later reading waits; nil: nothing is
	every   time.Duration
	read    int64
	signals chan os.Signal
	ask     chan []byte // a buffer to read into
	got     chan result // and what came of it
	tick    <-chan time.Time
	stopped error // the signal that ended the reading
	kept    []byte
	lost    bool // more was read than is kept
}

type result struct {
	n   int
	err error
}

func newInput(from *os.File) *input { return &input{from: from, quick: quickLimit, every: keepAlive} }

// Read reads, unless a signal comes first: then the message is not accepted, and nothing of it may stay.
func (in *input) Read(p []byte) (int, error) {
	r := in.next(p)
	in.read += int64(r.n)
	in.keep(p[:r.n])
	return r.n, r.err
}

func (in *input) next(p []byte) (r result) {
	if in.stopped != nil {
		return result{0, in.stopped}
	}
	if in.read < in.quick {
		r.n, r.err = in.from.Read(p[:min(len(p), quickLimit)])
		return in.explain(r)
	}
	if in.ask == nil {
		in.watch()
	}
	in.ask <- p
	for {
		select {
		case r = <-in.got:
			return in.explain(r)
		case s := <-in.signals:
			in.stopped = fmt.Errorf("interrupted (%v); nothing was queued", s)
			return result{0, in.stopped}
		case <-in.tick:
			in.waiting()
		}
	}
}

// watch makes signals end the reading and not the program.
func (in *input) watch() {
	in.signals = make(chan os.Signal, 1)
	in.ask, in.got = make(chan []byte), make(chan result, 1)
	signal.Notify(in.signals, endings...)
	if in.waiting != nil {
		in.tick = time.NewTicker(in.every).C
	}
	go func() {
		for buf := range in.ask {
			n, err := in.from.Read(buf)
			in.got <- result{n, err}
		}
	}()
}

func (in *input) explain(r result) result {
	if r.err != nil && r.err != io.EOF {
		r.err = unwrapPath(r.err)
	}
	return r
}

func (in *input) keep(p []byte) {
	if in.lost = in.lost || len(in.kept)+len(p) > keepLimit; in.lost {
		in.kept = nil
		return
	}
	in.kept = append(in.kept, p...)
}

// interactive tells whether a person writes the message, or nobody does.
func (in *input) interactive() bool {
	st, err := in.from.Stat()
	return err != nil || st.Mode()&os.ModeCharDevice != 0
}

// drainLimit is how much of a refused message is still read.
const drainLimit = 64 << 20

// drain reads what is left of a message that was refused, for its dead.letter, and so that the program which
// writes it does not die of a broken pipe.
func (in *input) drain() {
	io.CopyBuffer(io.Discard, io.LimitReader(in, drainLimit), make([]byte, 32<<10))
}

func unwrapPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
