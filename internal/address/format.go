package address

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// FormatMailbox is a mailbox for a header field: name and <address>, or the address alone when name is empty. A
// name is quoted when it must be (RFC 5322 section 3.2.5) and made encoded-words of UTF-8 when it is more than
// ASCII (RFC 2047). What would be a line end or a control character in it is left out, so the result is always one
// line; no encoded-word in it is longer than 75 and the blanks between them are where it may be folded.
func FormatMailbox(name string, a Address) string {
	name = strings.TrimSpace(cleanName(name))
	switch {
	case name == "":
		return a.String()
	case !isASCII(name):
		name = encodeWords(name)
	case !plainPhrase(name):
		name = quote(name)
	}
	return name + " <" + a.String() + ">"
}

// plainPhrase tells whether name is atoms with single blanks between, none of which a reader could decode.
func plainPhrase(name string) bool {
	for _, w := range strings.Split(name, " ") {
		if w == "" || strings.Contains(w, "=?") || strings.Contains(w, ".") || !validWord(w) {
			return false
		}
	}
	return true
}

// quoteLocal is the wire form of a localpart with this meaning.
func quoteLocal(meaning string) string {
	if isDotAtom(meaning) {
		return meaning
	}
	return quote(meaning)
}

func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

const (
	wordHead = "=?utf-8?"
	wordRoom = 75 - len(wordHead+"q?"+"?=") // RFC 2047 section 2
)

// encodeWords is s as encoded-words with one blank between, in the shorter of the two encodings.
func encodeWords(s string) string {
	encode, head, cost, room := encodeQ, wordHead+"q?", lenQ, wordRoom
	if lenQ(s) > base64.StdEncoding.EncodedLen(len(s)) {
		encode, head, cost, room = base64.StdEncoding.EncodeToString, wordHead+"b?", lenRaw, wordRoom/4*3
	}
	var b strings.Builder
	for i, part := range splitRunes(s, cost, room) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(head)
		b.WriteString(encode([]byte(part)))
		b.WriteString("?=")
	}
	return b.String()
}

// splitRunes cuts s between runes into parts whose runes cost at most room.
func splitRunes(s string, cost func(string) int, room int) []string {
	var parts []string
	start, used := 0, 0
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		c := cost(s[i : i+n])
		if used+c > room {
			parts = append(parts, s[start:i])
			start, used = i, 0
		}
		i, used = i+n, used+c
	}
	return append(parts, s[start:])
}

func lenRaw(s string) int { return len(s) }

// lenQ is the length of s in Q encoding.
func lenQ(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if n++; !plainQ(s[i]) && s[i] != ' ' {
			n += 2
		}
	}
	return n
}

// plainQ tells whether c stands for itself in an encoded-word inside a phrase (RFC 2047 section 5 (3)).
func plainQ(c byte) bool { return isLetDigit(c) || c != 0 && strings.IndexByte("!*+-/", c) >= 0 }

func encodeQ(s []byte) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range s {
		switch {
		case c == ' ':
			b.WriteByte('_')
		case plainQ(c):
			b.WriteByte(c)
		default:
			b.Write([]byte{'=', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
