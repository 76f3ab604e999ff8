package config

import (
	"fmt"
	"testing"
)

func TestPrefixes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"an address", "192.0.2.1", "[192.0.2.1/32] <nil>"},
		{"a network", "192.0.2.0/24", "[192.0.2.0/24] <nil>"},
		{"an address in a network stands for it", "10.1.2.3/8", "[10.0.0.0/8] <nil>"},
		{"IPv6", "2001:db8::/32", "[2001:db8::/32] <nil>"},
		{"an address of IPv6", "::1", "[::1/128] <nil>"},
		{"IPv4 in IPv6", "::ffff:192.0.2.1", "[192.0.2.1/32] <nil>"},
		{"a network of IPv4 in IPv6", "::ffff:10.0.0.0/104", "[10.0.0.0/8] <nil>"},
		{"all of IPv4 must be meant", "::ffff:0.0.0.0/96", "[0.0.0.0/0] <nil>"},
		{"the length of IPv4 in IPv6", "::ffff:10.0.0.0/8", `[] "::ffff:10.0.0.0/8": ` + errMapped.Error()},
		{"one bit too few", "::ffff:10.0.0.0/95", `[] "::ffff:10.0.0.0/95": ` + errMapped.Error()},
		{"a length that there is not", "10.0.0.0/33", `[] "10.0.0.0/33": ` + errNetwork.Error()},
		{"a zone", "fe80::1%eth0", `[] "fe80::1%eth0": ` + errNetwork.Error()},
		{"a name", "host.example", `[] "host.example": ` + errNetwork.Error()},
		{"nothing", "", `[] "": ` + errNetwork.Error()},
	} {
		list, err := Prefixes([]string{c.text})
		if got := fmt.Sprint(list, err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if bad := isNetwork(c.text); (bad == "") != (err == nil) {
			t.Errorf("%s: the check says %q", c.name, bad)
		}
	}
	if list, err := Prefixes([]string{"10.0.0.0/8", "x"}); list != nil || err == nil {
		t.Errorf("beside a good one: %v, %v", list, err)
	}
}
