package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

var (
	errNetwork = errors.New(`must be an address or a network such as "192.0.2.0/24"`)
	errMapped  = errors.New(`must have a length of 96 or more, or be written as IPv4: "10.0.0.0/8"`)
)

// Prefixes reads addresses and networks of a configuration. An address alone is a network of one, and IPv4 in IPv6,
// "::ffff:192.0.2.1", is IPv4. One that makes no sense is an error: no network is ever larger than it was written.
func Prefixes(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := prefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		out = append(out, p)
	}
	return out, nil
}

func prefix(s string) (netip.Prefix, error) {
	var p netip.Prefix
	if strings.Contains(s, "/") {
		network, err := netip.ParsePrefix(s)
		if err != nil {
			return p, errNetwork
		}
		p = network
	} else {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return p, errNetwork
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 { // most of it is not IPv4, and what is would be all of IPv4
			return netip.Prefix{}, errMapped
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func isNetwork(s string) string {
	if _, err := prefix(s); err != nil {
		return err.Error()
	}
	return ""
}
