package smtpd

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/queue"
)

// breaker is a kind of client that breaks off.
type breaker struct {
	name    string
	mode    Mode
	trusted bool // it sends all without waiting for replies
	tls     bool // it begins with TLS
	upgrade bool // it says STARTTLS
	login   bool
}

// piece is what a client says at once.
type piece struct {
	text  string
	waits int  // for so many replies
	ends  int  // the message that is complete with it, from 1 on; 0: none
	tls   bool // TLS begins behind it
}

// sentText is message n of a client.
func sentText(client, n int) string {
	id := fmt.Sprintf("%d.%d", client, n)
	text := "Subject: " + id + "\r\nFrom: <a@here.example>\r\nTo: <joe@here.example>\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <" + id + "@here.example>\r\n\r\n"
	if client%3 == 0 && n == 1 { // more than a block
		text += strings.Repeat("a line of "+id+" among a thousand others, seventy bytes\r\n", 1500)
	}
	return text + ".\r\n..dots\r\n.QUIT\r\nthe end of " + id + "\r\n"
}

// says is a whole session of a client with two messages, by DATA and by BDAT.
func (b breaker) says(client int) (list []piece) {
	say := func(text string, waits int) { list = append(list, piece{text: text, waits: waits}) }
	hello, each := "EHLO", 1
	if b.mode == LMTP {
		hello, each = "LHLO", 2 // replies to the end of a text
	}
	say("", 1)
	say(hello[:2], 0)
	say(hello[2:]+" x.example\r\n", 1)
	if b.upgrade {
		list = append(list, piece{text: "STARTTLS\r\n", waits: 1, tls: true})
		say(hello+" x.example\r\n", 1)
	}
	if b.login {
		say("AUTH PLAIN\r\n", 1)
		say("AGpvZQBz", 0)
		say("ZWNyZXQ=\r\n", 1)
	}
	begin := []piece{{text: "MAIL FROM:<a@here.example>\r\n", waits: 1}, {text: "RCPT TO:<joe@here.example>\r\n", waits: 1}, {text: "RCPT TO:<ann@here.example>\r\n", waits: 1}}
	list = append(list, begin...)
	say("DATA\r\n", 1)
	wire := strings.ReplaceAll(sentText(client, 1), "\r\n.", "\r\n..")
	for _, text := range []string{wire[:10], wire[10 : len(wire)/2], wire[len(wire)/2 : len(wire)-1], wire[len(wire)-1:], ".", "\r"} {
		say(text, 0)
	}
	list = append(list, piece{text: "\n", waits: each, ends: 1})
	text := sentText(client, 2)
	list = append(list, begin...)
	first, last := text[:len(text)-9], text[len(text)-9:]
	for _, text := range []string{"BDAT " + itoa(len(first)), "\r\n", first[:20]} {
		say(text, 0)
	}
	say(first[20:], 1)
	for _, text := range []string{"BDAT 9 LA", "ST\r\n", last[:5]} {
		say(text, 0)
	}
	list = append(list, piece{text: last[5:], waits: each, ends: 2})
	say("VRFY joe\r\nQU", 0)
	say("IT\r\n", 0)
	return list
}

// The ways to break off.
const (
	halfClosed = iota // it sends no more, and reads what there is to read
	hungUp            // it reads no more
	reset
	waysToGo
)

// ending is what a client knows in the end.
type ending struct {
	complete int      // messages that it has sent to the end
	acked    []string // the IDs of those of which it has seen the acknowledgement
}

var queuedAs = regexp.MustCompile(`\r\n250 \S+ Ok: queued as (\S+)\r\n`)

// breakOff says the first pieces and goes.
func (b breaker) breakOff(address string, pieces []piece, way int) (o ending, err error) {
	raw, err := net.Dial("tcp", address)
	if err != nil {
		return o, err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(time.Minute))
	var said strings.Builder
	conn := raw
	start := func() { conn = tls.Client(raw, &tls.Config{InsecureSkipVerify: true}) }
	if b.tls {
		start()
	}
	in := bufio.NewReader(io.TeeReader(conn, &said))
	for i, p := range pieces {
		if _, err := io.WriteString(conn, p.text); err != nil {
			return o, err
		}
		if p.ends > 0 {
			o.complete = p.ends
		}
		if i == len(pieces)-1 {
			break
		}
		if err := b.await(in, p.waits); err != nil {
			return o, err
		}
		if p.tls {
			start()
			in = bufio.NewReader(io.TeeReader(conn, &said))
		}
	}
	switch way {
	case halfClosed:
		err = conn.(interface{ CloseWrite() error }).CloseWrite()
		if _, isTLS := conn.(*tls.Conn); !isTLS || err == nil {
			io.Copy(io.Discard, in)
		}
	case reset:
		raw.(*net.TCPConn).SetLinger(0)
	}
	for _, m := range queuedAs.FindAllStringSubmatch(strings.ReplaceAll(said.String(), "\r\n", "\r\n\r\n"), -1) {
		if n := len(o.acked); n == 0 || o.acked[n-1] != m[1] { // LMTP acknowledges for each recipient
			o.acked = append(o.acked, m[1])
		}
	}
	return o, nil
}

