package status

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is the cap on a peer's text, in bytes.
const MaxText = 512

// Clean makes one line of printable UTF-8 of hostile text: control bytes, invalid UTF-8 and format
// characters (bidirectional controls among them) become \xNN, and what is longer than max bytes is cut and
// ends in "...". The result never holds a line end, so it can neither forge a log line nor a header.
func Clean(s string, max int) string {
	if len(s) <= max && plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		piece := s[i : i+n]
		if r == utf8.RuneError && n <= 1 || !unicode.IsPrint(r) {
			piece = escape(piece)
		}
		if b.Len()+len(piece) > max {
			return b.String() + "..."
		}
		b.WriteString(piece)
		i += n
	}
	return b.String()
}

func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		fmt.Fprintf(&b, `\x%02X`, s[i])
	}
	return b.String()
}
