package server

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Deliveries of messages of 1 KiB over ten sessions, to one user and to a hundred.
func BenchmarkDeliveries(b *testing.B) {
	for _, users := range []int{1, 100} {
		for _, kind := range []string{"mbox", "maildir"} {
			b.Run(fmt.Sprintf("%s/users=%d", kind, users), func(b *testing.B) { benchDeliveries(b, kind, users) })
		}
	}
}

func benchDeliveries(b *testing.B, kind string, users int) {
	var names []string
	for i := range users {
		names = append(names, fmt.Sprintf("u%d", i))
	}
	w := newWorld(b, func(w *world) {
		if kind == "maildir" {
			w.server.Config.Local.Mailbox = "maildir:{home}/Maildir"
		}
	}, names...)
	text := "Subject: hi\r\n\r\n" + strings.Repeat("line of text\r\n", 70)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 10 {
		c := w.dial()
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				script := fmt.Sprintf("MAIL FROM:<bob@example.net> XID=A%d\r\nRCPT TO:<%s@here.test> XRCPT=1\r\nDATA\r\n", i, names[i%users])
				fmt.Fprint(c.conn, script)
				c.reply()
				c.reply()
				c.reply()
				fmt.Fprintf(c.conn, "%s.\r\n", text)
				if r := c.reply(); !strings.HasPrefix(r, "250 2.0.0") {
					b.Error(r)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}
