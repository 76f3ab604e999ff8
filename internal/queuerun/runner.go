package queuerun

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/local"
	"postrider/internal/maillog"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// Router decides where mail goes. *route.Router is one.
type Router interface {
	Route(address.Address) route.Decision
	Check(address.Address) route.Decision
	Final(route.Member) route.Decision
	Forward(user address.Address, list []string) []route.Member
	Hosts(context.Context, route.NextHop) ([]route.Host, error)
	ForSender(d route.Decision, senders ...string) route.Decision
	Sender(sender string) (string, error)
	Message(body *io.SectionReader) (*io.SectionReader, error)
}

// Session is a connection to a next hop. *smtp.Session is one.
type Session interface {
	Send(context.Context, smtp.Message) (smtp.Result, error)
	Relay() string
	TLS() string
	Reusable() bool
	Close() error
}

// Runner delivers what is in one spool. Spool, Config and Router must be set; the other fields have defaults.
// A Runner must not be copied, nor changed after its first run.
type Runner struct {
	Spool  *queue.Spool
	Config config.Config
	Router Router

	// Dial opens a session; nil means smtp.Dial.
	Dial func(context.Context, smtp.Target, smtp.Options) (Session, error)
	// Deliver puts a message into a mailbox of this machine; nil means local.Agent.Mailbox.
	Deliver func(ctx context.Context, spec string, u local.User, d local.Delivery) *status.Status
	// Member delivers to a command, a file or a Maildir; nil means local.Agent.Member.
	Member func(ctx context.Context, member string, by local.Origin, u local.User, d local.Delivery) *status.Status
	// Forward reads a user's .forward; nil means local.Agent.ReadForward.
	Forward func(u local.User, extension string) (local.Forward, error)
	// Ours tells whether these three serve a recipient of this machine, with the rights of this process, and not the
	// delivery agent. nil means: in a user installation, and a user whose rights they are.
	Ours func(route.Decision) bool
	// Log may be nil.
	Log *maillog.Logger
	// Dialogue receives the SMTP dialogue and a line for each recipient. With it there is one worker only.
	Dialogue io.Writer

	// Now, Sleep and Random are the clock and the dice; nil means the real ones. Sleep ends early when the
	// context does. Random is in [0,1).
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration)
	Random func() float64

	once sync.Once
	wake chan struct{}
}

func (r *Runner) setup() {
	r.once.Do(func() {
		r.wake = make(chan struct{}, 1)
		if r.Dial == nil {
			r.Dial = dialSMTP
		}
		r.setupLocal()
		if r.Now == nil {
			r.Now = time.Now
		}
		if r.Sleep == nil {
			r.Sleep = sleep
		}
		if r.Random == nil {
			r.Random = rand.Float64
		}
		if r.Dialogue != nil {
			r.Dialogue = &lockedWriter{w: r.Dialogue}
		}
	})
}

func (r *Runner) setupLocal() {
	agent := local.Agent{CommandTimeLimit: r.Config.Local.CommandTimeLimit, CommandDirectory: r.Config.Local.CommandDirectory}
	if r.Deliver == nil {
		r.Deliver = agent.Mailbox
	}
	if r.Member == nil {
		r.Member = agent.Member
	}
	if r.Forward == nil {
		r.Forward = agent.ReadForward
	}
	if r.Ours == nil {
		r.Ours = func(d route.Decision) bool {
			return r.Config.User || d.Member == "" && d.User.UID == os.Geteuid()
		}
	}
}

func dialSMTP(ctx context.Context, t smtp.Target, o smtp.Options) (Session, error) {
	s, err := smtp.Dial(ctx, t, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// lockedWriter keeps the lines of several goroutines apart.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}
