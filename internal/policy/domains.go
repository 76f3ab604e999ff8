package policy

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"postrider/internal/address"
	"postrider/internal/config"
)

// interfaces are the addresses of this machine's network interfaces; none when they cannot be found out.
func interfaces() []netip.Addr {
	list, _ := net.InterfaceAddrs()
	var addrs []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr())
		}
	}
	return addrs
}

// ownAddrs knows the addresses of this machine, as they were within a minute.
type ownAddrs struct {
	list func() []netip.Addr
	now  func() time.Time
	seen atomic.Pointer[ownSeen]
}

type ownSeen struct {
	at   time.Time
	have map[netip.Addr]bool
}

func (o *ownAddrs) has(a netip.Addr) bool {
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	seen, now := o.seen.Load(), o.now()
	if seen == nil || now.Sub(seen.at) > time.Minute || now.Before(seen.at) {
		seen = &ownSeen{at: now, have: map[netip.Addr]bool{}}
		for _, own := range o.list() {
			seen.have[plain(own)] = true
		}
		o.seen.Store(seen)
	}
	return seen.have[plain(a)]
}

// plain is an address in the one form for comparing.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// domains are those whose mail we take: our own, and those that we relay for.
type domains struct {
	local map[string]bool
	relay map[string]bool // with a leading dot: all below it
}

func newDomains(conf config.Config) (domains, error) {
	d := domains{local: map[string]bool{}, relay: map[string]bool{}}
	for _, s := range append([]string{"localhost", conf.Hostname}, conf.Domains...) {
		if name, err := address.ASCIIDomain(s); err == nil {
			d.local[name] = true
		}
	}
	for _, s := range conf.Relay.Domains {
		name, dot := s, ""
		if s != "" && s[0] == '.' {
			name, dot = s[1:], "."
		}
		name, err := address.ASCIIDomain(name)
		if err != nil {
			return d, fmt.Errorf("relay.domains: %q: %w", s, err)
		}
		d.relay[dot+name] = true
	}
	return d, nil
}

// isRelay tells whether a domain, in ASCII, is one that we relay for: as it is written, or below one with a dot before it.
func (d domains) isRelay(name string) bool {
	if d.relay[name] {
		return true
	}
	for i := 0; i < len(name); i++ {
		if name[i] == '.' && d.relay[name[i:]] {
			return true
		}
	}
	return false
}

// turns tells whether a domain, or with below one below it, is one that we relay for.
func (d domains) turns(name string, below bool) bool {
	if d.isRelay(name) {
		return true
	}
	for relay := range d.relay {
		if below && strings.HasSuffix("."+relay, "."+name) {
			return true
		}
	}
	return false
}
