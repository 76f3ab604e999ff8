package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"postrider/compat/foreign"
	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/internal/submit"
	"postrider/queue"
)

// A message is taken in by these steps, so that no crash loses it and none doubles it:
//
//  1. It is committed, held. No queue run touches it; its tag has its key.
//  2. The key is recorded. From here on the message is ours, and never taken again.
//  3. It is released, or held for the reason that the other queue had.
//  4. The original is removed, if it is to be.
//
// An import first looks for messages that another has left between 1 and 3. Those whose key is recorded it releases. Each
// of the others it removes when it comes to the original, and takes that in again; where the original is not seen, the
// message stays held, since it may be the only one there is. Only after step 3 is a message said to be taken in. Steps 2 to 4 are done for several messages at once, since 2 waits for
// the disk.

// The tags of messages that were taken in, before the key. They stay, and tell in the log where the message is from.
const (
	tagTaken = "import "
	tagHeld  = "import held "
)

// takingIn is why a message is held in step 1.
const takingIn = "being taken in from another queue"

// maxBatch bounds the files that are open and locked.
const maxBatch = 100

// taken is a message between step 1 and the last.
type taken struct {
	key    string
	src    *waitingFile
	held   bool // by the other system's administrator
	warned bool // the sender knows that it is late
	notes  []string
	entry  queue.Entry

	heldSince bool // of an interrupted import: somebody has held it since, for a reason of his own
}

// heldThere is why a message is held that was held before.
const heldThere = "held in the queue that it was taken in from"

// resume finishes what an import that was interrupted has begun, where the key is recorded. Other messages may be the only
// ones there are by now: they wait until the original is seen.
func (t *taker) resume() error {
	t.begun = map[string][]*taken{}
	return t.spool.Scan(queue.Held, func(e queue.Entry) error {
		m, err := t.spool.Read(e)
		if err != nil { // what is gone or damaged others tell of
			return nil
		}
		x := &taken{entry: e, heldSince: !isBetween(&m.History)}
		var ok bool
		if x.key, x.held = strings.CutPrefix(m.Envelope.Tag, tagHeld); !x.held {
			if x.key, ok = strings.CutPrefix(m.Envelope.Tag, tagTaken); !ok {
				return nil
			}
		}
		switch recorded := t.origins.Has(x.key); {
		case !recorded:
			t.begun[x.key] = append(t.begun[x.key], x)
		case !x.heldSince:
			t.ours = append(t.ours, x)
		}
		return nil
	})
}

// releaseOurs is step 3 for what an interrupted import has recorded.
func (t *taker) releaseOurs() error {
	for _, x := range t.ours {
		if err := t.release(x); err != nil {
			return err
		}
	}
	t.ours = nil
	return nil
}

// restart makes way for a message whose original is open and locked: what an interrupted import has of it is removed.
// What somebody has held since is the message, and stays as it is: then its key is recorded.
func (t *taker) restart(key string) (here bool, err error) {
	list := t.begun[key]
	for _, x := range list {
		here = here || x.heldSince
	}
	if here {
		err = t.origins.Add(key)
	}
	for _, x := range list {
		if err == nil && !x.heldSince {
			err = t.forget(x)
		}
	}
	if err == nil {
		delete(t.begun, key)
	}
	return here, err
}

// forget undoes step 1. The original must be there.
func (t *taker) forget(x *taken) error {
	c, err := t.spool.Claim(x.entry)
	if errors.Is(err, queue.ErrCorrupt) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", x.entry.ID, err)
	}
	defer c.Close()
	t.log.Deleted(string(x.entry.ID), "import")
	return c.Remove()
}

// reportBegun tells of messages of which neither the original nor a record was seen. Nobody but the administrator can
// know whether the original is gone.
func (t *taker) reportBegun() {
	for _, key := range slices.Sorted(maps.Keys(t.begun)) {
		for _, x := range t.begun[key] {
			fmt.Fprintf(t.out, "%s: held by an import that was interrupted: import that queue again, or release it if the original is gone (%s)\n",
				x.entry.ID, status.Clean(key, status.MaxText))
			t.count.alone++
		}
	}
}

// isBetween tells whether nobody has held a message since step 1. The record of that may be lost.
func isBetween(h *queue.History) bool {
	reason := takingIn
	for _, r := range h.Events() {
		if r.Kind == queue.HeldBy {
			reason = r.Text
		}
	}
	return reason == takingIn
}

// commit is step 1.
func (t *taker) commit(x *taken, m *foreign.Message) error {
	x.warned, x.notes = m.Warned, m.Notes
	envelope, err := t.envelope(m)
	if err != nil {
		return err
	}
	envelope.Tag = tagTaken + x.key
	if x.held {
		envelope.Tag = tagHeld + x.key
	}
	return t.act(func() error {
		var size int64
		if x.entry, size, err = t.store(holding{t.spool}, envelope, m, x.src); err != nil {
			return err
		}
		t.log.Queued(string(x.entry.ID), envelope.Sender, size, len(envelope.Rcpts), -1, envelope.Client, envelope.Tag)
		return nil
	})
}

