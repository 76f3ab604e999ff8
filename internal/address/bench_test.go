package address

import (
	"strings"
	"testing"
	"time"
)

// hostile are inputs that make quadratic parsers slow; each is repeated up to MaxList.
var hostile = []string{
	"(", ")", "<", ">", ",", "\"", "\\", "[", "]", "@", ".", ":", ";", "a ", "a,", "a. ", "(a", "<@a", "<@a,", "<a,", "[,", "\"a\" ", "a:", "@a,@b:",
	"<(", "a@b ", "ü", "\xff", "<a@b>", "()", "\"\\", "a@[", ": <", "x <a@b ",
}

func fill(s string, n int) string { return strings.Repeat(s, n/len(s)) }

// The bound is far above what a linear parser takes (milliseconds; more under the race detector) and far below what
// a quadratic one takes. BenchmarkHostile measures whole lists.
func TestHostileInputTakesLinearTime(t *testing.T) {
	for _, h := range hostile {
		s := fill(h, MaxList/4)
		begin := time.Now()
		for _, mode := range []Mode{Strict, Lenient} {
			ParseList(s, mode)
		}
		Parse(s)
		ParsePath("<" + s)
		if d := time.Since(begin); d > time.Minute { // 0.2 s on an idle machine; minutes if it were quadratic
			t.Errorf("%q: %v", h, d)
		}
	}
}

func BenchmarkHostile(b *testing.B) {
	for _, h := range hostile {
		s := fill(h, MaxList)
		b.Run(h, func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				ParseList(s, Lenient)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, s := range []string{"joe.bee@mail.example.org", `"joe bee"@mail.example.org`} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Parse(s)
			}
		})
	}
}

func BenchmarkParseList10000(b *testing.B) {
	for _, s := range []string{"joe.bee@mail.example.org, ", "\"Bee, Joe\" <joe.bee@mail.example.org>,\r\n "} {
		list := strings.Repeat(s, 10000)
		b.Run(s[:3], func(b *testing.B) {
			b.SetBytes(int64(len(list)))
			b.ReportAllocs()
			for b.Loop() {
				ParseList(list, Lenient)
			}
		})
	}
}
