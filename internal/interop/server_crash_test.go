package interop

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	sentMessages = 200 // while the server is killed
	sentSessions = 6   // at once
	sentSteps    = 120 // the most that clients make before a server is killed
)

// A server is killed at random instants while messages come. Then every message that got its 250 is in the spool, once
// and whole, and nothing is there that was not sent whole.
func TestNoMessageIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Logf("seed %d", *seed)
	c := &assault{server: newServer(t, friends), rand: &random{r: rand.New(rand.NewPCG(*seed, 1))}}
	for n := range c.letters {
		c.letters[n].text = c.text(n)
	}
	c.start()
	c.run()
	if c.stderr.Len() > 0 {
		t.Errorf("smtpd: %s", &c.stderr)
	}
	t.Logf("left for a queue run to sweep: %d drafts", len(c.spooled("tmp")))
	c.check()
}

// assault is a server that is killed, and its clients.
type assault struct {
	*server
	rand    *random
	letters [sentMessages]letter
	next    atomic.Int64 // the letter to be sent next
	fuse    atomic.Int64 // steps until the server is killed
	kills   int
}

// letter is a message on its way.
type letter struct {
	text  string
	whole bool // its last byte was about to be sent
	taken bool // it got its 250
}

func (c *assault) text(n int) string {
	lines := 1 + c.rand.IntN(40)
	if n%10 == 0 {
		lines = 8000
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From: alice@home.example\r\nX-Number: %d\r\n\r\n", n)
	for i := range lines {
		fmt.Fprintf(&b, "%d.%d %s\r\n.\r\n", n, i, strings.Repeat("x", c.rand.IntN(70)))
	}
	return b.String()
}

// run sends all letters. The clients tell of each step; when enough have been made the server is killed and started
// again.
func (c *assault) run() {
	burnt := make(chan struct{}, 1)
	c.light()
	var clients sync.WaitGroup
	for range sentSessions {
		clients.Go(func() {
			for n := c.next.Add(1) - 1; n < sentMessages; {
				n = c.session(n, burnt)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		clients.Wait()
		close(done)
	}()
	for {
		select {
		case <-burnt:
			time.Sleep(time.Duration(c.rand.Float64() * float64(2*time.Millisecond)))
			c.kill()
			c.kills++
			c.start()
			c.light()
		case <-done:
			c.kill()
			return
		}
	}
}

// light says how many steps there are to the next crash.
func (c *assault) light() { c.fuse.Store(int64(1 + c.rand.IntN(sentSteps))) }

// errGiveUp ends a session on purpose.
var errGiveUp = errors.New("the client gives up")

// session sends letters from number n on until the connection breaks, and returns the number of the next.
func (c *assault) session(n int64, burnt chan<- struct{}) int64 {
	step := func() {
		if c.fuse.Add(-1) == 0 {
			burnt <- struct{}{}
		}
	}
	k, err := dial(c.at["smtp"])
	if err != nil {
		time.Sleep(time.Millisecond) // it is about to start
		return n
	}
	defer k.Close()
	if err = k.say("EHLO client.example\r\n", "250"); err == nil && c.rand.IntN(3) == 0 {
		if err = k.startTLS(); err == nil {
			err = k.say("EHLO client.example\r\n", "250")
		}
	}
	for err == nil && n < sentMessages {
		err = c.send(k, &c.letters[n], step)
		n = c.next.Add(1) - 1
	}
	var broken interface{ Timeout() bool }
	if errors.As(err, &broken) && broken.Timeout() || err != nil && strings.Contains(err.Error(), "got \"5") {
		c.Errorf("a session ends before message %d: %v", n, err)
	}
	return n
}

// send sends a letter, by DATA or in chunks. Some it cuts off before the end.
func (c *assault) send(k *talk, l *letter, step func()) error {
	step()
	err := k.say("MAIL FROM:<alice@home.example>\r\nRCPT TO:<bob@remote.example>\r\n", "250", "250")
	if err != nil {
		return err
	}
	text, end, chunks := l.text, ".\r\n", c.rand.IntN(2) == 0
	if chunks {
		cut := c.rand.IntN(len(text))
		text, end = fmt.Sprintf("BDAT %d\r\n%s", cut, text[:cut]), fmt.Sprintf("BDAT %d LAST\r\n%s", len(text)-cut, text[cut:])
	} else {
		if err := k.say("DATA\r\n", "354"); err != nil {
			return err
		}
		text = strings.ReplaceAll(text, "\r\n.", "\r\n..")
	}
	step()
	if _, err := io.WriteString(k, text); err != nil {
		return err
	}
	step()
	if c.rand.IntN(20) == 0 {
		io.WriteString(k, end[:c.rand.IntN(len(end))])
		return errGiveUp
	}
	l.whole = true
	if chunks {
		err = k.say(end, "250", "250")
	} else {
		err = k.say(end, "250")
	}
	l.taken = err == nil
	step()
	return err
}

var letterNumber = regexp.MustCompile(`(?m)^X-Number: (\d+)\r$`)

// check compares what is in the spool with what was sent.
func (c *assault) check() {
	copies := [sentMessages]int{}
	for _, m := range c.take() {
		found := letterNumber.FindStringSubmatch(m.text)
		if found == nil {
			c.Errorf("%s is no message of the test", m.id)
			continue
		}
		n, err := strconv.Atoi(found[1])
		if err != nil || n >= sentMessages {
			c.Errorf("%s is message %s", m.id, found[1])
			continue
		}
		copies[n]++
		if err := m.differs(c.letters[n].text); err != nil {
			c.Errorf("message %d: %v", n, err)
		}
		if m.Sender != "alice@home.example" || len(m.Rcpts) != 1 || m.Rcpts[0].Address != "bob@remote.example" {
			c.Errorf("message %d is from %q to %v", n, m.Sender, m.Rcpts)
		}
	}
	taken, cut, extra := 0, 0, 0
	for n, l := range c.letters {
		switch {
		case l.taken && copies[n] != 1, !l.whole && copies[n] > 0, copies[n] > 1:
			c.Errorf("message %d, sent whole: %v, accepted: %v, is in the spool %d times", n, l.whole, l.taken, copies[n])
		case l.taken:
			taken++
		case !l.whole:
			cut++
		default:
			extra += copies[n]
		}
	}
	c.Logf("%d kills; of %d messages %d were accepted, %d cut off, %d more are there without a 250", c.kills, sentMessages, taken, cut, extra)
	if c.kills < 3 || taken < sentMessages/4 || taken+cut == sentMessages {
		c.Error("too few or too many messages met a crash for a test")
	}
}

var serverTrace = regexp.MustCompile(`^Received: from \S+ \((?:\S+\[[0-9a-f.:]+\]|userid \d+)\)\r\n\tby interop\.example \(postrider\) with [A-Z0-9]+(?: \(using [^)]+\))?(?: \(authenticated\))?` +
	`\r\n\tid [0-9A-Z]{17}(?:\r\n\tfor <\S+>)?; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n`)

// differs tells how the message differs from a text, beside the trace field in front.
func (m stored) differs(text string) error {
	trace := serverTrace.FindString(m.text)
	if trace == "" {
		return fmt.Errorf("no Received field comes first in %.200q", m.text)
	}
	if got := m.text[len(trace):]; got != text {
		return fmt.Errorf("%d bytes were sent and %d are there, the same up to %d: %.200q", len(text), len(got), same(got, text), got[same(got, text):])
	}
	return nil
}

// same is how many bytes two texts have in common at their start.
func same(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