// envelope is the message's in our form. A bare address is completed as it would be in a submission.
func (t *taker) envelope(m *foreign.Message) (queue.Envelope, error) {
	e := queue.Envelope{Arrival: m.Arrival, Sender: t.complete(m.Sender), Ret: m.Ret, EnvID: m.EnvID, Body: m.Body, UTF8: m.UTF8, UID: -1,
		Client: m.Client, Login: m.Login}
	for _, r := range m.Rcpts {
		rcpt := queue.Rcpt{Address: t.complete(r.Address), ORcpt: r.ORcpt, NoAlias: r.NoAlias}
		if r.Notify != "" {
			notify, err := queue.ParseNotify(r.Notify)
			if err != nil {
				return e, err
			}
			rcpt.Notify = notify
		}
		e.Rcpts = append(e.Rcpts, rcpt)
	}
	return e, nil
}

// complete gives a bare address our origin. What is no address stays none.
func (t *taker) complete(s string) string {
	a, err := address.Parse(s)
	if err != nil || a.IsNull() || a.Domain() != "" {
		return s
	}
	return a.WithDomain(t.conf.Origin).String()
}

// holding is a spool in which all drafts are held.
type holding struct{ *queue.Spool }

func (h holding) NewDraft(e queue.Envelope) (*queue.Draft, error) {
	d, err := h.Spool.NewDraft(e)
	if err == nil {
		d.Hold(takingIn)
	}
	return d, err
}

// store commits the message. Postfix has completed the header when it put a message into its queue, and Sendmail does
// when it sends it, so that those of Sendmail pass through here as a submission does.
func (t *taker) store(spool holding, e queue.Envelope, m *foreign.Message, src *waitingFile) (queue.Entry, int64, error) {
	if src.complete() {
		d, err := spool.NewDraft(e)
		if err != nil {
			return queue.Entry{}, 0, err
		}
		if err := m.Copy(d); err != nil {
			d.Abort()
			return queue.Entry{}, 0, err
		}
		size := d.Size()
		entry, err := d.Commit()
		return entry, size, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(m.Copy(w)) }()
	defer r.Close()
	res, err := submit.Submit(r, spool, submit.Options{
		IgnoreDots: true, Envelope: &e, Trace: func(string) string { return "" },
		Hostname: t.conf.Hostname, Origin: t.conf.Origin, IsLocal: t.conf.IsLocalDomain,
	})
	return res.Entry, res.Size, err
}

// flush is steps 2 to 4 for what was committed.
func (t *taker) flush() error {
	defer t.dropBatch()
	if len(t.batch) == 0 {
		return nil
	}
	if err := t.act(func() error { return t.finish(t.batch) }); err != nil {
		return err
	}
	t.count.in += len(t.batch)
	for _, x := range t.batch {
		fmt.Fprintf(t.out, "%s: taken in as %s\n", x.src.w.ID, x.entry.ID)
		for _, note := range x.notes {
			fmt.Fprintf(t.out, "%s: %s\n", x.src.w.ID, note)
		}
		t.removeSource(x)
	}
	return nil
}

// dropBatch lets the originals go.
func (t *taker) dropBatch() {
	for _, x := range t.batch {
		x.src.close()
	}
	t.batch = nil
}

// finish is steps 2 and 3.
func (t *taker) finish(list []*taken) error {
	var keys []string
	for _, x := range list {
		keys = append(keys, x.key)
	}
	err := t.origins.Add(keys...)
	for _, x := range list {
		if err == nil {
			err = t.release(x)
		}
	}
	return err
}

// release is step 3.
func (t *taker) release(x *taken) error {
	c, err := t.spool.Claim(x.entry)
	if err != nil {
		return fmt.Errorf("%s: %w", x.entry.ID, err)
	}
	if x.warned {
		if err := c.Record(queue.Record{Time: time.Now(), Kind: queue.Warned, Rcpts: queue.WholeMessage}); err != nil {
			c.Close()
			return err
		}
	}
	if x.held {
		t.log.Held(string(x.entry.ID), heldThere, "import")
		return c.Hold(heldThere)
	}
	return c.Release()
}

// removeSource is step 4.
func (t *taker) removeSource(x *taken) {
	if !t.remove {
		return
	}
	if err := x.src.remove(); err != nil {
		fmt.Fprintf(t.out, "%s: the original cannot be removed: %v\n", x.src.w.ID, err)
		t.count.alone++
	}
}
