package interop

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the crash test")

// crashMessages is how many messages are submitted while processes are killed.
const crashMessages = 500

// Submissions and deliveries are killed at random instants. Then every message whose sendmail exited 0 has arrived, and
// none has arrived in part.
func TestNoMessageIsLostWhenProcessesAreKilled(t *testing.T) {
	t.Logf("seed %d", *seed)
	c := newCrash(t)
	c.chaos()
	c.healthy.Store(true)
	for range 3 { // a host that failed last is left alone for one run
		c.run("", "queuerun", "--all")
	}
	if left := c.spooled("new", "cur", "hold", "corrupt"); len(left) > 0 {
		t.Errorf("still in the spool: %q", left)
	}
	t.Logf("left for the daemon to sweep when it starts: %d drafts, %d journals", len(c.spooled("tmp")), len(c.spooled("journal")))
	c.check()
}

// crash is an installation whose programs are killed.
type crash struct {
	*installation
	rand     *random
	healthy  atomic.Bool // from now on nothing is refused
	accepted []bool      // whose sendmail exited 0
	texts    []string

	mu       sync.Mutex
	receipts map[string][]string // for each message and recipient at the next hop, the runs that delivered it
	torn     []string            // what is wrong with receipts
	reports  map[int][]string    // for each message, the runs that reported success, once for each report
	seen     map[string]bool     // reports, by Message-ID
	killed   map[string]bool     // the runs that were killed
}

func newCrash(t *testing.T) *crash {
	c := &crash{installation: install(t), rand: &random{r: rand.New(rand.NewPCG(*seed, 0))}, accepted: make([]bool, crashMessages),
		receipts: map[string][]string{}, reports: map[int][]string{}, seen: map[string]bool{}, killed: map[string]bool{}}
	c.next = newReceiver(t, c.refuse, c.received)
	c.write("postrider.toml", c.config(hostname, c.next.address))
	for n := range crashMessages {
		c.texts = append(c.texts, c.text(n))
	}
	return c
}

// text is a message of a size of its own, mostly small.
func (c *crash) text(n int) string {
	lines := 1 + c.rand.IntN(40)
	if n%10 == 0 {
		lines = 4000
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From: alice@home.example\nTo: bob@remote.example\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID: <%d@home.example>\n\n", n)
	for i := range lines {
		fmt.Fprintf(&b, "%d.%d %s\n.\n", n, i, strings.Repeat("x", c.rand.IntN(70)))
	}
	return b.String()
}

var messageNumber = regexp.MustCompile(`(?m)^Message-ID: <(\d+)@home\.example>\r?$`)

// whole tells which message a text is, and whether it is all there.
func (c *crash) whole(text string) (int, error) {
	m := messageNumber.FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New("no Message-ID")
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n >= len(c.texts) {
		return 0, fmt.Errorf("Message-ID %s", m[1])
	}
	return n, compare(text, c.texts[n], nil, nil)
}

// chaos submits all messages while queue runs come and go.
func (c *crash) chaos() {
	done := make(chan struct{})
	var submitters, runners sync.WaitGroup
	var next atomic.Int64
	for range 4 {
		submitters.Go(func() {
			for n := next.Add(1) - 1; n < crashMessages; n = next.Add(1) - 1 {
				c.accepted[n] = c.submit(int(n))
			}
		})
	}
	var runs atomic.Int64
	for range 2 {
		runners.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					c.queueRun(fmt.Sprintf("run%d.interop.example", runs.Add(1)))
				}
			}
		})
	}
	submitters.Wait()
	close(done)
	runners.Wait()
	c.Logf("%d queue runs, %d of them killed", runs.Load(), len(c.killed))
}

var submitTime, runTime mean

// submit sends message n to two recipients at the next hop and to a mailbox here; it tells whether it was accepted.
func (c *crash) submit(n int) bool {
	args := []string{"-odq", "-i", "-f", "alice@home.example", "bob@remote.example", "carol@remote.example", c.user}
	if wantsReport(n) {
		args = append([]string{"-N", "success"}, args...)
	}
	cmd := c.command(c.texts[n], "sendmail", args...)
	killed, err := c.execute(cmd, &submitTime, 0.5)
	if err != nil && !killed {
		c.Errorf("sendmail: %v", err)
	}
	return err == nil
}

// wantsReport tells for which messages the sender asks for a report of success: from us about the mailbox, and from
// the next hop, which knows DSN, about the others.
func wantsReport(n int) bool { return n%3 == 0 }

// queueRun delivers what there is. The run greets with its own name, so that the next hop knows it.
func (c *crash) queueRun(name string) {
	conf := c.write(name, c.config(name, c.next.address))
	cmd := c.command("", "queuerun", "--all", "--config", conf)
	killed, err := c.execute(cmd, &runTime, 0.8)
	if err != nil && !killed {
		c.Errorf("queuerun: %v", err)
	}
	if killed {
		c.mu.Lock()
		c.killed[name] = true
		c.mu.Unlock()
	}
}

// execute runs a program, and with the given chance kills it at an instant of its life.
func (c *crash) execute(cmd *exec.Cmd, usual *mean, chance float64) (killed bool, err error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return false, err
	}
	if c.rand.Float64() < chance {
		instant := time.Duration(c.rand.Float64() * 1.2 * float64(usual.value()))
		timer := time.AfterFunc(instant, func() { cmd.Process.Kill() })
		defer timer.Stop()
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	killed = errors.As(err, &exit) && exit.ExitCode() == -1
	if !killed {
		usual.add(time.Since(start))
	}
	if err != nil && !killed {
		err = fmt.Errorf("%w: %s", err, &out)
	}
	return killed, err
}

