package queuerun

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// crowdedRouter routes by a real list of n members, of whom one in a hundred is a user of this machine.
func crowdedRouter(tb testing.TB, n int) *route.Router {
	dir := tb.TempDir()
	var list, passwd strings.Builder
	for i := range n {
		if i%100 == 0 {
			fmt.Fprintf(&list, "user%d\n", i)
			fmt.Fprintf(&passwd, "user%d:x:%d:100::/home/user%d:/bin/sh\n", i, 1000+i, i)
		} else {
			fmt.Fprintf(&list, "subscriber-%d@lists%d.example.net\n", i, i%50)
		}
	}
	conf := config.Default()
	conf.Hostname, conf.Origin, conf.Tables = "mail.here.test", "here.test", config.Tables{}
	conf.Aliases = []string{filepath.Join(dir, "aliases")}
	for name, text := range map[string]string{"aliases": "list: :include:" + dir + "/list\nowner-list: user0\n", "list": list.String(), "passwd": passwd.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return route.New(conf, nil, route.NewPasswd(filepath.Join(dir, "passwd")))
}

// crowdPeer takes all mail, and as the agent tells of each user that he forwards to one elsewhere and to himself.
type crowdPeer struct {
	agent bool
	sent  func()
}

func (crowdPeer) Relay() string  { return "peer" }
func (crowdPeer) TLS() string    { return "" }
func (crowdPeer) Reusable() bool { return true }
func (crowdPeer) Close() error   { return nil }

func (p crowdPeer) Send(_ context.Context, m smtp.Message) (smtp.Result, error) {
	p.sent()
	res := smtp.Result{Begun: true}
	for _, r := range m.Rcpts {
		res.Rcpts = append(res.Rcpts, status.New(smtp.OpReply, 250, status.Code{2, 0, 0}, "ok", nil))
		var list []string
		if p.agent && !r.Mailbox {
			user, _, _ := strings.Cut(r.Address, "@")
			list = []string{`\` + user, user + "@elsewhere.example"}
		}
		res.Members = append(res.Members, list)
	}
	return res, nil
}

// crowdHosts gives each next hop a host that is never looked up.
type crowdHosts struct{ *route.Router }

func (crowdHosts) Hosts(context.Context, route.NextHop) ([]route.Host, error) {
	return []route.Host{{Name: "peer"}}, nil
}

// BenchmarkList delivers a message to a list of 100,000, of whom 1,000 are users who forward. It tells how long it takes
// until the list is on record, and how much memory is in use at most.
func BenchmarkList(b *testing.B) {
	const n = 100_000
	router := crowdedRouter(b, n)
	spool, err := queue.Open(b.TempDir(), queue.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var expanding time.Duration
	var most uint64
	sent := 0
	for b.Loop() {
		b.StopTimer()
		e := queue.Envelope{Arrival: time.Now(), Sender: "s@here.test", UID: -1, Rcpts: []queue.Rcpt{{Address: "list@mail.here.test"}}}
		d, err := spool.NewDraft(e)
		if err == nil {
			fmt.Fprint(d, "Subject: x\r\n\r\nhello\r\n")
			_, err = d.Commit()
		}
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		b.StartTimer()
		began, first := time.Now(), true
		peer := crowdPeer{sent: func() {
			if sent++; first {
				first, expanding = false, expanding+time.Since(began)
			}
			if sent%100 == 1 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}}
		r := &Runner{Spool: spool, Config: settings(), Router: crowdHosts{router}, Ours: func(route.Decision) bool { return false }}
		r.Dial = func(_ context.Context, t smtp.Target, _ smtp.Options) (Session, error) {
			peer.agent = t.Agent
			return peer, nil
		}
		res, err := r.Run(context.Background(), Selection{})
		if err != nil || res.Sent != n+n/100 {
			b.Fatalf("%+v, %v", res, err)
		}
	}
	b.ReportMetric(expanding.Seconds()/float64(b.N), "s/expansion")
	b.ReportMetric(float64(most>>20), "MiB")
	b.ReportMetric(float64(sent)/float64(b.N), "transactions/op")
}
