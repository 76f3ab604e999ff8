package address

import "testing"

func TestInternationalisedDomain(t *testing.T) {
	const d = "bücher.example"
	a := must(t, "jürgen@"+d)
	if a.Domain() != d || !a.NeedsUTF8() || must(t, "joe@"+d).WithDomain("us") != must(t, "joe@"+d) {
		t.Errorf("domain %q", a.Domain())
	}
	if p, _, err := ParsePath("<" + a.String() + ">"); err != nil || p != a {
		t.Errorf("path %q, %v", p, err)
	}
	if list, err := ParseList("Jürgen (ü) <"+a.String()+">", Strict); err != nil || list[0].Address != a {
		t.Errorf("list %s, %v", show(list), err)
	}
}

func TestInternationalisedDomainAsASCII(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"U-labels become A-labels", "BÜCHER.example", "xn--bcher-kva.example"},
		{"decomposed letters are composed", "bu\u0308cher.example", "xn--bcher-kva.example"},
		{"fullwidth letters are letters", "ｅxample.org", "example.org"},
		{"sharp s is not ss", "faß.example", "xn--fa-hia.example"},
		{"a root dot is dropped", "bücher.example.", "xn--bcher-kva.example"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got, err := ASCIIDomain(c.in); got != c.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			if key := must(t, "u@"+c.in).Key(false); key != "u@"+c.want {
				t.Errorf("key %q", key)
			}
		})
	}
}

func BenchmarkInternationalisedDomain(b *testing.B) {
	for b.Loop() {
		Parse("jürgen@bücher.example")
	}
}
