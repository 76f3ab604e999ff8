package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"postrider/internal/dns"
	"postrider/internal/status"
)

// Caps on the places to try for one next hop, and on finding them out.
const (
	MaxHosts   = 20
	maxPerName = 8           // addresses of one host
	lookupTime = time.Minute // for all of a next hop's lookups: what is known by then has to do
)

// Host is one place to try. Name is for the log and for TLS. Socket is set instead of Addr for LMTP by a Unix
// socket.
type Host struct {
	Name   string
	Addr   netip.AddrPort
	Socket string
	Pref   uint16
}

// Hosts returns the places to try for next, in order, at least one and at most MaxHosts. The error is a
// *status.Status.
func (r *Router) Hosts(ctx context.Context, next NextHop) ([]Host, error) {
	list, err := r.hostsOf(ctx, next)
	for _, other := range next.Others {
		more, otherErr := r.hostsOf(ctx, other)
		list = append(list, more...)
		if s := status.From(otherErr); err != nil && s != nil && s.Class() == status.Temporary {
			err = otherErr
		}
	}
	if len(list) > 0 {
		return list[:min(len(list), MaxHosts)], nil
	}
	return nil, err
}

// hostsOf is Hosts for one next hop, without its others.
func (r *Router) hostsOf(ctx context.Context, next NextHop) ([]Host, error) {
	if next.Socket != "" {
		return []Host{{Name: next.Socket, Socket: next.Socket}}, nil
	}
	port, err := strconv.ParseUint(next.Port, 10, 16)
	if err != nil || port == 0 {
		return nil, status.New("route.hosts", 451, status.Code{4, 3, 5}, "the next hop's port is no number", fmt.Errorf("smarthost.url: port %q", next.Port))
	}
	ctx, cancel := context.WithTimeout(ctx, r.lookupTime)
	defer cancel()
	var list []Host
	if next.Host != "" {
		list, err = r.namedHost(ctx, next.Host)
	} else {
		list, err = r.exchangers(ctx, next.Domain)
	}
	for i := range list {
		list[i].Addr = netip.AddrPortFrom(list[i].Addr.Addr(), uint16(port))
	}
	if s := status.From(err); next.Fixed && s != nil && s.Class() == status.Permanent {
		err = status.New("route.hosts", 451, status.Code{4, 4, 4}, "the next hop that is configured for the domain cannot be found", s)
	}
	return list, err
}

// namedHost returns the addresses of a host that the configuration or an address literal names. When its name
// does not exist, that is the configuration's fault and mail waits.
func (r *Router) namedHost(ctx context.Context, name string) ([]Host, error) {
	list, err := r.addrs(ctx, dns.MX{Host: name})
	switch {
	case errors.Is(err, dns.ErrNotFound):
		return nil, status.New("route.hosts", 451, status.Code{4, 4, 4}, "the smarthost's name is not found", err)
	case err == nil && len(list) == 0:
		return nil, status.New("route.hosts", 550, status.Code{5, 4, 4}, name+" is no address of a host", nil)
	}
	return list, err
}

// exchangers returns the addresses of the hosts that take mail for domain (RFC 5321 section 5.1).
func (r *Router) exchangers(ctx context.Context, domain string) ([]Host, error) {
	none := status.New("route.hosts", 550, status.Code{5, 4, 4}, "no mail exchanger of "+domain+" has an address", nil)
	mxs, err := r.dns.MX(ctx, domain)
	if errors.Is(err, dns.ErrNotFound) {
		// No MX record: the domain is its own exchanger, with preference 0.
		mxs, err = []dns.MX{{Host: domain}}, nil
		none = status.New("route.hosts", 550, status.Code{5, 1, 2}, domain+" has neither mail exchanger nor address in DNS", nil)
	}
	if err != nil {
		return nil, err
	}
	if len(mxs) == 1 && mxs[0].Host == "" {
		// RFC 7505: a null MX says that the domain takes no mail, at once and for good.
		return nil, status.New("route.hosts", 556, status.Code{5, 1, 10}, domain+" takes no mail (null MX)", nil)
	}
	r.shuffleEqual(mxs)
	better := r.beforeOwnName(mxs)
	list, own, err := r.resolve(ctx, better)
	switch {
	case len(list) > 0:
		return list, nil
	case err != nil:
		return nil, err
	case own || len(better) < len(mxs):
		return nil, status.New("route.hosts", 554, status.Code{5, 4, 6}, "mail for "+domain+" loops back to this machine",
			fmt.Errorf("if this machine takes mail for %s, add it to domains", domain))
	}
	return nil, none
}

