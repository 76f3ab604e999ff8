package smtp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func encode(t testing.TB, in string) string {
	t.Helper()
	var out bytes.Buffer
	if err := encodeBody(&out, strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEncodeBody(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct{ name, in, want string }{
		{"nothing is nothing", "", ""},
		{"a clean message passes", "A: b\r\n\r\nc\r\n\r\n", "A: b\r\n\r\nc\r\n\r\n"},
		{"a dot at the start of a line is doubled", ".\r\n..\r\na.\r\n.b\r\n", "..\r\n...\r\na.\r\n..b\r\n"},
		{"a last line gets its end", "a\r\nb", "a\r\nb\r\n"},
		{"a last dot too", "a\r\n.", "a\r\n..\r\n"},
		{"a bare CR becomes a blank", "a\rb\r\n", "a b\r\n"},
		{"a CR before CRLF becomes a blank", "a\r\r\n", "a \r\n"},
		{"a CR at the very end becomes a blank", "a\r", "a \r\n"},
		{"a bare LF becomes CRLF", "a\nb\n", "a\r\nb\r\n"},
		{"LF dot LF does not end a message", "a\n.\nb\r\n", "a\r\n..\r\nb\r\n"},
		{"LF dot CRLF does not either", "a\n.\r\nb\r\n", "a\r\n..\r\nb\r\n"},
		{"nor CR dot CR", "a\r.\rb\r\n", "a . b\r\n"},
		{"nor CR CRLF dot CR CRLF", "a\r\r\n.\r\r\n", "a \r\n.. \r\n"},
		{"NUL is left out", "a\x00b\x00\r\n\x00", "ab\r\n"},
		{"a dot behind a NUL is doubled", "\x00.\r\n", "..\r\n"},
		{"CRLF around a NUL is CRLF", "a\r\x00\nb\r\n", "a\r\nb\r\n"},
		{"998 bytes are a line", "\r\n" + x(998) + "\r\n", "\r\n" + x(998) + "\r\n"},
		{"999 bytes are two", "\r\n" + x(999) + "\r\n", "\r\n" + x(998) + "\r\n x\r\n"},
		{"3000 bytes are four", "\r\n" + x(3000) + "\r\n", "\r\n" + x(998) + "\r\n " + x(997) + "\r\n " + x(997) + "\r\n " + x(8) + "\r\n"},
		{"a cut leaves UTF-8 whole", "\r\n" + x(997) + "ü\r\n", "\r\n" + x(997) + "\r\n ü\r\n"},
		{"a doubled dot does not count", "\r\n." + x(997) + "\r\n", "\r\n.." + x(997) + "\r\n"},
		{"a header is folded at its last blank", "A: b " + x(600) + " " + x(600) + "\r\n\r\n", "A: b " + x(600) + "\r\n " + x(600) + "\r\n\r\n"},
		{"a header without a blank is cut", "A:" + x(999) + "\r\n\r\n", "A:" + x(996) + "\r\n xxx\r\n\r\n"},
		{"a header is not folded into an empty line", "A:\r\n " + x(1200) + "\r\n\r\n", "A:\r\n " + x(997) + "\r\n " + x(203) + "\r\n\r\n"},
		{"a body is not folded", "\r\na " + x(998) + "\r\n", "\r\na " + x(996) + "\r\n xx\r\n"},
	} {
		if got := encode(t, c.in); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestEncodeBodyAcrossBlocks(t *testing.T) {
	for _, pad := range []int{blockSize - 3, blockSize - 2, blockSize - 1, blockSize} {
		in := strings.Repeat("y\r\n", pad/3) + strings.Repeat("z", pad%3) + ".\r\n.\r\nend"
		want := strings.ReplaceAll(in, "\n.", "\n..") + "\r\n"
		if got := encode(t, in); got != want {
			t.Errorf("pad %d: %d bytes, want %d", pad, len(got), len(want))
		}
	}
}

func TestALineOfAMegabyteIsCut(t *testing.T) {
	in := "\r\n" + strings.Repeat("a\rb\x00c", 200<<10) + "\r\n.\r\n"
	got := encode(t, in)
	if !strings.HasSuffix(got, "\r\n..\r\n") {
		t.Errorf("it ends in %q", got[len(got)-20:])
	}
	checkWire(t, got)
	flat := strings.ReplaceAll(strings.TrimSuffix(got, "\r\n..\r\n"), "\r\n ", "")
	if want := "\r\n" + strings.Repeat("a bc", 200<<10); flat != want {
		t.Errorf("%d bytes, want %d", len(flat), len(want))
	}
}

func TestEncodeBodyReturnsTheReadersError(t *testing.T) {
	fault := errors.New("disk on fire")
	r := io.MultiReader(strings.NewReader("a\r\n"), iotest.ErrReader(fault))
	if err := encodeBody(io.Discard, r); !errors.Is(err, fault) {
		t.Errorf("error %v", err)
	}
}

// checkWire checks what no message may lack.
func checkWire(t *testing.T, out string) {
	t.Helper()
	if out == "" {
		return
	}
	if !strings.HasSuffix(out, "\r\n") {
		t.Fatalf("no CRLF at the end")
	}
	rest := strings.ReplaceAll(out, "\r\n", "")
	if strings.ContainsAny(rest, "\r\n\x00") {
		t.Fatalf("bare CR, bare LF or NUL")
	}
	for l := range strings.SplitSeq(out, "\r\n") {
		if strings.HasPrefix(l, ".") && !strings.HasPrefix(l, "..") {
			t.Fatalf("single dot at the start of %q", l)
		}
		if len(strings.TrimPrefix(l, ".")) > maxLine {
			t.Fatalf("line of %d bytes", len(l))
		}
	}
}

// unstuff undoes the dots.
func unstuff(s string) string {
	return strings.TrimPrefix(strings.ReplaceAll("\r\n"+s, "\r\n..", "\r\n."), "\r\n")
}

// clean tells whether a message needs nothing but dots.
func clean(s string) bool {
	if strings.ContainsAny(strings.ReplaceAll(s, "\r\n", ""), "\r\n\x00") || s != "" && !strings.HasSuffix(s, "\r\n") {
		return false
	}
	for l := range strings.SplitSeq(s, "\r\n") {
		if len(l) > maxLine {
			return false
		}
	}
	return true
}

func FuzzEncodeBody(f *testing.F) {
	f.Add("A: b\r\n\r\n.\r\n", 1)
	f.Add("A\r.\n.\r\x00\n\n", 2)
	f.Add("A: \t \r\n "+strings.Repeat(" ", 1200)+"\r\n", 3)
	f.Add("\r\n", 1100)
	f.Fuzz(func(t *testing.T, in string, times int) {
		in = strings.Repeat(in, min(max(1, times), max(1, 100_000/max(1, len(in)))))
		out := encode(t, in)
		checkWire(t, out)
		if clean(in) && unstuff(out) != in {
			t.Fatalf("a clean message was changed: %q", out)
		}
	})
}

func BenchmarkEncodeBody(b *testing.B) {
	line := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 2)[:72] + "\r\n"
	in := strings.Repeat(line, 10<<10)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if err := encodeBody(io.Discard, strings.NewReader(in)); err != nil {
			b.Fatal(err)
		}
	}
}
