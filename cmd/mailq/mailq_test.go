package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/status"
	"postrider/queue"
)

func TestAnUnreadableQueueIsAMatterOfPermission(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, status.ExitOK},
		{status.New("queue.list", 451, status.Code{4, 3, 0}, "mail spool error", &fs.PathError{Op: "open", Path: "new", Err: syscall.EACCES}), status.ExitNoPerm},
		{status.New("queue.list", 451, status.Code{4, 3, 0}, "mail spool error", &fs.PathError{Op: "open", Path: "new", Err: syscall.EIO}), status.ExitTempFail},
		{status.Fail("queue.open", status.ExitConfig, "cannot open the mail spool", syscall.ENOTDIR), status.ExitConfig},
		{exitStatus(70), 70},
	} {
		p := &program{err: io.Discard}
		if p.fail(c.err); p.status != c.want {
			t.Errorf("%v: %d, want %d", c.err, p.status, c.want)
		}
	}
}

func TestTheFirstComplaintCounts(t *testing.T) {
	p := &program{err: io.Discard}
	p.complain(status.ExitNoInput, "one")
	p.complain(status.ExitTempFail, "two")
	if p.status != status.ExitNoInput {
		t.Errorf("status %d", p.status)
	}
}

func TestLineEndsOfAMessage(t *testing.T) {
	for _, c := range []struct{ in, plain, tame string }{
		{"a\r\nb\r\n", "a\nb\n", "a\nb\n"},
		{"a\rb\r\r\n", "a\rb\r\n", "a\\x0Db\\x0D\n"},
		{"\x1b[2J\t\x7f\x00ü\r\n", "\x1b[2J\t\x7f\x00ü\n", "\\x1B[2J\t\\x7F\\x00ü\n"},
	} {
		for _, tame := range []bool{false, true} {
			var out bytes.Buffer
			w := bufio.NewWriter(&out)
			l := &lines{w: w, tame: tame}
			for _, b := range []byte(c.in) {
				l.Write([]byte{b})
			}
			w.Flush()
			want := c.plain
			if tame {
				want = c.tame
			}
			if out.String() != want {
				t.Errorf("%q, tame %v: %q", c.in, tame, out.String())
			}
		}
	}
}

func TestSpansAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m", 61 * time.Minute: "1h1m", 49 * time.Hour: "2d1h",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestAgesFallIntoBuckets(t *testing.T) {
	for age, want := range map[time.Duration]int{
		-time.Minute: 0, 0: 0, 5 * time.Minute: 0, 5*time.Minute + 1: 1, 80 * time.Minute: 4, 1280 * time.Minute: 8, 1281 * time.Minute: 9,
	} {
		h := newHeap("x")
		if h.add(age); h.Ages[want] != 1 {
			t.Errorf("%v: %v", age, h.Ages)
		}
	}
}

// Every record has words of its own, and names whom it is about.
func TestStories(t *testing.T) {
	rcpts := []queue.Rcpt{{Address: "a@x.test"}, {Address: "b@x.test\x1b"}, {Address: "c@x.test"}, {Address: "d@x.test", Parent: 3, Sender: "owner-c@x.test"}}
	seen := map[string]bool{}
	for k := queue.Delivered; k <= queue.Released; k++ {
		got := story(&queue.Record{Kind: k, Rcpts: queue.Span{First: 0, Last: 1}, ID: "66101EF6CA4000009", Reply: 451, Text: "later\x1b"}, rcpts)
		if seen[got] || strings.Contains(got, "?") || strings.Contains(got, "\x1b") {
			t.Errorf("%v: %q", k, got)
		}
		seen[got] = true
	}
	for _, c := range []struct {
		r    queue.Record
		want string
	}{
		{queue.Record{Kind: queue.Delivered, Rcpts: queue.One(0), Text: "ok"}, "<a@x.test>: delivered: ok"},
		{queue.Record{Kind: queue.Reported, Rcpts: queue.Span{First: 0, Last: 2}}, "<a@x.test> to <c@x.test> (3 recipients): no report is due"},
		{queue.Record{Kind: queue.Reported, Rcpts: queue.One(0), ID: "1"}, "<a@x.test>: reported to the sender in 1"},
		{queue.Record{Kind: queue.Reported, Rcpts: queue.One(3), ID: "1"}, "<d@x.test>: reported to <owner-c@x.test> in 1"},
		{queue.Record{Kind: queue.HeldBy, Rcpts: queue.WholeMessage}, "held by the administrator"},
		{queue.Record{Kind: queue.Deferred, Rcpts: queue.Span{First: 7, Last: 9}, Text: "x"}, "the message: not delivered, to be tried again: x"},
	} {
		if got := story(&c.r, rcpts); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// What is listed stays listed while others take messages away.
func TestAMessageThatMovesIsFound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	id, err := post(dir, letter{To: []string{"bob@r.test"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := queue.Open(dir, queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	old, err := s.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Claim(old)
	if err == nil {
		err = c.Defer(epoch)
	}
	if err != nil {
		t.Fatal(err)
	}
	if m, err := read(s, old); err != nil || m.State != queue.Cur {
		t.Errorf("read %+v, %v", m, err)
	}
	c, err = claim(s, old)
	if err != nil || c.Entry.State != queue.Cur {
		t.Fatalf("claim: %v", err)
	}
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := read(s, old); err != queue.ErrGone {
		t.Errorf("read: %v", err)
	}
	if _, err := claim(s, old); err != queue.ErrGone {
		t.Errorf("claim: %v", err)
	}
}

// A hundred thousand IDs are looked up in one pass.
func TestManyIDs(t *testing.T) {
	var in strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&in, "66101EF%06X%04d\n", i%50_000, i%7)
	}
	dir := filepath.Join(t.TempDir(), "spool")
	if _, err := post(dir, letter{ID: "66101EF0000000000", To: []string{"bob@r.test"}}); err != nil {
		t.Fatal(err)
	}
	ids, err := (&program{in: strings.NewReader(in.String())}).ids([]string{"-", "66101EF0000000000"})
	if err != nil || len(ids) < 50_000 {
		t.Fatalf("%d IDs, %v", len(ids), err)
	}
	s, err := queue.Open(dir, queue.Options{NoCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := find(s, ids)
	if err != nil || entries["66101EF0000000000"].State != queue.New {
		t.Errorf("%v, %v", entries["66101EF0000000000"], err)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
}
