package queuerun

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/fsys"
	"postrider/internal/local"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// clock stands still until it is told to move; Sleep moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(_ context.Context, d time.Duration) { c.add(d) }

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is the outside: domains that take mail, and the mailboxes of this machine.
type world struct {
	mu        sync.Mutex
	delivered map[string]int // "rcpt text": how often
	sent      []smtp.Message
	dials     []string
	active    map[string]int
	most      map[string]int

	connect map[string]error          // by host address: why no session can be had
	hosts   map[string][]route.Host   // by domain; default: one host
	refuse  map[string]*status.Status // by recipient
	dsn     bool                      // peers know DSN
	by      bool                      // peers know DELIVERBY
	send    func(s *peer, m smtp.Message) (smtp.Result, error)
	hook    func() // called for each transaction

	aliases  map[string][]route.Member // by recipient
	forwards map[string][]string       // by user's address: what the delivery agent reads in his .forward
	outward  *route.Router             // what rewrites; nil: nothing does
}

func newWorld() *world {
	noAgent := map[string]error{config.Default().Local.Socket: outage(status.Code{4, 4, 1}, "cannot connect: no such file or directory")}
	return &world{delivered: map[string]int{}, connect: noAgent, hosts: map[string][]route.Host{},
		refuse: map[string]*status.Status{}, active: map[string]int{}, most: map[string]int{}}
}

// towards sends local domains to mailboxes, "refused" to a refusal, and the rest to its domain.
func (w *world) towards(a address.Address) route.Decision {
	switch d := a.Domain(); d {
	case "local.test", "here.test":
		return route.Decision{Kind: route.Local, Address: a, User: route.User{Name: a.Unquoted(), Home: "/home"}}
	case "refused.test":
		return route.Decision{Kind: route.Refuse, Address: a, Status: status.New("test", 550, status.Code{5, 1, 1}, "no such user", nil)}
	default:
		return route.Decision{Kind: route.Relay, Address: a, Next: route.NextHop{Key: "mx:" + d, Domain: d, Port: "25", TLS: route.TLSMay}}
	}
}

// Final is Route, but for aliases.
func (w *world) Final(m route.Member) route.Decision {
	if m.Agent == route.AgentCommand {
		via, _ := address.Parse(m.Via)
		return route.Decision{Kind: route.Local, Address: via, User: route.User{Name: via.Unquoted()}, Agent: m.Agent, Member: m.Address}
	}
	a, err := address.Parse(m.Address)
	if err != nil {
		return route.Decision{Kind: route.Refuse, Status: status.New("test", 553, status.Code{5, 1, 3}, "not an address", nil)}
	}
	d := w.towards(a)
	if d.Kind == route.Local {
		d.Agent = m.Agent
	}
	return d
}

func (w *world) Check(a address.Address) route.Decision { return w.Route(a) }

