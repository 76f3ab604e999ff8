package queue

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// A value in an envelope or a journal is a list of words with one blank between them. In a word the bytes up
// to 0x20, 0x7f and the backslash stand as \xNN; an empty word is a lone backslash. So no value ends a word or
// a line, and any byte string has exactly one form.

const hexDigits = "0123456789ABCDEF"

// appendPadded writes a number with zeros before it, to a width of at most 16. Package fmt could do so as well, but
// its first use costs more than all the rest of an envelope, and every start of sendmail is a first.
func appendPadded(b []byte, n uint64, base, width int) []byte {
	const zeros = "0000000000000000"
	start := len(b)
	b = strconv.AppendUint(b, n, base)
	if digits := len(b) - start; digits < width {
		b = append(b[:start], zeros[:width-digits]...)
		b = strconv.AppendUint(b, n, base)
	}
	return b
}

func appendWord(b []byte, word string) []byte {
	if word == "" {
		return append(b, '\\')
	}
	for i := 0; i < len(word); i++ {
		c := word[i]
		if c <= ' ' || c == 0x7f || c == '\\' {
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// readWord undoes appendWord; ok is false when s is not what appendWord writes.
func readWord(s string) (word string, ok bool) {
	if s == `\` {
		return "", true
	}
	if strings.IndexByte(s, '\\') < 0 {
		return s, s != ""
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		if i+4 > len(s) || s[i+1] != 'x' {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
		if err != nil {
			return "", false
		}
		b = append(b, byte(n))
		i += 3
	}
	return string(b), true
}

// cutWord takes the first word off a value.
func cutWord(s string) (word, rest string, ok bool) {
	first, rest, _ := strings.Cut(s, " ")
	word, ok = readWord(first)
	return word, rest, ok
}

// appendParam adds " key=word" unless the value is empty.
func appendParam(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, key...)
	b = append(b, '=')
	return appendWord(b, value)
}

// params calls fn with each "key=word" of a value; words of another form end it with false.
func params(s string, fn func(key, value string)) bool {
	for s != "" {
		var word string
		word, s, _ = strings.Cut(s, " ")
		key, raw, ok := strings.Cut(word, "=")
		value, ok2 := readWord(raw)
		if !ok || !ok2 {
			return false
		}
		fn(key, value)
	}
	return true
}

// appendChecked writes a line with a checksum before it.
func appendChecked(b, line []byte) []byte {
	start := len(b)
	return sealLine(append(append(b, noSum...), line...), start)
}

// noSum keeps the place of a checksum.
const noSum = "00000000 "

// sealLine ends the line that begins at start with noSum.
func sealLine(b []byte, start int) []byte {
	appendPadded(b[:start], uint64(checksum(b[start+len(noSum):])), 16, 8)
	return append(b, '\n')
}

// cutChecked takes the checksum off a line; false when it is not the line's.
func cutChecked(line string) (rest string, ok bool) {
	sum, rest, ok := strings.Cut(line, " ")
	want, err := strconv.ParseUint(sum, 16, 32)
	return rest, ok && err == nil && len(sum) == 8 && checksum([]byte(rest)) == uint32(want)
}

// checksum is FNV-1a. Sums here tell whole from torn; those that need no tables made at the start are enough, since
// this package starts with every message that a script sends.
func checksum(line []byte) uint32 {
	h := fnv.New32a()
	h.Write(line)
	return h.Sum32()
}
