package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
	"postrider/queue"
)

// noSync is the file system without the waiting for its disk: a test's spool need not survive a power cut.
type noSync struct{ fsys.OS }

type noSyncFile struct{ fsys.File }

func (noSyncFile) Sync() error { return nil }

func (noSync) SyncDir(string) error { return nil }

func (n noSync) Create(name string) (fsys.File, error) { return unsynced(n.OS.Create(name)) }

func (n noSync) Append(name string) (fsys.File, error) { return unsynced(n.OS.Append(name)) }

func unsynced(f fsys.File, err error) (fsys.File, error) {
	if err != nil {
		return nil, err
	}
	return noSyncFile{f}, nil
}

// epoch is when the messages of tests arrive.
var epoch = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// letter is a message to be queued. Only To must be set.
type letter struct {
	ID       string // the ID to give it; "": a new one
	From     string
	To       []string
	Text     string
	At       time.Time
	Client   string
	Deferred string        // "[relay|]text" of an attempt a minute after it arrived that failed for all recipients
	Done     int           // recipients, the first, that the attempt reached
	Due      time.Duration // when it is tried again, after its arrival
	Held     *string
	Release  time.Duration // its sender wants it sent so long after it arrived
	By       string        // and delivered so long after, with N or R as in BY=: "20m;N"
	Login    string
	Members  []string // the first recipient is an alias that was expanded to these, before the attempt
	Forwards []string // and the first of these is a user who forwards to those; "=address" is the second recipient
}

// post queues a letter as the programs of the project would have, and returns its ID.
func post(dir string, l letter) (queue.ID, error) {
	at := l.At
	if at.IsZero() {
		at = epoch
	}
	s, err := queue.Open(dir, queue.Options{FS: noSync{}, Now: func() time.Time { return at }})
	if err != nil {
		return "", err
	}
	e := queue.Envelope{Arrival: at, Sender: l.From, UID: 1000, User: "alice", Proto: "local"}
	if l.Client != "" {
		e.UID, e.User, e.Proto, e.Client = -1, "", "ESMTP", l.Client
	}
	e.Login = l.Login
	if l.Release != 0 {
		e.Release = at.Add(l.Release)
	}
	if after, mode, ok := strings.Cut(l.By, ";"); ok {
		d, err := time.ParseDuration(after)
		if err != nil {
			return "", err
		}
		e.By, e.ByNotify = at.Add(d), mode == "N"
	}
	for _, to := range l.To {
		e.Rcpts = append(e.Rcpts, queue.Rcpt{Address: to})
	}
	if l.Text == "" {
		l.Text = "Subject: hello\r\n\r\nbody\r\n"
	}
	d, err := s.NewDraft(e)
	if err != nil {
		return "", err
	}
	if _, err := d.Write([]byte(l.Text)); err != nil {
		return "", err
	}
	entry, err := d.Commit()
	if err != nil {
		return "", err
	}
	if l.Members != nil || l.Forwards != nil || l.Deferred != "" || l.Held != nil || l.Due != 0 {
		if err := handle(s, entry, at, l); err != nil {
			return "", err
		}
	}
	if l.ID == "" {
		return entry.ID, nil
	}
	return queue.ID(l.ID), rename(dir, string(entry.ID), l.ID)
}

// handle does to a new message what a queue run and an administrator do.
func handle(s *queue.Spool, e queue.Entry, at time.Time, l letter) error {
	c, err := s.Claim(e)
	if err != nil {
		return err
	}
	if l.Members != nil {
		x := queue.Expansion{Text: fmt.Sprintf("expanded to %d recipients", len(l.Members))}
		for _, m := range l.Members {
			x.Members = append(x.Members, queue.Rcpt{Address: m, NoAlias: true, Sender: "owner-list@example.org"})
		}
		if err := c.Expand(at, x); err != nil {
			return err
		}
	}
	if l.Forwards != nil {
		x := queue.Expansion{Rcpt: len(l.To), Text: fmt.Sprintf("forwarded to %d recipients", len(l.Forwards)), Relay: "local"}
		for _, m := range l.Forwards {
			to := queue.Rcpt{Address: strings.TrimPrefix(m, "="), Sender: "owner-list@example.org", Via: l.Members[0]}
			if to.Address != m {
				to.Same = 2
			}
			x.Members = append(x.Members, to)
		}
		if err := c.Expand(at, x); err != nil {
			return err
		}
	}
	if l.Deferred != "" {
		relay, text, ok := strings.Cut(l.Deferred, "|")
		if !ok {
			relay, text = "", relay
		}
		tried := at.Add(time.Minute)
		var records []queue.Record
		if l.Done > 0 {
			records = append(records, queue.Record{Time: tried, Kind: queue.Delivered, Rcpts: queue.Span{First: min(len(l.Members), 1), Last: l.Done - 1},
				Reply: 250, Code: status.Code{2, 0, 0}, Relay: relay, Text: "ok"})
		}
		if l.Forwards != nil {
			l.Done = len(l.To) + len(l.Members)
		}
		records = append(records, queue.Record{Time: tried, Kind: queue.Deferred, Rcpts: queue.Span{First: l.Done, Last: len(c.Envelope.Rcpts) - 1},
			Reply: 451, Code: status.Code{4, 4, 1}, Relay: relay, Text: text})
		if err := c.Record(records...); err != nil {
			return err
		}
	}
	if l.Held != nil {
		return c.Hold(*l.Held)
	}
	return c.Defer(at.Add(l.Due))
}

// rename gives a message an ID that a test can know.
func rename(dir, from, to string) error {
	found, err := filepath.Glob(filepath.Join(dir, "*", from+"*"))
	for _, old := range found {
		base := to + strings.TrimPrefix(filepath.Base(old), from)
		if err := os.Rename(old, filepath.Join(filepath.Dir(old), base)); err != nil {
			return err
		}
	}
	return err
}

// crowd fills a spool with n messages such as a busy server has: of a few KiB, most with one recipient, some for
// hosts that do not answer.
func crowd(t testing.TB, dir string, n int, deferred bool) {
	t.Helper()
	body := "Received: from client.example ([192.0.2.1])\r\n\tby mail.example.org; Tue, 24 Nov 2026 09:00:00 +0000\r\n" +
		"From: Alice <alice@example.org>\r\nSubject: minutes\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 40)
	for i := range n {
		l := letter{From: fmt.Sprintf("user%d@example.org", i%97), Text: body, At: epoch.Add(time.Duration(i) * time.Second)}
		for r := range 1 + i%10/8 {
			l.To = append(l.To, fmt.Sprintf("recipient%d@host%d.example.net", i, (i+r)%31))
		}
		if deferred {
			l.Deferred = fmt.Sprintf("mx.host%d.example.net[192.0.2.%d]:25|connect: connection refused, next time perhaps", i%31, i%31)
			l.Due = time.Hour
		}
		if _, err := post(dir, l); err != nil {
			t.Fatal(err)
		}
	}
}
