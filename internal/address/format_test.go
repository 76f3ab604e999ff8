package address

import (
	"mime"
	"strings"
	"testing"
)

func TestFormatMailbox(t *testing.T) {
	cases := []struct{ name, display, want string }{
		{"no name", "", "a@us"},
		{"blanks are no name", " \r\n", "a@us"},
		{"plain words", "Alice Example", "Alice Example <a@us>"},
		{"specials are quoted", "Alice A. (X)", `"Alice A. (X)" <a@us>`},
		{"quotes and backslashes are escaped", `A "B" \C`, `"A \"B\" \\C" <a@us>`},
		{"two blanks are quoted", "A  B", `"A  B" <a@us>`},
		{"what looks encoded is quoted", "=?utf-8?q?x?=", `"=?utf-8?q?x?=" <a@us>`},
		{"a name cannot end the line", "A\r\nBcc: x@evil", `"ABcc: x@evil" <a@us>`},
		{"a name cannot be an address", "A <x@evil>,", `"A <x@evil>," <a@us>`},
		{"a name cannot end the quotes", `A", x@evil, "`, `"A\", x@evil, \"" <a@us>`},
		{"Latin letters in Q", "Jürgen M.", "=?utf-8?q?J=C3=BCrgen_M=2E?= <a@us>"},
		{"other letters in B", "日本語", "=?utf-8?b?5pel5pys6Kqe?= <a@us>"},
		{"invalid UTF-8 is replaced", "J\xfcrgen", "=?utf-8?b?Su+/vXJnZW4=?= <a@us>"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := FormatMailbox(c.display, must(t, "a@us")); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestFormatMailboxOfALongName(t *testing.T) {
	for _, name := range []string{strings.Repeat("é", 100), strings.Repeat("日本", 60), "x" + strings.Repeat("ab é ", 50) + "x"} {
		line := FormatMailbox(name, must(t, "a@us"))
		for _, w := range strings.Split(line, " ") {
			if len(w) > 75 {
				t.Errorf("%d bytes in one word: %s", len(w), w)
			}
		}
		back, err := new(mime.WordDecoder).DecodeHeader(strings.TrimSuffix(line, " <a@us>"))
		if err != nil || back != name {
			t.Errorf("decoded %q, %v, want %q", back, err, name)
		}
	}
}
