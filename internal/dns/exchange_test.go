package dns

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// serve runs a name server on a loopback port, UDP and TCP alike, and returns its address.
func serve(t *testing.T, handle dns.HandlerFunc) string {
	t.Helper()
	for range 10 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err != nil { // somebody has the port for UDP
			tcp.Close()
			continue
		}
		for _, s := range []*dns.Server{{Listener: tcp, Handler: handle}, {PacketConn: udp, Handler: handle}} {
			started := make(chan struct{})
			s.NotifyStartedFunc = func() { close(started) }
			go s.ActivateAndServe()
			<-started
			t.Cleanup(func() { s.Shutdown() })
		}
		return tcp.Addr().String()
	}
	t.Fatal("no port free for both UDP and TCP")
	return ""
}

// over is a resolver that asks these servers with a short time limit.
func over(attempts int, timeout time.Duration, addrs ...string) *resolver {
	conf := resolvConf{servers: addrs, timeout: timeout, attempts: attempts}
	return &resolver{asker: &servers{conf: func() resolvConf { return conf }}}
}

func reply(w dns.ResponseWriter, q *dns.Msg, edit func(*dns.Msg)) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	edit(m)
	w.WriteMsg(m)
}

func records(texts ...string) func(*dns.Msg) {
	return func(m *dns.Msg) {
		for _, text := range texts {
			rr, err := dns.NewRR(text)
			if err != nil {
				panic(err)
			}
			if rr.Header().Rrtype == dns.TypeSOA {
				m.Ns = append(m.Ns, rr)
			} else {
				m.Answer = append(m.Answer, rr)
			}
		}
	}
}

func isTCP(w dns.ResponseWriter) bool { return w.RemoteAddr().Network() == "tcp" }

const ample = 5 * time.Second // never reached on loopback
const short = 50 * time.Millisecond

