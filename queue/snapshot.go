package queue

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"time"
)

// Snapshot is which messages were in some states at one moment, oldest first, each once. It takes 32 bytes a
// message.
type Snapshot struct {
	s    *Spool
	list []packed
}

// packed is an Entry without what can be derived: a queue file's name has one form.
type packed struct {
	micro int64 // the ID's time
	size  int64
	due   int64  // Unix seconds; 0 unless the state is Cur
	tail  uint32 // the rest of the ID
	state State
}

// Snapshot lists the messages in the given states except Corrupt. It reads names only and takes no lock.
func (s *Spool) Snapshot(states State) (*Snapshot, error) {
	x := &Snapshot{s: s}
	err := s.Scan(states&^Corrupt, func(e Entry) error { x.list = append(x.list, pack(e)); return nil })
	if err != nil {
		return nil, failed("list", err)
	}
	slices.SortFunc(x.list, func(a, b packed) int {
		if c := cmp.Compare(a.micro, b.micro); c != 0 {
			return c
		}
		return cmp.Compare(a.tail, b.tail)
	})
	x.list = slices.CompactFunc(x.list, func(a, b packed) bool { return a.micro == b.micro && a.tail == b.tail })
	return x, nil
}

// Len is how many messages there are.
func (x *Snapshot) Len() int { return len(x.list) }

func pack(e Entry) packed {
	micro, _ := strconv.ParseInt(string(e.ID[:timeDigits]), 16, 64)
	tail, _ := strconv.ParseUint(string(e.ID[timeDigits:]), 36, 32)
	p := packed{micro: micro, size: e.Size, tail: uint32(tail), state: e.State}
	if e.State == Cur {
		p.due = e.Due.Unix()
	}
	return p
}

// entry undoes pack.
func (p *packed) entry() Entry {
	var b [80]byte
	name := p.appendID(b[:0])
	name = append(name, sizeMark...)
	name = strconv.AppendInt(name, p.size, 10)
	e := Entry{State: p.state, Size: p.size}
	if p.state == Cur {
		name = append(name, dueMark...)
		name = strconv.AppendInt(name, p.due, 10)
		e.Due = time.Unix(p.due, 0)
	}
	e.Name = string(name)
	e.ID = ID(e.Name[:idLen])
	return e
}

func (p *packed) appendID(b []byte) []byte {
	for shift := 4 * (timeDigits - 1); shift >= 0; shift -= 4 {
		b = append(b, hexDigits[p.micro>>shift&15])
	}
	return append(b, base36(uint64(p.tail))...)
}

const (
	batchSize = 64 // messages that are read at a time
	readers   = 2  // that read ahead
	perReader = 2  // batches a reader has in memory: one is read while another is shown
)

// batch is a number of messages that follow each other.
type batch struct {
	messages [batchSize]Message
	errs     [batchSize]error
	n        int
}

// Each reads the messages, and calls fn with each in turn until fn returns an error. A message that has left
// meanwhile comes with ErrGone and a damaged one with ErrCorrupt (it is for Claim to deal with); of these only the
// Entry is known. Another error in reading ends Each. A message is fn's only until it returns.
func (x *Snapshot) Each(fn func(m *Message, err error) error) error {
	if len(x.list) <= batchSize {
		b := new(batch)
		b.read(&reader{s: x.s}, x.list)
		return b.each(fn)
	}
	stop := make(chan struct{})
	defer close(stop)
	var ahead, free [readers]chan *batch
	for i := range readers {
		ahead[i], free[i] = make(chan *batch, perReader), make(chan *batch, perReader)
		for range perReader {
			free[i] <- new(batch)
		}
		go x.readAhead(i, ahead[i], free[i], stop)
	}
	for i := 0; i*batchSize < len(x.list); i++ {
		b := <-ahead[i%readers]
		if err := b.each(fn); err != nil {
			return err
		}
		free[i%readers] <- b
	}
	return nil
}

// readAhead reads each batch that is the turn of a reader.
func (x *Snapshot) readAhead(turn int, ahead chan<- *batch, free <-chan *batch, stop <-chan struct{}) {
	r := &reader{s: x.s}
	for at := turn * batchSize; at < len(x.list); at += readers * batchSize {
		select {
		case <-stop:
			return
		case b := <-free:
			b.read(r, x.list[at:min(at+batchSize, len(x.list))])
			ahead <- b // never waits: it has room for all that there are
		}
	}
}

func (b *batch) read(r *reader, list []packed) {
	r.look()
	b.n = len(list)
	for i := range list {
		e := list[i].entry()
		err := r.read(&b.messages[i], e)
		if err == ErrGone {
			if e, err = r.s.Find(e.ID); err == nil {
				err = r.read(&b.messages[i], e)
			}
		}
		b.errs[i] = err
	}
}

func (b *batch) each(fn func(*Message, error) error) error {
	for i := range b.n {
		err := b.errs[i]
		if err != nil && err != ErrGone && !errors.Is(err, ErrCorrupt) {
			return err
		}
		if err := fn(&b.messages[i], err); err != nil {
			return err
		}
	}
	return nil
}
