package foreign

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

var errNoNetwork = errors.New("not an address or a network")

// keyName is the name of a key that is not known: what begins a line may go on with a value.
func keyName(s string) string {
	if n := len(s) - len(strings.TrimLeft(s, letters+"_")); n > 0 {
		return s[:n]
	}
	return "a key"
}

// parseNetwork reads an address or a network as the systems write it: "192.0.2.0/24", "[2001:db8::]/32", "10.1" for all
// that begins so (Sendmail). IPv4 in IPv6 becomes IPv4.
func parseNetwork(s string) (string, error) {
	s = strings.TrimPrefix(strings.NewReplacer("[", "", "]", "").Replace(s), "IPv6:")
	host, bits, hasBits := strings.Cut(s, "/")
	if n := strings.Count(host, "."); !hasBits && n < 3 && !strings.Contains(host, ":") && host != "" {
		host, bits, hasBits = host+strings.Repeat(".0", 3-n), strconv.Itoa(8*(n+1)), true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return "", errNoNetwork
	}
	if !hasBits {
		return addr.Unmap().String(), nil
	}
	n, err := strconv.Atoi(bits)
	if err != nil || n < 0 || n > addr.BitLen() {
		return "", errNoNetwork
	}
	if addr.Is4In6() {
		if n < 96 {
			return "", errNoNetwork
		}
		addr, n = addr.Unmap(), n-96
	}
	return netip.PrefixFrom(addr, n).Masked().String(), nil
}

// parseDuration reads numbers with units, "1h30m", or a number that counts unit.
func parseDuration(s string, unit time.Duration) (time.Duration, bool) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	var total time.Duration
	for s = strings.TrimSpace(s); ; {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		n, err := strconv.ParseInt(s[:digits], 10, 64)
		if err != nil {
			return 0, false
		}
		size, rest := unit, s[digits:]
		if rest != "" {
			if size = units[rest[0]|0x20]; size == 0 {
				return 0, false
			}
			rest = rest[1:]
		}
		if n > (math.MaxInt64-int64(total))/int64(size) {
			return 0, false
		}
		total += time.Duration(n) * size
		if s = rest; s == "" {
			return total, true
		}
	}
}

// formatDuration is a time as postrider.toml has it.
func formatDuration(d time.Duration) string {
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if d != 0 && d%u.size == 0 {
			return fmt.Sprintf("%d%s", d/u.size, u.name)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
