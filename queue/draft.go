package queue

import (
	"errors"
	"io/fs"
	"sync"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// blockSize is the unit in which a draft is written and a queue file is read.
const blockSize = 64 << 10

// Draft is a message on its way in. It is in memory until it fills a block or is committed, and then a file in
// tmp/ that nobody else reads. A Draft is for one goroutine, and ends with Commit or Abort.
type Draft struct {
	s       *Spool
	id      ID
	name    string    // path of the file now
	file    fsys.File // locked
	mem     *[]byte   // where buf is from
	buf     []byte    // not yet written
	flushed int64     // bytes written
	envLen  int64
	m       measure
	err     error // the first write that failed
	held    bool  // for the reason
	reason  string
}

var errNoRcpts = errors.New("a message needs a recipient")

// NewDraft begins a message. Its envelope must have a recipient.
func (s *Spool) NewDraft(e Envelope) (*Draft, error) {
	if len(e.Rcpts) == 0 {
		return nil, status.Fail("queue.draft", status.ExitUsage, "no recipients", errNoRcpts)
	}
	d := &Draft{s: s, id: newID(s.now()), mem: buffers.Get().(*[]byte)}
	d.buf = appendEnvelope((*d.mem)[:0], &e)
	d.envLen = int64(len(d.buf))
	return d, nil
}

// buffers are those of drafts that have ended. One begins small, as most messages and all of those that sendmail takes
// need no more, and keeps what it has grown to.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

// free gives the buffer back.
func (d *Draft) free() {
	if d.mem != nil && cap(d.buf) <= 2*blockSize { // an envelope may have made it huge
		*d.mem = d.buf[:0]
		buffers.Put(d.mem)
	}
	d.mem, d.buf = nil, nil
}

// create makes the draft's file. Its ID has been given out by now, so a name that another host took in the same
// microsecond, with our salt and process ID, is an error like any other.
func (d *Draft) create() error {
	name := d.s.file(tmpDir, string(d.id))
	file, err := d.s.fs.Create(name)
	if err != nil {
		return failed("create", err)
	}
	d.file, d.name = file, name
	if err := file.Lock(); err != nil {
		return failed("lock", err)
	}
	return nil
}

// ID is the message's ID; it does not change.
func (d *Draft) ID() ID { return d.id }

// Size is how many bytes of the message were written, without the envelope.
func (d *Draft) Size() int64 { return d.flushed + int64(len(d.buf)) - d.envLen }

// Write adds bytes of the message in wire form. Its errors are temporary *status.Status; after one only Abort is
// left.
func (d *Draft) Write(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	d.m.write(p)
	if len(d.buf)+len(p) > blockSize {
		if d.flush(); d.err != nil {
			return 0, d.err
		}
		if len(p) >= blockSize {
			return d.writeThrough(p)
		}
	}
	d.buf = append(d.buf, p...)
	return len(p), nil
}

func (d *Draft) writeThrough(p []byte) (n int, _ error) {
	if d.file == nil {
		d.err = d.create()
	}
	if d.err == nil {
		var err error
		n, err = d.file.Write(p)
		d.flushed += int64(n)
		if err != nil {
			d.err = failed("write", err)
		}
	}
	return n, d.err
}

func (d *Draft) flush() {
	if len(d.buf) == 0 || d.err != nil {
		return
	}
	if _, err := d.writeThrough(d.buf); err == nil {
		d.buf = d.buf[:0]
	}
}

// Hold makes Commit hand the message to the administrator, for a reason, and not to queue runs.
func (d *Draft) Hold(reason string) { d.held, d.reason = true, reason }

// Commit makes the message durable and visible to queue runs. When it returns nil the message survives a crash
// (RFC 5321 section 6.1) and its Entry is in state New, or Held after Hold. On an error the message is not accepted: its name has
// been unlinked again, and Abort need not be called. Errors are temporary *status.Status. A Draft must not be
// used after Commit.
func (d *Draft) Commit() (Entry, error) {
	if err := d.finish(); err != nil {
		d.Abort()
		return Entry{}, err
	}
	size := d.flushed
	e := Entry{ID: d.id, State: New, Size: size, Name: fileName(d.id, size)}
	err := d.explain()
	if d.held {
		e.State = Held
	}
	if err == nil {
		err = d.publish(e.State.dir(), e.Name)
	}
	if err != nil {
		d.retract(e.State.dir())
		return Entry{}, err
	}
	// Nothing can take the message back from here on.
	d.close()
	return e, nil
}

// finish writes what is left, and the measured line over its place.
func (d *Draft) finish() error {
	line := measuredLine(d.m.finish())
	if d.flushed == 0 {
		copy(d.buf[measuredAt:], line)
		d.flush()
		return d.err
	}
	d.flush()
	if d.err != nil {
		return d.err
	}
	if _, err := d.file.WriteAt(line, int64(measuredAt)); err != nil {
		d.err = failed("write", err)
	}
	return d.err
}

// explain records why the message is held, before it is. A crash in between leaves a journal without a message, which
// Recover removes.
func (d *Draft) explain() error {
	if !d.held {
		return nil
	}
	f, err := d.s.fs.Append(d.s.path(journalDir, string(d.id)))
	if err != nil {
		return failed("record", err)
	}
	_, err = f.Write(appendRecord(nil, &Record{Time: d.s.now(), Kind: HeldBy, Rcpts: WholeMessage, Text: d.reason}))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return failed("record", err)
	}
	return nil
}

// publish gives the file its name in new/ or hold/ and makes file and name durable: see the package comment. Where others
// do the same, the directory is synced meanwhile. It would have to be synced again for their names if it waited for the
// file; alone, it costs next to nothing when the file's sync has carried the name along.
func (d *Draft) publish(dir, name string) error {
	alone := d.s.publishing.Add(1) == 1
	defer d.s.publishing.Add(-1)
	to := d.s.file(dir, name)
	if err := d.s.fs.Rename(d.name, to); err != nil {
		return failed("rename", err)
	}
	d.name = to
	names := d.s.syncs.ask(d.s.path(dir))
	if !alone {
		names.begin()
	}
	err := d.file.Sync()
	if nerr := names.wait(); err == nil {
		err = nerr
	}
	if err != nil {
		return failed("fsync", err)
	}
	return nil
}

// retract takes a message back that was renamed but could not be made durable. Where even the name cannot be
// unlinked the file is cut short, so that its size tells that it is no message.
func (d *Draft) retract(dir string) {
	if d.held {
		d.s.fs.Remove(d.s.path(journalDir, string(d.id)))
	}
	if err := d.s.fs.Remove(d.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if d.file.Truncate(0) == nil {
			d.file.Sync()
		}
	}
	d.s.fs.SyncDir(d.s.path(dir))
	d.close()
}

// Abort ends a draft and leaves nothing of it. After Commit it does nothing.
func (d *Draft) Abort() error {
	d.free()
	if d.file == nil {
		return nil
	}
	err := d.s.fs.Remove(d.name)
	d.close()
	if err != nil {
		return failed("remove", err)
	}
	return nil
}

// close gives up the lock, and then the file: who is woken by the closing shall find it free.
func (d *Draft) close() {
	d.free()
	if d.file != nil {
		d.file.Unlock()
		d.file.Close()
	}
	d.file = nil
}
