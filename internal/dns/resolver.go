package dns

import (
	"context"
	"errors"
	"net/netip"
	"sort"
	"strings"

	"github.com/miekg/dns"

	"postrider/internal/address"
)

// asker asks one question of a recursive server and returns its answer. The answer's question is the one
// asked; its response code has not been looked at. name is absolute and in ASCII.
type asker interface {
	ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, error)
}

// resolver is a Resolver over an asker.
type resolver struct {
	asker
	hosts  func() *hostsFile // what /etc/hosts says; may be nil
	search func() []string   // domains that complete a single label; may be nil
}

func (r *resolver) MX(ctx context.Context, domain string) ([]MX, error) {
	const op = "dns.mx"
	name, err := ascii(domain)
	if err != nil {
		return nil, badName(op, domain, err)
	}
	if isLocalhost(name) {
		return nil, notFound(op, domain, "no MX record")
	}
	rrs, err := r.lookup(ctx, name, dns.TypeMX)
	if err != nil {
		return nil, classify(op, domain, "no MX record", err)
	}
	list := exchangers(rrs)
	if len(list) == 0 {
		return nil, failed(op, domain, errors.New("no MX record holds a host name"))
	}
	return list, nil
}

// exchangers are the usable records of rrs, best first, the null MX among them.
func exchangers(rrs []dns.RR) []MX {
	var list []MX
	for _, rr := range rrs {
		mx, ok := rr.(*dns.MX)
		if !ok {
			continue
		}
		if host := strings.TrimSuffix(mx.Mx, "."); host == "" || plainName(host) {
			list = append(list, MX{Host: strings.ToLower(host), Pref: mx.Preference})
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Pref < list[j].Pref })
	return list[:min(len(list), MaxMX)]
}

func (r *resolver) Addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	const op = "dns.addr"
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	name, err := ascii(host)
	if err != nil {
		return nil, badName(op, host, err)
	}
	if isLocalhost(name) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	if r.hosts != nil {
		if list := r.hosts().addrs[name]; len(list) > 0 {
			return list, nil
		}
	}
	for _, full := range r.candidates(name, strings.HasSuffix(host, ".")) {
		var list []netip.Addr
		if list, err = r.addrs(ctx, full); err == nil {
			return list, nil
		}
		if !errors.Is(err, ErrNotFound) {
			break
		}
	}
	return nil, classify(op, host, "host not found", err)
}

// candidates are the absolute names that name may stand for, likeliest first.
func (r *resolver) candidates(name string, absolute bool) []string {
	if absolute || r.search == nil || strings.Contains(name, ".") {
		return []string{name}
	}
	var list []string
	for _, domain := range r.search() {
		list = append(list, name+"."+domain)
	}
	return append(list, name)
}

// addrs asks for both families at once. One family is enough; "none" needs both servers' word.
func (r *resolver) addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	type answer struct {
		list []netip.Addr
		err  error
	}
	six := make(chan answer, 1)
	go func() {
		rrs, err := r.lookup(ctx, name, dns.TypeAAAA)
		six <- answer{addresses(rrs), err}
	}()
	rrs, err := r.lookup(ctx, name, dns.TypeA)
	list := addresses(rrs)
	second := <-six
	list = append(list, second.list...)
	if len(list) > 0 {
		return list[:min(len(list), MaxAddrs)], nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if second.err != nil {
		return nil, second.err
	}
	return nil, ErrNotFound
}

// addresses are the addresses of rrs, at most half of what an answer may bring, so that neither family
// displaces the other.
func addresses(rrs []dns.RR) []netip.Addr {
	var list []netip.Addr
	for _, rr := range rrs {
		var ip netip.Addr
		switch rr := rr.(type) {
		case *dns.A:
			ip, _ = netip.AddrFromSlice(rr.A)
		case *dns.AAAA:
			ip, _ = netip.AddrFromSlice(rr.AAAA)
		}
		if ip.IsValid() && len(list) < MaxAddrs/2 {
			list = append(list, ip.Unmap())
		}
	}
	return list
}

// classify makes the public error of what lookup returned.
func classify(op, name, none string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return notFound(op, name, none)
	}
	return failed(op, name, err)
}

// ascii is name in the form in which it is asked for: lower case, IDNA, without the final dot.
func ascii(name string) (string, error) {
	name, err := address.ASCIIDomain(strings.TrimSuffix(name, "."))
	if err != nil {
		return "", err
	}
	if !plainName(name) {
		return "", errors.New("malformed name")
	}
	return name, nil
}

// plainName reports whether s has the shape of a host name. It is laxer than RFC 1123: underscores occur.
func plainName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i] | 0x20
			if (c < 'a' || c > 'z') && (label[i] < '0' || label[i] > '9') && label[i] != '-' && label[i] != '_' {
				return false
			}
		}
	}
	return true
}

func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
