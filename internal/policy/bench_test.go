package policy

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/route"
	"postrider/internal/smtpd"
)

// benchPolicy asks the users of this machine.
func benchPolicy(b *testing.B) *Policy {
	b.Helper()
	conf := config.Default()
	conf.Hostname, conf.Domains, conf.Relay.Domains = "mx.ours.example", []string{"ours.example"}, []string{"backup.example"}
	conf.Smtpd.Access = filepath.Join(b.TempDir(), "access")
	if err := os.WriteFile(conf.Smtpd.Access, []byte("Connect:10 OK\nFrom:spam.example REJECT\nTo:old@ REJECT\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	resolver := dns.Zone("")
	p, err := New(conf, Options{Resolver: resolver, Router: route.New(conf, resolver, route.NewPasswd("/etc/passwd"))})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func BenchmarkConnect(b *testing.B) {
	p := benchPolicy(b)
	for b.Loop() {
		c := &smtpd.Client{UID: -1, Addr: netip.MustParseAddr("192.0.2.77")}
		p.Connect(context.Background(), c)
		p.Close(c)
	}
}

func BenchmarkMail(b *testing.B) {
	p := benchPolicy(b)
	c := &smtpd.Client{UID: -1, Addr: netip.MustParseAddr("192.0.2.77")}
	p.Connect(context.Background(), c)
	t := &smtpd.Transaction{Sender: parse(b, "somebody@good.example")}
	for b.Loop() {
		p.Mail(context.Background(), c, t)
	}
}

func BenchmarkRcpt(b *testing.B) {
	p := benchPolicy(b)
	c := &smtpd.Client{UID: -1, Addr: netip.MustParseAddr("192.0.2.77"), Helo: "mail.good.example"}
	p.Connect(context.Background(), c)
	t := &smtpd.Transaction{}
	for _, name := range []string{"root@ours.example", "x@backup.example", "x@victim.example"} {
		a := parse(b, name)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p.Rcpt(context.Background(), c, t, a)
			}
		})
	}
}