// Forward reads what a .forward says as *route.Router does.
func (w *world) Forward(user address.Address, list []string) []route.Member {
	members := make([]route.Member, len(list))
	for i, s := range list {
		m := route.Member{Address: s, Via: user.String()}
		name, escaped := strings.CutPrefix(s, `\`)
		a, _ := address.Parse(name)
		a = a.WithDomain("local.test")
		switch d := w.Route(a); {
		case strings.HasPrefix(s, "|"):
			m.Agent, m.Key = route.AgentCommand, route.AgentCommand+" "+m.Via+" "+s
		case escaped:
			m.Address, m.Agent, m.Key = a.String(), route.AgentMailbox, route.AgentMailbox+" "+d.Key()
		default:
			m.Address, m.Key = a.String(), d.Key()
		}
		members[i] = m
	}
	return members
}

// Route sends recipients to the members of their alias, if they are one.
func (w *world) Route(a address.Address) route.Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	if members, ok := w.aliases[a.String()]; ok {
		return route.Decision{Kind: route.Expand, Address: a, Members: members}
	}
	return w.towards(a)
}

func (w *world) Hosts(_ context.Context, n route.NextHop) ([]route.Host, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n.Socket != "" {
		return []route.Host{{Name: n.Socket, Socket: n.Socket}}, nil
	}
	if h, ok := w.hosts[n.Domain]; ok {
		if len(h) == 0 {
			return nil, status.New("test", 556, status.Code{5, 1, 10}, "takes no mail", nil)
		}
		return h, nil
	}
	return []route.Host{host("mx."+n.Domain, 1)}, nil
}

func host(name string, n byte) route.Host {
	return route.Host{Name: name, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 25)}
}

func (w *world) dial(_ context.Context, t smtp.Target, _ smtp.Options) (Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials = append(w.dials, t.Name)
	if err := w.connect[t.Name]; err != nil {
		return nil, err
	}
	w.active[t.Name]++
	w.most[t.Name] = max(w.most[t.Name], w.active[t.Name])
	return &peer{w: w, name: t.Name, agent: t.Agent}, nil
}

// peer is a session with the world.
type peer struct {
	w      *world
	name   string
	agent  bool
	broken bool
	sent   int
}

func (p *peer) Relay() string  { return p.name + "[192.0.2.1]:25" }
func (p *peer) TLS() string    { return "" }
func (p *peer) Reusable() bool { return !p.broken }
func (p *peer) Close() error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.active[p.name]--
	return nil
}

func (p *peer) Send(_ context.Context, m smtp.Message) (smtp.Result, error) {
	p.sent++
	if p.w.hook != nil {
		p.w.hook()
	}
	if p.w.send != nil {
		return p.w.send(p, m)
	}
	return p.accept(m), nil
}

// accept takes the message for all that the world does not refuse.
func (p *peer) accept(m smtp.Message) smtp.Result {
	res := smtp.Result{DSN: p.w.dsn, By: p.w.by, Begun: true}
	for i, r := range m.Rcpts {
		st := p.w.refuse[r.Address]
		if list := p.w.forwards[r.Address]; p.agent && !r.Mailbox && r.Member == "" && list != nil {
			if res.Members == nil {
				res.Members = make([][]string, len(m.Rcpts))
			}
			res.Members[i] = list
			st = refusal(251, status.Code{2, 1, 5}, "forwarded")
		}
		if st == nil {
			if st = p.w.took(strings.TrimRight(r.Address+" "+r.Member, " "), m.Body); st.Class() == status.Success {
				st = refusal(250, status.Code{2, 0, 0}, "ok")
			}
		}
		res.Rcpts = append(res.Rcpts, st)
	}
	p.w.mu.Lock()
	p.w.sent = append(p.w.sent, m)
	p.w.mu.Unlock()
	return res
}

func (w *world) deliver(_ context.Context, _ string, u local.User, d local.Delivery) *status.Status {
	if w.hook != nil {
		w.hook()
	}
	if st := w.refuse[d.Rcpt]; st != nil {
		return st
	}
	return w.took(d.Rcpt, d.Body)
}

// took counts a delivery by recipient and the message's last line; reports are counted as "report".
func (w *world) took(rcpt string, body *io.SectionReader) *status.Status {
	text, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
	if err != nil {
		return status.New("test", 451, status.Code{4, 3, 0}, "cannot read the message", err)
	}
	lines := strings.Split(strings.TrimRight(string(text), "\r\n"), "\r\n")
	what := lines[len(lines)-1]
	if bytes.Contains(text, []byte("multipart/report")) {
		what = "report"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delivered[rcpt+" "+what]++
	return status.New("test", 250, status.Code{2, 0, 0}, "ok", nil)
}

func (w *world) count(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.delivered[key]
}

// bench is a spool with a runner.
type bench struct {
	t     testing.TB
	clock *clock
	world *world
	spool *queue.Spool
	*Runner
}

func settings() config.Config {
	c := config.Default()
	c.Hostname, c.Origin = "mail.here.test", "here.test"
	return c
}

func newBench(t testing.TB, fs fsys.FS) *bench {
	t.Helper()
	b := &bench{t: t, clock: newClock(), world: newWorld()}
	b.open(fs)
	return b
}

// open opens the spool on a file system, as a new process would; nil is one in memory.
func (b *bench) open(fs fsys.FS) {
	b.t.Helper()
	if fs == nil {
		fs = newDisk(b.clock)
	}
	spool, err := queue.Open("/spool", queue.Options{FS: fs, Now: b.clock.Now})
	if err != nil {
		b.t.Fatal(err)
	}
	b.use(spool)
}

func (b *bench) use(spool *queue.Spool) {
	b.spool = spool
	b.Runner = &Runner{
		Spool: spool, Config: settings(), Router: b.world, Dial: b.world.dial, Deliver: b.world.deliver,
		Ours: func(d route.Decision) bool { return d.Member == "" }, Forward: noForward,
		Now: b.clock.Now, Sleep: b.clock.Sleep, Random: func() float64 { return 0.5 },
	}
}

func noForward(local.User, string) (local.Forward, error) { return local.Forward{}, nil }

func newDisk(c *clock) *fsys.Crash {
	fs := fsys.NewCrash("/")
	fs.Now = c.Now
	return fs
}

// submit queues a message whose body is text.
func (b *bench) submit(text string, rcpts ...string) queue.ID {
	b.t.Helper()
	e := queue.Envelope{Sender: "sender@here.test"}
	for _, r := range rcpts {
		e.Rcpts = append(e.Rcpts, queue.Rcpt{Address: r})
	}
	return b.queue(text, e)
}

func (b *bench) queue(text string, e queue.Envelope) queue.ID {
	b.t.Helper()
	return b.queueText("Subject: x\r\n\r\n"+text+"\r\n", e)
}

// queueText queues a message with its header.
func (b *bench) queueText(text string, e queue.Envelope) queue.ID {
	b.t.Helper()
	e.Arrival, e.UID = b.clock.Now(), -1
	d, err := b.spool.NewDraft(e)
	if err != nil {
		b.t.Fatal(err)
	}
	io.WriteString(d, text)
	if _, err := d.Commit(); err != nil {
		b.t.Fatal(err)
	}
	return d.ID()
}

func (b *bench) run(sel Selection) Result {
	b.t.Helper()
	res, err := b.Run(context.Background(), sel)
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

// message is the only message in the spool.
func (b *bench) message() *queue.Message {
	b.t.Helper()
	list := b.messages()
	if len(list) != 1 {
		b.t.Fatalf("%d messages in the spool", len(list))
	}
	return list[0]
}

func (b *bench) messages() (list []*queue.Message) {
	b.t.Helper()
	err := b.spool.List(queue.New|queue.Cur|queue.Held, func(m *queue.Message) error { list = append(list, m); return nil })
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// want checks how often things were delivered, and that nothing else was.
func (b *bench) want(want map[string]int) {
	b.t.Helper()
	for key, n := range want {
		if got := b.world.count(key); got != n {
			b.t.Errorf("%q delivered %d times, want %d", key, got, n)
		}
	}
	for key := range b.world.delivered {
		if _, ok := want[key]; !ok {
			b.t.Errorf("%q was delivered", key)
		}
	}
}

func (b *bench) wantEmpty() {
	b.t.Helper()
	for _, m := range b.messages() {
		b.t.Errorf("left in the spool: %s %s %+v", m.State, m.Name, m.History.Events())
	}
}

// refuseAll is a transaction that ends before the text, for one reason.
func refuseAll(m smtp.Message, st *status.Status) smtp.Result {
	var res smtp.Result
	for range m.Rcpts {
		res.Rcpts = append(res.Rcpts, st)
	}
	return res
}

// refusal is what a peer replies.
func refusal(reply int, code status.Code, text string) *status.Status {
	return status.New(smtp.OpReply, reply, code, text, nil)
}

// outage is what we find out about a peer.
func outage(code status.Code, text string) *status.Status {
	return status.New("test", 451, code, text, nil)
}
