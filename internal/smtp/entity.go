package smtp

import (
	"bytes"
	"iter"
	"strings"
)

// entity is what the header of a MIME entity says about its body.
type entity struct {
	kind     string // "text/plain", lower case
	boundary string
	encoding string // Content-Transfer-Encoding, lower case; "" when there is none
}

func (e entity) multipart() bool { return strings.HasPrefix(e.kind, "multipart/") }
func (e entity) message() bool   { return e.kind == "message/rfc822" || e.kind == "message/global" }
func (e entity) composite() bool { return e.multipart() || strings.HasPrefix(e.kind, "message/") }

// identity: the body is what it says, not an encoding of it.
func (e entity) identity() bool {
	return e.encoding == "" || e.encoding == "7bit" || e.encoding == "8bit" || e.encoding == "binary"
}

func (e entity) encoded() bool {
	return e.encoding == "quoted-printable" || e.encoding == "base64"
}

// parseEntity reads a header leniently. Without a Content-Type the body is text, or a message in a digest.
func parseEntity(header []byte, digest bool) entity {
	e := entity{kind: "text/plain"}
	if digest {
		e.kind = "message/rfc822"
	}
	for field := range headerFields(header) {
		switch {
		case hasName(field, "content-type"):
			if kind, boundary := parseContentType(fieldValue(field)); kind != "" {
				e.kind, e.boundary = kind, boundary
			}
		case hasName(field, "content-transfer-encoding"):
			e.encoding = firstWord(fieldValue(field))
		}
	}
	return e
}

// headerFields yields the fields of a header, each with its continuation lines and line ends.
func headerFields(header []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(header) > 0 {
			n := 0
			for {
				i := bytes.IndexByte(header[n:], '\n')
				if i < 0 {
					n = len(header)
					break
				}
				if n += i + 1; n == len(header) || header[n] != ' ' && header[n] != '\t' {
					break
				}
			}
			if !yield(header[:n]) {
				return
			}
			header = header[n:]
		}
	}
}

// fieldValue is what follows the colon, unfolded.
func fieldValue(field []byte) string {
	_, value, _ := strings.Cut(string(field), ":")
	return strings.TrimSpace(unfold.Replace(value))
}

var unfold = strings.NewReplacer("\r", "", "\n", "")

// firstWord is s up to a blank, a semicolon or a comment, in lower case.
func firstWord(s string) string {
	if n := strings.IndexAny(s, " \t;("); n >= 0 {
		s = s[:n]
	}
	return strings.ToLower(s)
}

// parseContentType takes the type and the boundary out of a value (RFC 2045 section 5.1).
func parseContentType(value string) (kind, boundary string) {
	kind = firstWord(value)
	_, rest, _ := strings.Cut(value, ";")
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		var v string
		v, rest = parameterValue(strings.TrimLeft(after, " \t"))
		if strings.EqualFold(strings.Trim(name, " \t;"), "boundary") {
			return kind, strings.TrimRight(v, " ")
		}
	}
	return kind, ""
}

// parameterValue takes a token or quoted string off the front of s, and the parameter's semicolon with it.
func parameterValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		return strings.TrimRight(value, " \t"), rest
	}
	var b strings.Builder
	i := 1
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	_, rest, _ = strings.Cut(s[min(i, len(s)):], ";")
	return b.String(), rest
}
