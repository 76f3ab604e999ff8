package queuerun

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"postrider/internal/address"
	"postrider/internal/route"
	"postrider/queue"
)

// sink is an SMTP server on loopback that takes everything and counts it.
type sink struct {
	net.Listener
	taken    atomic.Int64
	sessions atomic.Int64
	each     func(text []byte) // called with each message; may be nil
}

func newSink(t testing.TB, each func([]byte)) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{Listener: l, each: each}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.sessions.Add(1)
			go s.serve(conn)
		}
	}()
	return s
}

func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	r, w := bufio.NewReader(conn), bufio.NewWriter(conn)
	w.WriteString("220 sink ESMTP\r\n")
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch strings.ToUpper(string(line[:min(4, len(line))])) {
		case "EHLO":
			w.WriteString("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")
		case "DATA":
			w.WriteString("354 go on\r\n")
			w.Flush()
			if !s.data(r) {
				return
			}
			w.WriteString("250 2.0.0 ok\r\n")
		case "QUIT":
			w.WriteString("221 bye\r\n")
			w.Flush()
			return
		default:
			w.WriteString("250 ok\r\n")
		}
	}
}

func (s *sink) data(r *bufio.Reader) bool {
	var text bytes.Buffer
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(line) == 3 && line[0] == '.' {
			break
		}
		if s.each != nil {
			text.Write(line)
		}
	}
	s.taken.Add(1)
	if s.each != nil {
		s.each(text.Bytes())
	}
	return true
}

// toSink routes everything to one address.
type toSink struct{ addr string }

func (r toSink) Route(a address.Address) route.Decision {
	return route.Decision{Kind: route.Relay, Address: a, Next: route.NextHop{Key: "sink", Domain: "sink.test", TLS: route.TLSNone}}
}

func (r toSink) Final(m route.Member) route.Decision {
	a, _ := address.Parse(m.Address)
	return r.Route(a)
}

func (r toSink) Check(a address.Address) route.Decision { return r.Route(a) }

func (r toSink) Forward(address.Address, []string) []route.Member { return nil }

func (r toSink) Hosts(context.Context, route.NextHop) ([]route.Host, error) {
	return []route.Host{{Name: "sink.test", Addr: netip.MustParseAddrPort(r.addr)}}, nil
}

// fill queues n messages of a size, by several writers; their bodies begin with their number.
func fill(t testing.TB, spool *queue.Spool, clk *clock, n, size int) {
	t.Helper()
	fillFor(t, spool, clk, n, size, func(int) string { return "r@sink.test" })
}

// fillFor is fill with a recipient for each.
func fillFor(t testing.TB, spool *queue.Spool, clk *clock, n, size int, rcpt func(int) string) {
	t.Helper()
	pad := bytes.Repeat([]byte("All work and no play makes Jack a dull boy, they say at sea.\r\n"), size/62)
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			for i := w; i < n; i += 16 {
				d, err := spool.NewDraft(queue.Envelope{Arrival: clk.Now(), Sender: "s@here.test", UID: -1, Rcpts: []queue.Rcpt{{Address: rcpt(i)}}})
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintf(d, "Subject: x\r\n\r\nnumber %d\r\n%s", i, pad)
				if _, err := d.Commit(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkDrain delivers messages of 4 KiB to one host on loopback.
func BenchmarkDrain(b *testing.B) {
	for _, from := range []string{"new", "cur"} {
		b.Run(from, func(b *testing.B) { benchmarkDrain(b, from == "cur") })
	}
}

func benchmarkDrain(b *testing.B, deferred bool) {
	clk := newClock()
	spool, err := queue.Open(b.TempDir(), queue.Options{Now: clk.Now})
	if err != nil {
		b.Fatal(err)
	}
	sink := newSink(b, nil)
	fill(b, spool, clk, b.N, 4096)
	if deferred {
		var list []queue.Entry
		if err := spool.Scan(queue.New, func(e queue.Entry) error { list = append(list, e); return nil }); err != nil {
			b.Fatal(err)
		}
		for _, e := range list {
			c, err := spool.Claim(e)
			if err == nil {
				err = c.Defer(clk.Now())
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	r := &Runner{Spool: spool, Config: settings(), Router: toSink{sink.Addr().String()}}
	b.ResetTimer()
	res, err := r.Run(context.Background(), Selection{})
	b.StopTimer()
	if err != nil || res.Sent != b.N || sink.taken.Load() != int64(b.N) {
		b.Fatalf("sent %d, taken %d of %d: %v", res.Sent, sink.taken.Load(), b.N, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64(sink.sessions.Load()), "sessions")
}
