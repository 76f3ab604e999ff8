package policy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/route"
)

// hop is a next hop that follows a script: a reply for each line it gets, the greeting first.
type hop struct {
	replies []string
	mu      sync.Mutex
	got     []string
	dialed  int
	ended   sync.WaitGroup
}

func (h *hop) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dialed++
	if len(h.replies) == 0 {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	h.ended.Go(func() { h.serve(theirs) })
	return ours, nil
}

func (h *hop) serve(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	for _, reply := range h.replies {
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		h.mu.Lock()
		h.got = append(h.got, strings.TrimSpace(line))
		h.mu.Unlock()
	}
}

func asking(h *hop, edits ...func(*config.Config)) func(*rig, *config.Config, *Options) {
	return func(_ *rig, c *config.Config, o *Options) {
		c.Smtpd.AskNextHop = true
		c.Smarthost.URL = "smtp://192.0.2.200"
		o.Dial = h
		for _, edit := range edits {
			edit(c)
		}
	}
}

func TestAskNextHop(t *testing.T) {
	ok := "250 ok\r\n"
	for _, c := range []struct {
		name    string
		replies []string
		want    string
	}{
		{"it knows the recipient", []string{"220 hi\r\n", ok, ok, "250 2.1.5 fine\r\n"}, "ok, why: relay.domains"},
		{"replies of many lines", []string{"220-hi\r\n220 there\r\n", "250-a\r\n250\r\n", ok, ok}, "ok, why: relay.domains"},
		{"it does not know it", []string{"220 hi\r\n", ok, ok, "550 5.1.1 who?\r\n"}, "550 5.1.1 <user@backup.example>: refused where it goes next: who?"},
		{"without an enhanced code", []string{"220 hi\r\n", ok, ok, "553 who\x1b[2J?\r\n"}, `550 5.1.1 <user@backup.example>: refused where it goes next: who\x1B[2J?`},
		{"it cannot tell", []string{"220 hi\r\n", ok, ok, "450 later\r\n"}, "ok, why: relay.domains"},
		{"it takes no mail from us", []string{"554 no\r\n"}, "ok, why: relay.domains"},
		{"it takes no reports", []string{"220 hi\r\n", ok, "550 no null sender\r\n"}, "ok, why: relay.domains"},
		{"it hangs up", []string{"220 hi\r\n", ok}, "ok, why: relay.domains"},
		{"it talks nonsense", []string{"HTTP/1.1 200\r\n"}, "ok, why: relay.domains"},
		{"it talks without end", []string{strings.Repeat("220-x\r\n", 1000)}, "ok, why: relay.domains"},
		{"its lines do not end", []string{"220 " + strings.Repeat("x", 5000)}, "ok, why: relay.domains"},
		{"nobody is there", nil, "ok, why: relay.domains"},
	} {
		h := &hop{replies: c.replies}
		r := build(t, "", asking(h))
		stranger := r.client("192.0.2.77")
		for range 2 {
			if got := r.rcpt(stranger, "<user@backup.example>"); got != c.want {
				t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
			}
		}
		h.ended.Wait()
		if h.dialed != 1 {
			t.Errorf("%s: asked %d times", c.name, h.dialed)
		}
		if len(c.replies) == 4 && fmt.Sprint(h.got) != "[HELO mx.ours.example MAIL FROM:<> RCPT TO:<user@backup.example> QUIT]" {
			t.Errorf("%s: %q", c.name, h.got)
		}
		for _, s := range r.reports {
			if !strings.HasPrefix(s, "question to the next hop of backup.example: ") {
				t.Errorf("%s: reported %q", c.name, s)
			}
		}
	}
}

func TestWhoIsNotAsked(t *testing.T) {
	h := &hop{}
	r := build(t, "", asking(h))
	r.rcpt(r.client("10.1.0.1"), "<user@backup.example>") // a friend
	r.rcpt(r.client("192.0.2.77"), "<alice@ours.example>")
	r.rcpt(r.client("192.0.2.77"), "<user@victim.example>")
	strict := build(t, "", asking(h, func(c *config.Config) { c.Smarthost.URL = "submissions://192.0.2.200" }))
	strict.rcpt(strict.client("192.0.2.77"), "<user@backup.example>")
	full := build(t, "", asking(h))
	for range maxAsking {
		full.asking <- struct{}{}
	}
	if got := full.rcpt(full.client("192.0.2.77"), "<user@backup.example>"); got != "ok, why: relay.domains" {
		t.Error(got)
	}
	if h.dialed != 0 {
		t.Errorf("asked %d times", h.dialed)
	}
}

func TestAnswersOfANextHopAreKeptForATime(t *testing.T) {
	ok := "250 ok\r\n"
	for _, c := range []struct {
		last string
		keep time.Duration
	}{{"250 ok\r\n", knownTime}, {"550 no\r\n", denyTime}} {
		h := &hop{replies: []string{"220 hi\r\n", ok, ok, c.last}}
		r := build(t, "", asking(h))
		stranger := r.client("192.0.2.77")
		for i, step := range []struct {
			wait  time.Duration
			asked int
		}{{0, 1}, {c.keep - time.Second, 1}, {time.Second, 2}} {
			r.clock = r.clock.Add(step.wait)
			r.rcpt(stranger, "<user@backup.example>")
			if h.dialed != step.asked {
				t.Errorf("%q, step %d: asked %d times", c.last, i, h.dialed)
			}
		}
		h.ended.Wait()
	}
}

func TestAQuestionEndsWithItsTime(t *testing.T) {
	h := &hop{replies: []string{""}} // it says nothing
	r := build(t, "", asking(h))
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if st := r.askNextHop(ctx, parse(t, "user@backup.example"), route.NextHop{Host: "192.0.2.200", Port: "25"}); st != nil {
		t.Error(st.Diagnostic())
	}
	h.ended.Wait()
}

func FuzzExchange(f *testing.F) {
	f.Add("250-a\r\n250 b\r\n")
	f.Add("2")
	f.Add("999 x\n")
	f.Fuzz(func(t *testing.T, text string) {
		code, said, err := exchange(io.Discard, bufio.NewReaderSize(strings.NewReader(text), askLine), "NOOP")
		if err != nil {
			return
		}
		if code < 200 || code > 599 || len(said) > askLine {
			t.Fatalf("%d %q", code, said)
		}
		if code >= 500 {
			if s := nextHopSays(parse(t, "a@b.example"), code, said).Text(); strings.ContainsAny(s, "\r\n\x00\x1b") {
				t.Fatalf("%q", s)
			}
		}
	})
}