// refuse lets some recipients wait.
func (c *crash) refuse(to string) error {
	if c.healthy.Load() || c.rand.Float64() > 0.1 {
		return nil
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "later"}
}

// received sees a message just before its 250 is sent.
func (c *crash) received(m receipt) {
	n, err := c.whole(m.Text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.From == "" && err != nil {
		err = c.report(m.Text)
		if err == nil {
			return
		}
	}
	if err != nil {
		c.torn = append(c.torn, fmt.Sprintf("message %d, delivered by %s: %v", n, m.Helo, err))
		return
	}
	for _, to := range m.To {
		key := fmt.Sprintf("%d %s", n, to)
		c.receipts[key] = append(c.receipts[key], m.Helo)
	}
}

var reportText = regexp.MustCompile(`(?i)\r\nMessage-ID: <([^@]*)@(.*)>\r\nIn-Reply-To: <(\d+)@home\.example>\r\n`)

// report notes a report of success and the run that made it. The report itself may arrive twice as any message.
func (c *crash) report(text string) error {
	m := reportText.FindStringSubmatch(text)
	if m == nil {
		return errors.New("neither a message of the test nor a report")
	}
	if n, err := strconv.Atoi(m[3]); err == nil && !c.seen[m[1]] {
		c.reports[n] = append(c.reports[n], m[2])
		c.seen[m[1]] = true
	}
	return nil
}

// check compares what has arrived with what was accepted.
func (c *crash) check() {
	local := c.maildir()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, problem := range c.torn {
		c.Error(problem)
	}
	accepted, unacknowledged, reports := 0, 0, 0
	doubled := map[string]int{} // by run
	for n := range crashMessages {
		switch {
		case c.accepted[n]:
			accepted++
		case local[n] > 0:
			unacknowledged++
		}
		if c.accepted[n] && local[n] != 1 || local[n] > 1 {
			c.Errorf("message %d: %d copies in the Maildir", n, local[n])
		}
		if (len(c.reports[n]) > 0) != (wantsReport(n) && local[n] > 0) {
			c.Errorf("message %d: %d reports", n, len(c.reports[n]))
		}
		surviving := slices.DeleteFunc(slices.Clone(c.reports[n]), func(run string) bool { return c.killed[run] })
		if len(surviving) > 1 {
			c.Errorf("message %d: reported by %q, none of which was killed", n, surviving)
		}
		reports += max(0, len(c.reports[n])-1)
		c.checkNextHop(n, local[n] > 0, doubled)
	}
	total := 0
	for run, n := range doubled {
		total += n
		if !c.killed[run] || n > concurrency {
			c.Errorf("%s doubled %d messages; killed: %v", run, n, c.killed[run])
		}
	}
	c.Logf("%d of %d messages accepted; %d that were not acknowledged are there nevertheless", accepted, crashMessages, unacknowledged)
	c.Logf("%d messages doubled by %d runs that were killed after the next hop took the message; %d reports doubled", total, len(doubled), reports)
	if accepted < crashMessages/4 || accepted == crashMessages || len(c.killed) == 0 {
		c.Error("too few or too many processes were killed for a test")
	}
}

// concurrency is how many deliveries a queue run has under way at most, and so how many a kill can double.
const concurrency = 20

// checkNextHop checks that message n reached both recipients at the next hop, if it had to, and counts the runs
// that delivered it before another did.
func (c *crash) checkNextHop(n int, must bool, doubled map[string]int) {
	before := map[string]bool{}
	for _, to := range []string{"bob", "carol"} {
		runs := c.receipts[fmt.Sprintf("%d %s@remote.example", n, to)]
		if len(runs) == 0 {
			if must || c.accepted[n] {
				c.Errorf("message %d is lost for %s", n, to)
			}
			continue
		}
		// The next hop may notice what a killed run has sent after what the following one has, so the order tells nothing:
		// of those that delivered it one may have lived on.
		last := slices.IndexFunc(runs, func(run string) bool { return !c.killed[run] })
		if last < 0 {
			last = len(runs) - 1
		}
		for _, run := range slices.Delete(slices.Clone(runs), last, last+1) {
			before[run] = true
		}
	}
	for run := range before {
		doubled[run]++
	}
}

// maildir counts the copies of each message in the Maildir.
func (c *crash) maildir() map[int]int {
	copies := map[int]int{}
	for _, text := range c.mailbox() {
		_, message, _ := strings.Cut(text, "\nReceived: ")
		n, err := c.whole(wire("Received: " + message))
		if err != nil {
			c.Errorf("in the Maildir: %v\n%s", err, text)
			continue
		}
		copies[n]++
	}
	return copies
}

// random is a source for several goroutines.
type random struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (r *random) IntN(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.IntN(n)
}

func (r *random) Float64() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.Float64()
}

// mean is how long a program usually runs.
type mean struct {
	mu  sync.Mutex
	sum time.Duration
	n   int
}

func (m *mean) add(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum, m.n = m.sum+d, m.n+1
}

func (m *mean) value() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.n == 0 {
		return 5 * time.Millisecond
	}
	return m.sum / time.Duration(m.n)
}
