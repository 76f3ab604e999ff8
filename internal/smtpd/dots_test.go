package smtpd

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// read reads a text in the given pieces. used is the number of bytes to the end, -1 when there was none.
func (d *dots) read(pieces ...string) (text string, used int) {
	var b strings.Builder
	at := 0
	for _, p := range pieces {
		n, end := d.feed([]byte(p), func(q []byte) { b.Write(q) })
		if end {
			return b.String(), at + n
		}
		at += len(p)
	}
	return b.String(), -1
}

func TestDots(t *testing.T) {
	for _, tt := range []struct {
		name string
		ends ends
		in   string
		text string
		used int
		cr   bool
		lf   bool
	}{
		{"nothing", strictEnds, ".\r\n", "", 3, false, false},
		{"a line", strictEnds, "a\r\n.\r\nQUIT\r\n", "a\r\n", 6, false, false},
		{"a dot that stands for one", strictEnds, "..\r\n.\r\n", ".\r\n", 7, false, false},
		{"a dot that was not doubled goes", strictEnds, ".a\r\n.\r\n", "a\r\n", 7, false, false},
		{"CR CR LF ends a line", strictEnds, "a\r\r\n.\r\n", "a\r\r\n", 7, true, false},
		{"a dot and two CRs are no end", strictEnds, "a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", 10, true, false},
		{"a dot, a CR and something", strictEnds, ".\rX\r\n.\r\n", "\rX\r\n", 8, true, false},
		{"LF dot LF is no end", strictEnds, "a\n.\n.\r\n\r\n.\r\n", "a\n.\n.\r\n\r\n", 12, false, true},
		{"LF dot CRLF is no end", strictEnds, "a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", 11, false, true},
		{"CRLF dot LF is no end", strictEnds, "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", 11, false, true},
		{"CR dot CR is no end", strictEnds, "a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", 10, true, false},
		{"no end", strictEnds, "a\r\n.", "a\r\n", -1, false, false},
		{"no end after CR", strictEnds, "a\r\n.\r", "a\r\n", -1, false, false},
		{"NUL is a byte", strictEnds, "\x00\r\n.\r\n", "\x00\r\n", 6, false, false},
		{"LF becomes CRLF", mendedEnds, "a\nb\n\r\n.\r\n", "a\r\nb\r\n\r\n", 9, false, true},
		{"LF dot LF is no end there either", mendedEnds, "a\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", 10, false, true},
		{"nor LF dot CRLF", mendedEnds, "a\n.\r\nb\n..\n\r\n.\r\n", "a\r\n\r\nb\r\n.\r\n\r\n", 15, false, true},
		{"pipes end with LF dot LF", looseEnds, "a\n..b\n.\nQUIT\n", "a\r\n.b\r\n", 8, false, true},
		{"or as others", looseEnds, "a\r\n.\r\n", "a\r\n", 6, false, false},
	} {
		d := dots{ends: tt.ends}
		text, used := d.read(tt.in)
		if text != tt.text || used != tt.used || d.bareCR != tt.cr || d.bareLF != tt.lf {
			t.Errorf("%s: %q %d cr=%v lf=%v, want %q %d cr=%v lf=%v", tt.name, text, used, d.bareCR, d.bareLF, tt.text, tt.used, tt.cr, tt.lf)
		}
	}
}

// checkSplits reads a text whole and in pieces; all must agree.
func checkSplits(t *testing.T, in string, cuts []int) {
	t.Helper()
	for _, e := range []ends{strictEnds, mendedEnds, looseEnds} {
		whole := dots{ends: e}
		text, used := whole.read(in)
		var pieces []string
		at := 0
		for _, c := range cuts {
			pieces = append(pieces, in[at:c])
			at = c
		}
		cut := dots{ends: e}
		text2, used2 := cut.read(append(pieces, in[at:])...)
		if text != text2 || used != used2 || whole.bareCR != cut.bareCR || whole.bareLF != cut.bareLF {
			t.Fatalf("%q cut at %v, ends %d:\n%q %d %+v\n%q %d %+v", in, cuts, e, text, used, whole, text2, used2, cut)
		}
	}
}

func TestDotsDoNotDependOnPieces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const letters = "\r\n.a"
	for range 20000 {
		b := make([]byte, rnd.IntN(12))
		for i := range b {
			b[i] = letters[rnd.IntN(len(letters))]
		}
		in := string(b)
		for c := range in {
			checkSplits(t, in, []int{c})
		}
		var all []int
		for c := range in {
			all = append(all, c)
		}
		checkSplits(t, in, all)
	}
}

func FuzzDots(f *testing.F) {
	f.Add("a\r\n..b\r\n.\r\nQUIT", uint(3))
	f.Add("\n.\r\n.\r\r\n\r.\r", uint(2))
	f.Fuzz(func(t *testing.T, in string, every uint) {
		var cuts []int
		for c := int(every%7) + 1; c < len(in); c += int(every%7) + 1 {
			cuts = append(cuts, c)
		}
		checkSplits(t, in, cuts)
		d := dots{}
		if text, used := d.read(in); used >= 0 && (len(text) > used || !strings.HasSuffix("\r\n"+in[:used], "\r\n.\r\n")) {
			t.Errorf("%q: %q %d", in, text, used)
		}
	})
}

func BenchmarkDots(b *testing.B) {
	text := []byte(strings.Repeat("It was a line of a letter, as long as lines of letters usually are.\r\n", 900))
	b.SetBytes(int64(len(text)))
	var d dots
	n := 0
	for b.Loop() {
		d.feed(text, func(p []byte) { n += len(p) })
	}
	if bytes.Count(text, crlf) == 0 || n == 0 {
		b.Fatal("nothing was read")
	}
}
