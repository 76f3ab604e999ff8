package dns

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

func (r *resolver) KnownNames(addr netip.Addr) []string {
	if r.hosts == nil {
		return nil
	}
	return r.hosts().names[plainAddr(addr)]
}

// plainAddr is addr as the hosts file and the DNS know it.
func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func (r *resolver) Names(ctx context.Context, addr netip.Addr) ([]string, error) {
	const op = "dns.ptr"
	if list := r.KnownNames(addr); len(list) > 0 {
		return list, nil
	}
	shown := addr.String()
	reverse, err := dns.ReverseAddr(plainAddr(addr).String())
	if err != nil {
		return nil, badName(op, shown, err)
	}
	rrs, err := r.lookup(ctx, reverse, dns.TypePTR)
	if err != nil {
		return nil, classify(op, shown, "no name in DNS", err)
	}
	list := hostNames(rrs)
	if len(list) == 0 {
		return nil, notFound(op, shown, "no PTR record holds a host name")
	}
	return list, nil
}

// hostNames are the names of rrs that can be those of hosts.
func hostNames(rrs []dns.RR) []string {
	var list []string
	for _, rr := range rrs {
		ptr, ok := rr.(*dns.PTR)
		if !ok || len(list) == maxNames {
			continue
		}
		if name := strings.ToLower(strings.TrimSuffix(ptr.Ptr, ".")); plainName(name) {
			list = append(list, name)
		}
	}
	return list
}

func (r *resolver) A(ctx context.Context, name string) ([]netip.Addr, error) {
	const op = "dns.a"
	rrs, err := r.absolute(ctx, op, name, dns.TypeA)
	if err != nil {
		return nil, err
	}
	list := addresses(rrs)
	if len(list) == 0 {
		return nil, failed(op, name, errors.New("no A record holds an address"))
	}
	return list, nil
}

func (r *resolver) TXT(ctx context.Context, name string) ([]string, error) {
	rrs, err := r.absolute(ctx, "dns.txt", name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, rr := range rrs[:min(len(rrs), maxTexts)] {
		if txt, ok := rr.(*dns.TXT); ok {
			list = append(list, text(txt.Txt))
		}
	}
	return list, nil
}

// absolute looks up the records of an absolute name.
func (r *resolver) absolute(ctx context.Context, op, name string, qtype uint16) ([]dns.RR, error) {
	full, err := ascii(name)
	if err != nil {
		return nil, badName(op, name, err)
	}
	rrs, err := r.lookup(ctx, full, qtype)
	if err != nil {
		return nil, classify(op, name, "no "+dns.TypeToString[qtype]+" record", err)
	}
	return rrs, nil
}

// text is what the strings of a TXT record say. The library has them in the form of a zone file, where a backslash
// escapes a byte or comes before three digits.
func text(parts []string) string {
	var b strings.Builder
	for _, s := range parts {
		for i := 0; i < len(s) && b.Len() < maxText; {
			c, n := zoneByte(s[i:])
			b.WriteByte(c)
			i += n
		}
	}
	return b.String()
}

// zoneByte is the first byte that s, which is not empty, stands for, and how much of s that takes.
func zoneByte(s string) (c byte, n int) {
	switch {
	case s[0] != '\\' || len(s) == 1:
		return s[0], 1
	case len(s) >= 4 && isDigit(s[1]) && isDigit(s[2]) && isDigit(s[3]):
		return (s[1]-'0')*100 + (s[2]-'0')*10 + s[3] - '0', 4
	}
	return s[1], 2
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