// await reads replies, if the client is one that waits for them.
func (b breaker) await(in *bufio.Reader, replies int) error {
	for replies > 0 && !b.trusted {
		line, err := in.ReadString('\n')
		if err != nil || line[0] > '3' {
			return fmt.Errorf("%q, %w", line, err)
		}
		if line[3] == ' ' {
			replies--
		}
	}
	return nil
}

// inSpool are the messages in a spool without their traces: the ID of each.
func inSpool(spool *queue.Spool) (map[string][]string, int, error) {
	texts, n := map[string][]string{}, 0
	err := spool.Scan(queue.New|queue.Held, func(e queue.Entry) error {
		n++
		c, err := spool.Claim(e)
		if err != nil {
			return err
		}
		defer c.Close()
		body, err := io.ReadAll(c.Body())
		trace, text, ok := strings.Cut(string(body), " +0000\r\n")
		if !ok || !strings.HasPrefix(trace, "Received: from x.example (") || len(c.Envelope.Rcpts) != 2 {
			return fmt.Errorf("%s: %d recipients, %q", e.ID, len(c.Envelope.Rcpts), body)
		}
		texts[text] = append(texts[text], string(e.ID))
		return err
	})
	return texts, n, err
}

// Clients that break off at every step, many at a time, leave neither goroutines nor drafts nor half a message. Every
// message that was acknowledged is in the spool, once, as it was sent; of the others there are only such of which but the
// reply is missing.
func TestSessionsThatBreakOff(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, b := range []breaker{
		{name: "a stranger"},
		{name: "a friend", trusted: true},
		{name: "a user of this machine", mode: Local, trusted: true},
		{name: "a stranger with STARTTLS", upgrade: true},
		{name: "a user who submits", mode: Submission, tls: true, login: true},
		{name: "a user who submits, with STARTTLS", mode: Submission, upgrade: true, login: true},
		{name: "LMTP", mode: LMTP},
	} {
		t.Run(b.name, func(t *testing.T) { b.run(t) })
	}
	eventually(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
}

func (b breaker) run(t *testing.T) {
	policy := &testPolicy{trusted: b.trusted}
	s, spool := testServer(t, policy)
	s.SizeLimit = 1 << 20
	port := &Port{Mode: b.mode, Implicit: b.tls, Auth: testAuth{}, TLS: &tls.Config{Certificates: []tls.Certificate{testPair()}}}
	l := listenHere(t)
	var served, clients sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { s.Serve(context.Background(), c, port) })
		}
	})
	known := make([]ending, len(b.says(0))*waysToGo)
	for i := range known {
		clients.Go(func() {
			o, err := b.breakOff(l.Addr().String(), b.says(i)[:i/waysToGo+1], i%waysToGo)
			if known[i] = o; err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	clients.Wait()
	l.Close()
	served.Wait()
	b.compare(t, spool, known)
	if tmp, err := os.ReadDir(spool.Root() + "/tmp"); err != nil || len(tmp) > 0 {
		t.Errorf("left in tmp: %v %v", tmp, err)
	}
	if policy.now != 0 || s.Stats.Sessions.Load() != 0 {
		t.Errorf("%d clients, %d sessions left", policy.now, s.Stats.Sessions.Load())
	}
}

// compare holds a spool against what the clients know.
func (b breaker) compare(t *testing.T, spool *queue.Spool, known []ending) {
	t.Helper()
	texts, n, err := inSpool(spool)
	if err != nil {
		t.Fatal(err)
	}
	ours, acked := 0, 0
	for i, o := range known {
		for m := 1; m <= 2; m++ {
			ids := texts[sentText(i, m)]
			ours += len(ids)
			switch {
			case len(o.acked) >= m && (len(ids) != 1 || ids[0] != o.acked[m-1]):
				t.Errorf("client %d: message %d was acknowledged as %s, and there is %v", i, m, o.acked[m-1], ids)
			case len(ids) > 1 || len(ids) == 1 && m > o.complete:
				t.Errorf("client %d: message %d is there as %v; it has sent %d", i, m, ids, o.complete)
			case i%waysToGo == halfClosed && o.complete >= m && len(o.acked) < m:
				t.Errorf("client %d: message %d has got no reply", i, m)
			}
		}
		acked += len(o.acked)
	}
	if n != ours {
		t.Errorf("%d messages, of which %d are as they were sent", n, ours)
	}
	if least := 2 * 8; acked < least {
		t.Errorf("only %d messages were acknowledged: this shows little", acked)
	}
	t.Log(strconv.Itoa(len(known))+" sessions,", n, "messages,", acked, "acknowledged")
}