func TestExchange(t *testing.T) {
	mx := records("d.example. 1 IN MX 10 mx.d.example.")
	const good = "{mx.d.example 10}"
	const fails = "451 4.4.3 DNS lookup of d.example failed"
	servfail := func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }
	for _, c := range []struct {
		name    string
		timeout time.Duration
		handle  dns.HandlerFunc
		want    string
	}{
		{"a plain answer", ample, func(w dns.ResponseWriter, q *dns.Msg) { reply(w, q, mx) }, good},
		{"the query announces EDNS0", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			if opt := q.IsEdns0(); opt == nil || opt.UDPSize() != udpSize || !q.RecursionDesired {
				reply(w, q, servfail)
				return
			}
			reply(w, q, mx)
		}, good},
		{"a server without EDNS0 is asked without", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			if q.IsEdns0() != nil {
				reply(w, q, func(m *dns.Msg) { m.Rcode = dns.RcodeFormatError })
				return
			}
			reply(w, q, mx)
		}, good},
		{"a truncated answer is asked for over TCP", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			if !isTCP(w) {
				reply(w, q, func(m *dns.Msg) { m.Truncated = true })
				return
			}
			reply(w, q, mx)
		}, good},
		{"an answer with another ID is ignored", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			reply(w, q, func(m *dns.Msg) { m.Id++; records("d.example. 1 IN MX 1 evil.example.")(m) })
			reply(w, q, mx)
		}, good},
		{"an answer to another question is ignored", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			reply(w, q, func(m *dns.Msg) { m.Question[0].Name = "e.example."; m.Rcode = dns.RcodeNameError })
			reply(w, q, func(m *dns.Msg) { m.Question = nil; m.Rcode = dns.RcodeNameError })
			reply(w, q, func(m *dns.Msg) { m.Response = false })
			w.Write([]byte("short"))
			reply(w, q, mx)
		}, good},
		{"an answer for another name is no answer", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			reply(w, q, records("evil.example. 1 IN MX 1 mx.evil.example."))
		}, "550 5.1.2 d.example: no MX record"},
		{"over TCP another ID is an error", short, func(w dns.ResponseWriter, q *dns.Msg) {
			reply(w, q, func(m *dns.Msg) {
				m.Truncated = true
				if isTCP(w) {
					m.Id++
				}
			})
		}, fails},
		{"no answer is temporary", short, func(w dns.ResponseWriter, q *dns.Msg) {}, fails},
		{"a refusal is temporary", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			reply(w, q, func(m *dns.Msg) { m.Rcode = dns.RcodeRefused })
		}, fails},
		{"a referral is temporary", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			reply(w, q, func(m *dns.Msg) { m.RecursionAvailable = false })
		}, fails},
		{"a server in charge may say that there is nothing", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			reply(w, q, func(m *dns.Msg) { m.RecursionAvailable, m.Authoritative = false, true })
		}, "550 5.1.2 d.example: no MX record"},
		{"an alias whose target the answer lacks is asked for", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			if q.Question[0].Name == "t.example." {
				reply(w, q, records("t.example. 1 IN MX 10 mx.d.example."))
				return
			}
			reply(w, q, records("d.example. 1 IN CNAME t.example."))
		}, good},
		{"an alias to a name without the type is not found", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			if q.Question[0].Name != "d.example." {
				reply(w, q, servfail) // must not be asked: the SOA has said it
				return
			}
			reply(w, q, records("d.example. 1 IN CNAME t.example.", "example. 1 IN SOA a. b. 1 1 1 1 1"))
		}, "550 5.1.2 d.example: no MX record"},
		{"aliases in a circle within an answer are temporary", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			reply(w, q, records("d.example. 1 IN CNAME t.example.", "t.example. 1 IN CNAME d.example."))
		}, fails},
		{"thousands of records are cut to the cap", ample, func(w dns.ResponseWriter, q *dns.Msg) {
			if !isTCP(w) {
				reply(w, q, func(m *dns.Msg) { m.Truncated = true })
				return
			}
			reply(w, q, func(m *dns.Msg) {
				m.Compress = true
				for i := range 2000 {
					records(fmt.Sprintf("d.example. 1 IN MX %d h%d.d.example.", 2000-i, i))(m)
				}
			})
		}, "100 records from {h1999.d.example 1}"},
	} {
		list, err := over(1, c.timeout, serve(t, c.handle)).MX(context.Background(), "d.example")
		got := outcome(list, err)
		if len(list) > 1 {
			got = fmt.Sprintf("%d records from %v", len(list), list[0])
		}
		if got != c.want {
			t.Errorf("%s:\n got %s (%v)\nwant %s", c.name, got, err, c.want)
		}
	}
}

func TestTheNextServerIsAskedWhenOneFails(t *testing.T) {
	var asked atomic.Int32
	broken := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		asked.Add(1)
		reply(w, q, func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure })
	})
	working := serve(t, func(w dns.ResponseWriter, q *dns.Msg) { reply(w, q, records("d.example. 1 IN MX 1 mx.example.")) })
	list, err := over(2, ample, broken, working).MX(context.Background(), "d.example")
	if got := outcome(list, err); got != "{mx.example 1}" || asked.Load() != 1 {
		t.Errorf("%s, the broken server was asked %d times", got, asked.Load())
	}
	asked.Store(0)
	_, err = over(2, ample, broken).MX(context.Background(), "d.example")
	if err == nil || asked.Load() != 2 {
		t.Errorf("two rounds: asked %d times, %v", asked.Load(), err)
	}
	if text := err.Error(); !strings.Contains(text, "SERVFAIL") || !strings.Contains(text, broken) {
		t.Errorf("the error names neither the server nor what it said: %s", text)
	}
}

func TestACancelledContextEndsTheWait(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	silent := serve(t, func(w dns.ResponseWriter, q *dns.Msg) { cancel() })
	list, err := over(5, time.Hour, silent).MX(ctx, "d.example")
	if got := outcome(list, err); got != "451 4.4.3 DNS lookup of d.example failed" {
		t.Error(got)
	}
}
