package dsn

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"postrider/internal/status"
)

// maxLine is the longest line that anything but the returned message may have (RFC 5322 section 2.1.1, with
// room for a field's name).
const maxLine = 900

// clean makes one line of printable text of what came from outside. Without utf8 it is ASCII.
func clean(s string, utf8 bool) string {
	s = status.Clean(s, status.MaxText)
	if utf8 || isASCII(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxLine-4; i++ {
		if s[i] < 0x80 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, `\x%02X`, s[i])
		}
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// decodeXtext undoes xtext (RFC 3461 section 4). What is no xtext is returned as it is: the sender may still
// know it again.
func decodeXtext(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) || strings.ContainsAny(s[i+1:i+3], "abcdef") {
			return s
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return s
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String()
}

// decodeUnitext undoes the \x{...} of utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 section 3).
func decodeUnitext(s string) string {
	if len(s) > status.MaxText {
		return s
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		hex, after, ok := strings.Cut(rest, "}")
		n, err := strconv.ParseUint(hex, 16, 32)
		if !ok || err != nil || n > utf8.MaxRune {
			b.WriteString(`\x{`)
			s = rest
			continue
		}
		b.WriteRune(rune(n))
		s = after
	}
}

// encodeUnitext makes utf-8-addr-xtext of an address: ASCII that holds any character (RFC 6533 section 3).
func encodeUnitext(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > ' ' && r < 0x7f && r != '\\' && r != '+' && r != '=' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, r)
		}
	}
	return b.String()
}

// ORcpt is the ORCPT parameter for an address that was received without one (RFC 3461 section 4.2, RFC 6533 section 3).
func ORcpt(address string) string {
	if !isASCII(address) {
		return "utf-8;" + encodeUnitext(address)
	}
	var b strings.Builder
	b.WriteString("rfc822;")
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c >= 0x7f || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// fold writes "name: value" as a header field, broken at blanks where a line would grow over 78.
func fold(b *strings.Builder, name, value string) {
	b.WriteString(name)
	b.WriteByte(':')
	col := len(name) + 1
	for _, word := range strings.Fields(value) {
		if col+1+len(word) > 78 && col > len(name)+1 {
			b.WriteString("\r\n")
			col = 0
		}
		b.WriteByte(' ')
		b.WriteString(word)
		col += 1 + len(word)
	}
	b.WriteString("\r\n")
}
