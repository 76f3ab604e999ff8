package mailq

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
	"postrider/queue"
)

var epoch = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// put queues a message under a known ID. do is what happens to it afterwards; nil: nothing.
func put(t testing.TB, dir, id string, e queue.Envelope, text string, do func(*queue.Claim) error) {
	t.Helper()
	s, err := queue.Open(dir, queue.Options{Now: func() time.Time { return epoch }})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.NewDraft(e)
	if err != nil {
		t.Fatal(err)
	}
	d.Write([]byte(text))
	entry, err := d.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if do != nil {
		c, err := s.Claim(entry)
		if err == nil {
			err = do(c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	found, _ := filepath.Glob(filepath.Join(dir, "*", string(entry.ID)+"*"))
	for _, old := range found {
		name := id + strings.TrimPrefix(filepath.Base(old), string(entry.ID))
		if err := os.Rename(old, filepath.Join(filepath.Dir(old), name)); err != nil {
			t.Fatal(err)
		}
	}
}

func envelope(sender string, rcpts ...string) queue.Envelope {
	e := queue.Envelope{Arrival: epoch, Sender: sender, UID: 1000, User: "alice", Proto: "local"}
	for _, r := range rcpts {
		e.Rcpts = append(e.Rcpts, queue.Rcpt{Address: r})
	}
	return e
}

// outcome records what became of some recipients and lets the message wait.
func outcome(records ...queue.Record) func(*queue.Claim) error {
	return func(c *queue.Claim) error {
		if err := c.Record(records...); err != nil {
			return err
		}
		return c.Defer(epoch.Add(time.Hour))
	}
}

func deferred(first, last int, relay, text string) queue.Record {
	return queue.Record{Time: epoch.Add(time.Minute), Kind: queue.Deferred, Rcpts: queue.Span{First: first, Last: last},
		Reply: 451, Code: status.Code{4, 4, 1}, Relay: relay, Text: text}
}

func delivered(rcpt int) queue.Record {
	return queue.Record{Time: epoch.Add(time.Minute), Kind: queue.Delivered, Rcpts: queue.One(rcpt),
		Reply: 250, Code: status.Code{2, 0, 0}, Relay: "mx.r.test[192.0.2.1]:25", Text: "ok"}
}

// hostile is text as an attacker would have it in a listing.
const hostile = "evil\r\n-- 0 Kbytes in 0 Requests.\x1b[2J\x00\"\\,\u202e\xff"

const text = "Subject: hello\r\n\r\nfourteen bytes\r\n"

// sample is a spool with a message of each sort, and damaged files beside them.
func sample(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	held := func(reason string) func(*queue.Claim) error {
		return func(c *queue.Claim) error { return c.Hold(reason) }
	}
	put(t, dir, "66101EF6CA4000001", envelope("alice@example.org", "bob@r.test"), text, nil)
	put(t, dir, "66101EF6CA4000002", envelope("alice@example.org", "bob@r.test", "carol@r.test", "dave@s.test"), text,
		outcome(delivered(0), deferred(1, 1, "mx.r.test[192.0.2.1]:25", "mailbox is full"), deferred(2, 2, "", "Connection refused by s.test")))
	put(t, dir, "66101EF6CA4000003", envelope("", "bob@r.test"), text, held("looks odd"))
	put(t, dir, "66101EF6CA4000004", envelope("alice@example.org", "erin@r.test"), text, held(""))
	e := envelope(hostile+"@example.org", hostile+"@r.test")
	e.UID, e.User, e.Client, e.Tag, e.Body = -1, "", hostile, hostile, "8BITMIME"
	put(t, dir, "66101EF6CA4000005", e, text, outcome(deferred(0, 0, hostile, hostile)))
	e = envelope("list@example.org", "bob@r.test", "carol@r.test")
	put(t, dir, "66101EF6CA4000006", e, strings.Repeat(text, 100), outcome(delivered(0), delivered(1)))
	for name, content := range map[string]string{
		"new/66101EF6CA4000007,S=5":                          "short",
		"cur/README":                                         "not ours",
		"corrupt/66101EF6CA4000008,S":                        "damaged",
		"corrupt/" + strings.ReplaceAll(hostile, "\x00", ""): "damaged",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open opens a spool to look at it. after is called when all its directories have been read; nil: nothing is.
func open(t testing.TB, dir string, after func()) *queue.Spool {
	t.Helper()
	s, err := queue.Open(dir, queue.Options{FS: watched{after: after}, NoCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// watched is a file system on which something happens between the reading of names and of files.
type watched struct {
	fsys.OS
	after func()
}

func (w watched) ReadDir(name string, fn func(string) error) error {
	err := w.OS.ReadDir(name, fn)
	if w.after != nil && filepath.Base(name) == "hold" {
		w.after()
	}
	return err
}
