package mailbox

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func convert(t testing.TB, quote bool, r io.Reader) string {
	t.Helper()
	var out bytes.Buffer
	w := newTextWriter(&out, quote)
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	w.endLine()
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	if w.n != int64(out.Len()) {
		t.Errorf("counted %d bytes of %d", w.n, out.Len())
	}
	return out.String()
}

func TestText(t *testing.T) {
	for _, c := range []struct{ name, in, plain, quoted string }{
		{"CRLF becomes LF", "a\r\nb\r\n", "a\nb\n", "a\nb\n"},
		{"a last line gets its end", "a", "a\n", "a\n"},
		{"a CR alone stays", "a\rb\r\r\n", "a\rb\r\n", "a\rb\r\n"},
		{"a CR at the very end stays", "a\r", "a\r\n", "a\r\n"},
		{"nothing stays nothing", "", "", ""},
		{"From at the start of a line is quoted", "From x\r\n", "From x\n", ">From x\n"},
		{"a quoted From is quoted once more", ">>From x\r\n", ">>From x\n", ">>>From x\n"},
		{"From: is a field", "From: x\r\n", "From: x\n", "From: x\n"},
		{"From inside a line is text", "x From y\r\n> From z\r\n", "x From y\n> From z\n", "x From y\n> From z\n"},
		{"half a From is text", "Fro\r\nFrom\r\n>Fr", "Fro\nFrom\n>Fr\n", "Fro\nFrom\n>Fr\n"},
		{"lower case is text", "from x\r\n", "from x\n", "from x\n"},
		{"From after a bare LF is quoted", "a\nFrom x\n", "a\nFrom x\n", "a\n>From x\n"},
		{"From after a bare CR is text", "a\rFrom x\r\n", "a\rFrom x\n", "a\rFrom x\n"},
		{"From cut off at its blank is quoted", "From ", "From \n", ">From \n"},
		{"a held CR is not forgotten", "From\r ", "From\r \n", "From\r \n"},
	} {
		for _, quote := range []bool{false, true} {
			want := map[bool]string{false: c.plain, true: c.quoted}[quote]
			if got := convert(t, quote, strings.NewReader(c.in)); got != want {
				t.Errorf("%s (quote %v): %q, want %q", c.name, quote, got, want)
			}
			if got := convert(t, quote, iotest.OneByteReader(strings.NewReader(c.in))); got != want {
				t.Errorf("%s (quote %v, byte by byte): %q, want %q", c.name, quote, got, want)
			}
		}
	}
}

func TestFromLine(t *testing.T) {
	date := time.Date(2026, 11, 4, 9, 5, 7, 0, time.UTC)
	for _, c := range []struct{ name, sender, want string }{
		{"an address stands as it is", "a@b.example", "From a@b.example Wed Nov  4 09:05:07 2026\n"},
		{"a null reverse-path is MAILER-DAEMON", "", "From MAILER-DAEMON Wed Nov  4 09:05:07 2026\n"},
		{"blanks and line ends become dashes", "\"a b\"@c\r\n\x00\x7fx", "From \"a-b\"@c----x Wed Nov  4 09:05:07 2026\n"},
	} {
		if got := fromLine(c.sender, date); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// Taking one '>' off each line that has them before "From " gives the text back, and no line begins with "From ".
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "From x\r\n>From y\r\n", "a\r\r\nFrom", ">>>", "From\r", "\r\n.\r\n", "Fr\nFrom "} {
		f.Add(s)
	}
	unquote := regexp.MustCompile(`(?m)^>(>*From )`)
	f.Fuzz(func(t *testing.T, in string) {
		plain, quoted := convert(t, false, strings.NewReader(in)), convert(t, true, strings.NewReader(in))
		if strings.HasPrefix(quoted, "From ") || strings.Contains(quoted, "\nFrom ") {
			t.Fatalf("a From_ line inside %q", quoted)
		}
		if got := unquote.ReplaceAllString(quoted, "$1"); got != plain {
			t.Fatalf("quoting does not reverse: %q, want %q", got, plain)
		}
		want := strings.ReplaceAll(in, "\r\n", "\n")
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if plain != want {
			t.Fatalf("%q became %q", in, plain)
		}
	})
}

func TestWritePlain(t *testing.T) {
	var b strings.Builder
	m := Message{Sender: "a@b", Date: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), Content: strings.NewReader("A: 1\r\n\r\nFrom x\r\nend")}
	if err := WritePlain(&b, m); err != nil || b.String() != "From a@b Tue Nov 24 09:00:00 2026\nA: 1\n\nFrom x\nend\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}
