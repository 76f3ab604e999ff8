package access

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

var errNetwork = errors.New("not a network")

// parseNetwork reads a key that is an address or a network; ok is false when it does not look like one.
func parseNetwork(s string) (p netip.Prefix, ok bool, err error) {
	inner, literal := strings.CutPrefix(s, "[")
	if literal {
		if inner, literal = strings.CutSuffix(inner, "]"); !literal {
			return p, false, errNetwork
		}
	}
	text, v6 := cutFold(inner, "ipv6:")
	switch {
	case v6 || strings.Contains(text, ":") && !strings.Contains(text, "@"):
		p, ok = six(text)
	case looksNumeric(text):
		p, ok = four(text)
	case !literal:
		return p, false, nil
	}
	if !ok || literal && !p.IsSingleIP() {
		return p, false, errNetwork
	}
	if p.Masked() != p {
		return p, false, errors.New("the network of this address is " + p.Masked().String())
	}
	return p, true, nil
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// looksNumeric tells whether s can only be an IPv4 address, a part of one, or a network.
func looksNumeric(s string) bool {
	return s != "" && strings.Trim(s, "0123456789./") == ""
}

// four reads an IPv4 network: "192.0.2.0/24", or one to four leading numbers.
func four(s string) (netip.Prefix, bool) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p, err == nil
	}
	parts := strings.Split(strings.TrimSuffix(s, "."), ".")
	if len(parts) > 4 {
		return netip.Prefix{}, false
	}
	var ip [4]byte
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || part[0] == '0' && len(part) > 1 {
			return netip.Prefix{}, false
		}
		ip[i] = byte(n)
	}
	return netip.PrefixFrom(netip.AddrFrom4(ip), 8*len(parts)), true
}

// six reads an IPv6 network: "2001:db8::/32", an address, or one to seven leading numbers, "2001:db8".
func six(s string) (netip.Prefix, bool) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p, err == nil && p.Addr().Is6() && !p.Addr().Is4In6()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), a.Zone() == ""
	}
	parts := strings.Split(strings.TrimSuffix(s, ":"), ":")
	if len(parts) > 7 {
		return netip.Prefix{}, false
	}
	var ip [16]byte
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 16, 16)
		if err != nil || len(part) > 4 {
			return netip.Prefix{}, false
		}
		ip[2*i], ip[2*i+1] = byte(n>>8), byte(n)
	}
	return netip.PrefixFrom(netip.AddrFrom16(ip), 16*len(parts)), true
}