// shuffleEqual puts exchangers of equal preference, which follow each other, in random order.
func (r *Router) shuffleEqual(mxs []dns.MX) {
	for start := 0; start < len(mxs); {
		end := start + 1
		for end < len(mxs) && mxs[end].Pref == mxs[start].Pref {
			end++
		}
		group := mxs[start:end]
		r.shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		start = end
	}
}

// beforeOwnName returns the exchangers that are better than this machine: those of its own and of worse
// preference would send the mail back (RFC 5321 section 5.1).
func (r *Router) beforeOwnName(mxs []dns.MX) []dns.MX {
	for _, mx := range mxs {
		if r.servesDomains() && sameDomain(mx.Host, r.conf.Hostname) {
			return betterThan(mxs, mx.Pref, func(mx dns.MX) uint16 { return mx.Pref })
		}
	}
	return mxs
}

// servesDomains reports whether an exchanger on this machine is us. A user installation takes no mail from
// the network: whoever answers at port 25 of this machine is another mail system.
func (r *Router) servesDomains() bool { return !r.conf.User }

// betterThan cuts a list that is sorted by preference before pref.
func betterThan[T any](list []T, pref uint16, of func(T) uint16) []T {
	for i, x := range list {
		if of(x) >= pref {
			return list[:i]
		}
	}
	return list
}

// resolve returns the addresses of mxs, each once, cut before this machine's own. own reports that there was one.
// When nothing is found, err is the first temporary failure, if any.
func (r *Router) resolve(ctx context.Context, mxs []dns.MX) (list []Host, own bool, err error) {
	asked := map[string]bool{"": true}
	for _, mx := range mxs {
		if asked[mx.Host] || len(list) >= MaxHosts {
			continue
		}
		asked[mx.Host] = true
		hosts, lookupErr := r.addrs(ctx, dns.MX{Host: mx.Host + ".", Pref: mx.Pref})
		if s := status.From(lookupErr); s != nil && s.Class() == status.Temporary && err == nil {
			err = lookupErr
		}
		for _, h := range hosts {
			if r.servesDomains() && r.ownAddr(h.Addr.Addr()) {
				return betterThan(list, mx.Pref, func(h Host) uint16 { return h.Pref }), true, err
			}
			if !slices.ContainsFunc(list, func(have Host) bool { return have.Addr == h.Addr }) {
				list = append(list, h)
			}
		}
	}
	return list[:min(len(list), MaxHosts)], false, err
}

// addrs returns the addresses of one host, both families in turn, so that a cut leaves some of each.
func (r *Router) addrs(ctx context.Context, mx dns.MX) ([]Host, error) {
	ips, err := r.dns.Addrs(ctx, mx.Host)
	if err != nil {
		return nil, err
	}
	var list []Host
	for _, ip := range alternate(ips, r.hasIPv6()) {
		if !ip.IsMulticast() && len(list) < maxPerName {
			list = append(list, Host{Name: trimDot(mx.Host), Addr: netip.AddrPortFrom(ip, 0), Pref: mx.Pref})
		}
	}
	return list, nil
}

func trimDot(name string) string {
	if n := len(name); n > 1 && name[n-1] == '.' {
		return name[:n-1]
	}
	return name
}

// hasIPv6 reports whether this machine has an address for the IPv6 Internet; if not, IPv4 comes first.
func (r *Router) hasIPv6() bool {
	for _, ip := range r.machine() {
		if ip.Is6() && ip.IsGlobalUnicast() && !ip.IsPrivate() {
			return true
		}
	}
	return false
}

// alternate takes addresses of the two families in turn.
func alternate(ips []netip.Addr, sixFirst bool) []netip.Addr {
	var first, second, list []netip.Addr
	for _, ip := range ips {
		if ip.Is6() == sixFirst {
			first = append(first, ip)
		} else {
			second = append(second, ip)
		}
	}
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			list = append(list, first[i])
		}
		if i < len(second) {
			list = append(list, second[i])
		}
	}
	return list
}
