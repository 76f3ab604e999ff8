package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes is a size. In the file it is a number of bytes, or a string with a unit: "50MiB", "10MB".
type Bytes int64

type unit struct {
	name string
	size int64
}

var sizeUnits = []unit{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3},
}

var timeUnits = []unit{
	{"w", int64(7 * day)}, {"d", int64(day)}, {"h", int64(time.Hour)}, {"m", int64(time.Minute)}, {"s", int64(time.Second)},
}

// String has the largest unit that expresses b without a fraction.
func (b Bytes) String() string {
	for _, u := range sizeUnits {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// parseBytes reads a size with or without a unit.
func parseBytes(s string) (Bytes, error) {
	n, rest, err := leadingNumber(s)
	if err != nil {
		return 0, err
	}
	if rest == "" {
		return Bytes(n), nil
	}
	for _, u := range sizeUnits {
		if rest == u.name {
			product, err := multiply(n, u.size)
			return Bytes(product), err
		}
	}
	return 0, fmt.Errorf("unknown unit %q", rest)
}

// parseDuration reads numbers with units, "1h30m", or a plain 0.
func parseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	var total int64
	for rest := s; rest != "" || s == ""; {
		n, after, err := leadingNumber(rest)
		if err != nil {
			return 0, err
		}
		size := int64(0)
		for _, u := range timeUnits {
			if strings.HasPrefix(after, u.name) {
				size = u.size
			}
		}
		if size == 0 {
			return 0, fmt.Errorf("unknown unit %q", after)
		}
		product, err := multiply(n, size)
		if err != nil || product > math.MaxInt64-total {
			return 0, errTooLarge
		}
		total, rest = total+product, after[1:]
	}
	return time.Duration(total), nil
}

// formatDuration has the units of parseDuration, largest first. Parts of a second are lost: the file cannot
// express them.
func formatDuration(d time.Duration) string {
	var b strings.Builder
	for _, u := range timeUnits {
		if n := int64(d) / u.size; n > 0 && (u.name != "w" || int64(d)%u.size == 0) {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= time.Duration(n * u.size)
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

var errTooLarge = errors.New("too large")

func multiply(n, size int64) (int64, error) {
	if n > math.MaxInt64/size {
		return 0, errTooLarge
	}
	return n * size, nil
}

func leadingNumber(s string) (n int64, rest string, err error) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if digits == 0 {
		return 0, "", fmt.Errorf("a number is missing")
	}
	n, err = strconv.ParseInt(s[:digits], 10, 64)
	if err != nil {
		return 0, "", errTooLarge
	}
	return n, s[digits:], nil
}
