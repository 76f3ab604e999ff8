package smtpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"postrider/queue"
)

// benchServer listens with a spool on the disk of BENCH_DIR, or of the temporary directory.
func benchServer(b *testing.B) (addr string, s *Server, spool *queue.Spool) {
	b.Helper()
	dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "bench.")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	if spool, err = queue.Open(dir, queue.Options{}); err != nil {
		b.Fatal(err)
	}
	s, _ = testServer(b, &testPolicy{trusted: true})
	s.Spool, s.Now, s.SizeLimit, s.Recipients = spool, nil, 50<<20, 1000
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	port := &Port{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.Serve(context.Background(), c, port)
		}
	}()
	return l.Addr().String(), s, spool
}

// benchClient is a client that knows no pipelining, as smtp-source is.
type benchClient struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialBench(addr string) (*benchClient, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &benchClient{conn, bufio.NewReader(conn)}
	if err := c.reply("220 "); err != nil {
		return nil, err
	}
	return c, c.say("HELO x.example\r\n", "250 ")
}

func (c *benchClient) say(text, want string) error {
	if _, err := io.WriteString(c.conn, text); err != nil {
		return err
	}
	return c.reply(want)
}

func (c *benchClient) reply(want string) error {
	line, err := c.in.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, want) {
		err = errors.New(line)
	}
	return err
}

func (c *benchClient) message(rcpts int, text string) error {
	if err := c.say("MAIL FROM:<a@b.example>\r\n", "250 "); err != nil {
		return err
	}
	for i := range rcpts {
		if err := c.say(fmt.Sprintf("RCPT TO:<u%d@here.example>\r\n", i), "250 "); err != nil {
			return err
		}
	}
	if err := c.say("DATA\r\n", "354 "); err != nil {
		return err
	}
	return c.say(text, "250 ")
}

func (c *benchClient) quit() error {
	defer c.conn.Close()
	return c.say("QUIT\r\n", "221 ")
}

// BenchmarkAccept is messages accepted from 10 sessions at once, with a connection for each message and kept alive.
func BenchmarkAccept(b *testing.B) {
	for _, bm := range []struct {
		name  string
		size  int
		rcpts int
		keep  bool
	}{{"4KiB", 4 << 10, 1, false}, {"4KiB/alive", 4 << 10, 1, true}, {"4KiB/50rcpt", 4 << 10, 50, false}, {"1MiB", 1 << 20, 1, false}} {
		b.Run(bm.name, func(b *testing.B) {
			addr, s, spool := benchServer(b)
			text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", bm.size/72) + ".\r\n"
			b.SetParallelism((10 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			var failed atomic.Value
			b.RunParallel(func(pb *testing.PB) {
				var c *benchClient
				for pb.Next() {
					var err error
					if c == nil {
						c, err = dialBench(addr)
					}
					if err == nil {
						err = c.message(bm.rcpts, text)
					}
					if err == nil && !bm.keep {
						err = c.quit()
						c = nil
					}
					if err != nil {
						failed.Store(err)
						return
					}
				}
			})
			if err := failed.Load(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			if n, err := spool.Count(queue.New); err != nil || n != b.N || s.Stats.Messages.Load() != int64(n) {
				b.Fatalf("%d messages of %d, %v", n, b.N, err)
			}
		})
	}
}

// BenchmarkIdle is the memory of sessions that wait for a command.
func BenchmarkIdle(b *testing.B) {
	addr, s, _ := benchServer(b)
	const sessions = 1000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var clients []*benchClient
		for range sessions {
			c, err := dialBench(addr)
			if err != nil {
				b.Fatal(err)
			}
			clients = append(clients, c)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/sessions/1024, "KiB/session-with-client")
		if n := s.Stats.Sessions.Load(); n != sessions {
			b.Fatal(n)
		}
		for _, c := range clients {
			c.conn.Close()
		}
	}
}
