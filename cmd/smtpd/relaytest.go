package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"postrider/internal/smtpd"
	"postrider/internal/status"
	"postrider/queue"
)

// victim is a domain that nobody has (RFC 2606), and so none that we relay for.
const victim = "victim.invalid"

// strangers are clients that nobody is (RFC 5737, RFC 3849).
var strangers = []string{"203.0.113.77", "2001:db8::77"}

// misuse is one way to have mail relayed that is not ours.
type misuse struct {
	helo, from, rcpt string
	ours             bool // the recipient is in a domain of ours: it may exist, and then leads to nobody else
}

// misuses are the ways that are known. Only the domain of a recipient decides; what looks like an address in a localpart
// is none.
func misuses(us string) []misuse {
	const helo, from = "mail.stranger.invalid", "<somebody@stranger.invalid>"
	list := []misuse{
		{helo, "<>", "<user@" + victim + ">", false},
		{helo, "<postmaster@" + us + ">", "<user@" + victim + ">", false},
		{us, from, "<user@" + victim + ">", false},
		{"localhost", from, "<user@" + victim + ">", false},
	}
	for _, rcpt := range []string{
		"<user@{victim}>", "<user@VICTIM.INVALID>", "<user@{victim}.>", "user@{victim}", "<user@xn--vctim-8va.invalid>",
		"<user@[192.0.2.200]>", "<user@[IPv6:2001:db8::200]>", "<user@[]>",
		"<@{us}:user@{victim}>", "<@{us},@{victim}:user@{victim}>", "<@{victim}:user@{victim}>",
		"<user@{us}@{victim}>", `<"user@{us}"@{victim}>`, "<user%{us}@{victim}>", "<{us}!user@{victim}>",
	} {
		list = append(list, misuse{helo, from, expand(rcpt, us), false})
	}
	for _, rcpt := range []string{
		"<user%{victim}@{us}>", `<"user@{victim}"@{us}>`, "<{victim}!user@{us}>", "<{us}!{victim}!user@{us}>",
		"<user@{victim}@{us}>", "<@{victim}:user%{victim}@{us}>", "<user%{victim}@{us}.>", "<user%{victim}@[127.0.0.1]>",
		"<user%{victim}>", "<{victim}!user>", `<"user@{victim}">`,
	} {
		list = append(list, misuse{helo, from, expand(rcpt, us), true})
	}
	return list
}

func expand(rcpt, us string) string {
	return strings.NewReplacer("{us}", us, "{victim}", victim).Replace(rcpt)
}

// relaying plays a stranger to the real policy, in each way to misuse a server.
func (k *checker) relaying() []finding {
	conf := k.conf
	// What else speaks against a stranger must not hide that relaying is allowed.
	conf.Smtpd.Helo, conf.Smtpd.ReverseName, conf.Smtpd.DNSLists, conf.Smtpd.AskNextHop = "any", "any", nil, false
	conf.Smtpd.ClientConnections, conf.Smtpd.ClientMessages, conf.Smtpd.ClientRecipients = 0, 0, 0
	conf.Smtpd.GreetingDelay, conf.Smtpd.ProxyNetworks = 0, nil
	pol, err := k.policy(conf)
	var server *smtpd.Server
	if err == nil {
		server, err = newServer(conf, pol)
	}
	if err != nil {
		return nil // said already
	}
	server.Spool, server.Sleep = noSpool{}, func(context.Context, time.Duration) {}
	var list []finding
	tried := 0
	for _, word := range []string{"smtp", "submission", "lmtp"} {
		bad := map[level][]finding{}
		for _, from := range strangers {
			for _, m := range misuses(conf.Hostname) {
				tried++
				f := m.try(server, word, from)
				bad[f.level] = append(bad[f.level], f)
			}
		}
		for _, l := range []level{fail, warn} {
			if n := len(bad[l]); n > 0 {
				f := bad[l][0]
				f.what += fmt.Sprintf(" (one of %d)", n)
				list = append(list, f)
			}
		}
	}
	if len(list) == 0 {
		return []finding{good("relaying: a stranger is refused in all %d ways that were tried", tried)}
	}
	return list
}

// try plays one stranger.
func (m misuse) try(s *smtpd.Server, word, from string) finding {
	reply, err := m.play(s, modes[word], from)
	what := fmt.Sprintf("relaying: mode %s, MAIL FROM:%s RCPT TO:%s", word, m.from, m.rcpt)
	switch {
	case err != nil:
		return finding{fail, what + ": " + err.Error(), "report this as a fault of the program"}
	case !strings.HasPrefix(reply, "2"):
		return good("refused")
	case m.ours:
		return finding{warn, what + " is accepted from a stranger", "see by postrider explain where it leads"}
	}
	return finding{fail, what + " is accepted from a stranger", "correct relay.networks, relay.domains or the access table"}
}

// play holds the dialogue, and returns the reply to RCPT.
func (m misuse) play(s *smtpd.Server, mode smtpd.Mode, from string) (reply string, err error) {
	ours, theirs := net.Pipe()
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.Serve(context.Background(), stranger{theirs, netip.AddrPortFrom(netip.MustParseAddr(from), 4321)}, &smtpd.Port{Name: "check", Mode: mode})
	}()
	defer func() {
		ours.Close()
		<-over
	}()
	ours.SetDeadline(time.Now().Add(30 * time.Second))
	in := bufio.NewReaderSize(ours, 4<<10)
	hello := "EHLO "
	if mode == smtpd.LMTP {
		hello = "LHLO "
	}
	for _, command := range []string{"", hello + m.helo, "MAIL FROM:" + m.from, "RCPT TO:" + m.rcpt} {
		if command != "" {
			if _, err := ours.Write([]byte(command + "\r\n")); err != nil {
				return reply, nil // refused before, for good
			}
		}
		for more := true; more; {
			line, err := in.ReadString('\n')
			if err != nil || len(line) < 4 {
				return reply, err
			}
			reply, more = line, line[3] == '-'
		}
		if reply[0] == '5' || reply[0] == '4' {
			return reply, nil
		}
	}
	return reply, nil
}

// stranger is the connection of a client that comes from somewhere.
type stranger struct {
	net.Conn
	from netip.AddrPort
}

// RemoteAddr is where it says that it comes from.
func (s stranger) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.from) }

// noSpool takes no message.
type noSpool struct{}

func (noSpool) NewDraft(queue.Envelope) (*queue.Draft, error) {
	return nil, status.Fail("smtpd.check", status.ExitTempFail, "this is a check", errors.ErrUnsupported)
}

func (noSpool) Room(int64) error { return nil }
